"""Prompts alone, for a stage that needs no reference answer: the student answers, and a teacher judges each token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl_r1.data.mixture import RawSource, load_sources
from trl_r1.data.prompts import describe_sources
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import PromptData, check_column, count_dropped, first_rows, join_parts


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import DatasetMixtureConfig

    from trl_r1.script_arguments import R1ScriptArguments

Row = dict[str, Any]


def load_questions(
    script_args: R1ScriptArguments,
    dataset_args: DatasetMixtureConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    chat_template_kwargs: dict[str, Any] | None = None,
) -> PromptData:
    """
    Load prompts, whatever else the rows hold.

    Args:
        script_args ([`R1ScriptArguments`]):
            Dataset, columns and templates.
        dataset_args ([`~trl.DatasetMixtureConfig`], *optional*):
            A mixture instead of one dataset.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's, with the recipe's chat template.
        chat_template_kwargs (`dict[str, Any]`, *optional*):
            Extra arguments of the chat template, as the trainer will give them.

    Returns:
        [`PromptData`]: one column, `prompt`: of `messages` all before the last assistant turn, else the column
        `dataset_prompt_column` shown as the policy will be shown it, else the column `prompt` as it is.

    Raises:
        [`DataError`]: when the data cannot be read, lacks a column, or holds no prompt.
    """
    renderer = PromptRenderer(
        tokenizer, script_args.prompt_template, script_args.response_format, chat_template_kwargs
    )
    raw = load_sources(script_args, dataset_args)
    prepared = [_prepare(source, script_args.dataset_prompt_column, renderer) for source in raw]
    parts = first_rows([dataset for dataset, _ in prepared], script_args.max_train_rows)
    return PromptData(dataset=join_parts(parts), sources=describe_sources(raw, prepared, parts))


def _prepare(source: RawSource, column: str, renderer: PromptRenderer) -> tuple[Dataset, dict[str, int]]:
    columns = source.dataset.column_names
    chats = column not in columns and "messages" in columns
    wanted = "messages" if chats else "prompt" if column not in columns and "prompt" in columns else column
    check_column(source.dataset, wanted, "dataset_prompt_column", source.name)

    def to_prompt(row: Row) -> Row:
        found = row[wanted]
        if chats:
            found = found[:-1] if found and found[-1].get("role") == "assistant" else found
        usable = bool(found) and (not isinstance(found, str) or bool(found.strip()))
        ready = found if wanted != column or not isinstance(found, str) else renderer.to_prompt(found)
        return {"prompt": ready if usable else None}

    prompts = source.dataset.map(to_prompt, remove_columns=columns, load_from_cache_file=False)
    reasons = [None if prompt else "prompt_missing" for prompt in prompts["prompt"]]
    dropped = count_dropped(reasons, source.name)
    return prompts.select([index for index, reason in enumerate(reasons) if reason is None]), dropped
