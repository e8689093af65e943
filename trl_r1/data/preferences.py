"""Pairs of responses for a preference reward model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import completion_text
from trl_r1.data.mixture import PLACE, RawSource, load_sources
from trl_r1.data.prompts import describe_sources
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import PromptData, check_column, first_rows, join_parts, keep_rows, map_rows
from trl_r1.data.schemas import read_as


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import DatasetMixtureConfig

    from trl_r1.script_arguments import R1ScriptArguments


def load_preferences(
    script_args: R1ScriptArguments,
    dataset_args: DatasetMixtureConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    output_dir: str | Path | None = None,
) -> PromptData:
    """
    Load pairs for [`~trl.RewardTrainer`].

    Rows hold a problem (`dataset_prompt_column`) or a `prompt`, and `chosen` and `rejected`, each as text or messages;
    or they are in a schema of [`~trl_r1.data.schemas.SCHEMAS`] that feeds preferences.
    Text is shown as a chat, as the preference reward will show it, unless the recipe has a `prompt_template`. Pairs
    without a prompt or a response, and pairs of equal responses, are dropped and counted.

    Args:
        script_args ([`R1ScriptArguments`]):
            Dataset, columns and templates.
        dataset_args ([`~trl.DatasetMixtureConfig`], *optional*):
            A mixture instead of one dataset.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The reward model's.
        output_dir (`str` or `Path`, *optional*):
            Where the rows of `test_split_size` are kept.

    Returns:
        [`PromptData`]: columns `prompt`, `chosen`, `rejected`.

    Raises:
        [`DataError`]: when the data cannot be read, lacks a column, or holds no usable pair.
        [`TemplateError`]: when the tokenizer has no chat template and the recipe no `prompt_template`.
    """
    renderer = PromptRenderer(tokenizer, script_args.prompt_template)
    found = load_sources(script_args, dataset_args, output_dir)
    read = [read_as(source, script_args, "preferences") for source in found]
    raw = [source for source, _ in read]
    prepared = [_prepare(source, renderer, args.dataset_prompt_column) for source, args in read]
    parts = first_rows([dataset for dataset, _ in prepared], script_args.max_train_rows)
    return PromptData(dataset=join_parts(parts, order_by=PLACE), sources=describe_sources(raw, prepared, parts))


def _prepare(source: RawSource, renderer: PromptRenderer, column: str) -> tuple[Dataset, dict[str, int]]:
    from datasets import Dataset

    dataset = source.dataset
    if column not in dataset.column_names and "prompt" in dataset.column_names:
        column = "prompt"
    check_column(dataset, column, "dataset_prompt_column", source.name)
    for name in ("chosen", "rejected"):
        check_column(dataset, name, name, source.name)

    def judge(row: dict[str, Any]) -> str | None:
        if not row[column] or not completion_text(row[column]).strip():
            return "prompt_missing"
        chosen, rejected = (completion_text(row[name] or "").strip() for name in ("chosen", "rejected"))
        if not chosen or not rejected:
            return "response_missing"
        return "responses_equal" if chosen == rejected else None

    dataset, dropped = keep_rows(dataset, map_rows(dataset, judge), source.name)
    place = [PLACE] if PLACE in dataset.column_names else []
    rows = [{**_render(row, column, renderer), **{name: row[name] for name in place}} for row in dataset]
    return Dataset.from_list(rows), dropped


def _render(row: dict[str, Any], column: str, renderer: PromptRenderer) -> dict[str, Any]:
    """One pair in TRL's form: all text, or all messages."""
    prompt = renderer.to_prompt(row[column]) if isinstance(row[column], str) else row[column]
    responses = {name: row[name] for name in ("chosen", "rejected")}
    if isinstance(prompt, str):
        return {"prompt": prompt, **{name: " " + completion_text(value) for name, value in responses.items()}}
    return {
        "prompt": list(prompt),
        **{
            name: [{"role": "assistant", "content": value}] if isinstance(value, str) else value
            for name, value in responses.items()
        },
    }
