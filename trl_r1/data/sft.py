"""
Rows for supervised fine-tuning, checked with the real tokenizer.

Two faults of SFT on chains of thought show only at inference: a template that cuts the reasoning out or leaves it out
of the loss, and rows that never teach the end token. Both are looked for in every row before training.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import THINK_CLOSE, ThinkParser, check_round_trip, completion_text
from trl_r1.data.mixture import PLACE, RawSource, load_sources
from trl_r1.data.prompts import describe_sources
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import PromptData, check_column, count_dropped, first_rows, join_parts
from trl_r1.errors import DataError, TemplateError


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import DatasetMixtureConfig, SFTConfig

    from trl_r1.script_arguments import R1ScriptArguments

logger = logging.getLogger(__name__)

COMPLETION_COLUMNS = ("completion", "response")
Row = dict[str, Any]


@dataclass(slots=True)
class MaskStatistics:
    """Tokens of the rows seen, and how many of them the loss counts."""

    tokens: int = 0
    in_loss: int = 0
    reasoning_rows: int = 0
    examples: dict[str, int] = field(default_factory=dict)  # reason -> first row it was found in

    @property
    def share(self) -> float:
        """Share of tokens in the loss."""
        return self.in_loss / self.tokens if self.tokens else 0.0


class SFTRowChecker:
    """
    Tokenizes rows as TRL's trainer will and says what is wrong with them.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's, with the recipe's chat template.
        args ([`~trl.SFTConfig`]):
            `max_length`, `packing`, `eos_token` and the loss switches decide what is trained on.

    Raises:
        [`TemplateError`]: when the loss mask cannot be known before the trainer is built.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, args: SFTConfig) -> None:
        self.tokenizer: Any = tokenizer
        self.end_token: str = args.eos_token or str(tokenizer.eos_token)
        self.end_id = tokenizer.convert_tokens_to_ids(self.end_token)
        self.max_length = args.max_length  # packing cuts longer rows too, each strategy in its way
        self.full_loss = args.completion_only_loss is False
        self.chat_template = _training_template(tokenizer) if args.assistant_only_loss else None
        self.statistics = MaskStatistics()
        if args.chat_template_path:
            raise TemplateError(
                f"chat_template_path: {args.chat_template_path!r} is read too late to be checked; use chat_template"
            )

    def problem(self, row: Row) -> str | None:
        """
        Why a row cannot be trained on, or `None`.

        Returns:
            `str` or `None`: `"longer_than_max_length"` (its end token would be cut off), `"no_end_token"` or
            `"reasoning_not_in_loss"`.
        """
        ids, mask = self._tokenize(row)
        in_loss = [token for token, counted in zip(ids, mask, strict=True) if counted]
        self.statistics.tokens += len(ids)
        self.statistics.in_loss += len(in_loss)
        if self.max_length is not None and len(ids) > self.max_length:
            return "longer_than_max_length"
        if not self._ends(in_loss):
            return "no_end_token"
        return None if self._keeps_reasoning(row, in_loss) else "reasoning_not_in_loss"

    def _tokenize(self, row: Row) -> tuple[list[int], list[bool]]:
        if "messages" in row:
            encoded = self.tokenizer.apply_chat_template(
                row["messages"],
                chat_template=self.chat_template,
                tokenize=True,
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
            return encoded["input_ids"], [bool(bit) for bit in encoded["assistant_masks"]]
        return self._tokenize_pair(row["prompt"], row["completion"])

    def _tokenize_pair(self, prompt: Any, completion: Any) -> tuple[list[int], list[bool]]:
        from trl.data_utils import common_prefix_length

        if isinstance(prompt, str):
            ended = completion if completion.endswith(self.end_token) else completion + self.end_token  # as TRL does
            head, ids = self.tokenizer(prompt)["input_ids"], self.tokenizer(prompt + ended)["input_ids"]
        else:
            apply = self.tokenizer.apply_chat_template
            head = apply(prompt, tokenize=True, return_dict=True, add_generation_prompt=True)["input_ids"]
            ids = apply([*prompt, *completion], tokenize=True, return_dict=True)["input_ids"]
        start = 0 if self.full_loss else common_prefix_length(head, ids)
        return ids, [position >= start for position in range(len(ids))]

    def _ends(self, in_loss: list[int]) -> bool:
        """Whether the loss closes with the end token; some templates put a line break after it."""
        while in_loss and in_loss[-1] != self.end_id and not self.tokenizer.decode(in_loss[-1:]).strip():
            in_loss = in_loss[:-1]
        return in_loss[-1:] == [self.end_id]

    def _keeps_reasoning(self, row: Row, in_loss: list[int]) -> bool:
        """Whether the reasoning of the last turn is among the tokens of the loss."""
        last = row["messages"][-1:] if "messages" in row else row["completion"]
        reasoning = ThinkParser().parse(completion_text(last)).reasoning
        if not reasoning:
            return True
        self.statistics.reasoning_rows += 1
        # Both sides go through the tokenizer, so that what it does to spaces or unknown words is no difference.
        wanted = self.tokenizer.decode(self.tokenizer(reasoning, add_special_tokens=False)["input_ids"])
        trained = self.tokenizer.decode(in_loss, skip_special_tokens=False)
        return "".join(wanted.split()) in "".join(trained.split())


def _training_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The template TRL puts in the place of one that does not mark what the assistant says."""
    from trl import get_training_chat_template
    from trl.chat_template_utils import has_generation_markers

    if has_generation_markers(tokenizer.chat_template or ""):
        return None
    try:
        template: str | None = get_training_chat_template(tokenizer)
    except ValueError as error:
        raise TemplateError(
            "assistant_only_loss: the chat template does not mark what the assistant says; set `chat_template: r1`"
        ) from error
    return template


def load_sft(
    script_args: R1ScriptArguments,
    dataset_args: DatasetMixtureConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    training_args: SFTConfig,
) -> PromptData:
    """
    Load rows for [`~trl.SFTTrainer`].

    Accepts `messages`; `prompt` with `completion`, as text or messages; or a problem (`dataset_prompt_column`) with
    `completion` or `response`. Chats become `prompt` and `completion`, for which TRL trains on the completion alone;
    with `assistant_only_loss` they become `messages`, and every assistant turn is trained on.

    Args:
        script_args ([`R1ScriptArguments`]):
            Dataset, columns and templates.
        dataset_args ([`~trl.DatasetMixtureConfig`], *optional*):
            A mixture instead of one dataset.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's, with the recipe's chat template.
        training_args ([`~trl.SFTConfig`]):
            What the trainer will be given.

    Returns:
        [`PromptData`]: only the columns the trainer reads.

    Raises:
        [`DataError`]: when the data cannot be read or no row can be trained on; the message says why.
        [`TemplateError`]: when the chat template drops the reasoning.
    """
    checker = SFTRowChecker(tokenizer, training_args)
    raw = load_sources(script_args, dataset_args, training_args.output_dir)
    prepared = [_prepare(source, script_args, tokenizer, training_args, checker) for source in raw]
    _log_mask(checker.statistics)
    parts = first_rows([dataset for dataset, _ in prepared], script_args.max_train_rows)
    return PromptData(dataset=join_parts(parts, order_by=PLACE), sources=describe_sources(raw, prepared, parts))


def _prepare(
    source: RawSource,
    script_args: R1ScriptArguments,
    tokenizer: PreTrainedTokenizerBase,
    args: SFTConfig,
    checker: SFTRowChecker,
) -> tuple[Dataset, dict[str, int]]:
    from datasets import Dataset

    convert = _find_converter(source, script_args, tokenizer, args)
    rows: list[Row | str] = [convert(row) for row in source.dataset]  # a row for the trainer, or why there is none
    chats = [row for row in rows if isinstance(row, dict) and not isinstance(row.get("prompt"), str)]
    if any(THINK_CLOSE in completion_text(row.get("completion") or row["messages"][-1:]) for row in chats):
        check_round_trip(tokenizer)
    reasons = [row if isinstance(row, str) else checker.problem(row) for row in rows]
    try:
        dropped = count_dropped(reasons, source.name)
    except DataError as error:
        raise DataError(f"{error}{_advice(reasons, checker)}") from error
    usable = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
    return Dataset.from_list(usable), dropped


def _find_converter(
    source: RawSource, script_args: R1ScriptArguments, tokenizer: PreTrainedTokenizerBase, args: SFTConfig
) -> Callable[[Row], Row | str]:
    """The function that brings this dataset's rows into the trainer's form."""
    columns = source.dataset.column_names
    if "messages" in columns:
        return lambda row: _from_messages(row["messages"], args.assistant_only_loss)
    problem = script_args.dataset_prompt_column
    if problem not in columns and "prompt" in columns:
        problem = "prompt"
    check_column(source.dataset, problem, "dataset_prompt_column", source.name)
    completion = next((name for name in COMPLETION_COLUMNS if name in columns), None)
    if completion is None:
        check_column(source.dataset, COMPLETION_COLUMNS[0], "completion", source.name)
    # A ready text prompt is trained on as it is; a bare problem is shown as the policy will be shown it.
    renderer = None if problem == "prompt" else PromptRenderer(tokenizer, script_args.prompt_template)
    return lambda row: _from_pair(row[problem], row[completion or ""], renderer, args.assistant_only_loss)


def _from_messages(messages: Any, keep_messages: bool) -> Row | str:
    if not messages or messages[-1].get("role") != "assistant":
        return "last_turn_not_assistant"
    if any(not isinstance(message.get("content"), str) for message in messages):
        return "content_missing"
    if not completion_text(messages[-1:]).strip():
        return "completion_missing"
    if len(messages) == 1:
        return "prompt_missing"
    return {"messages": messages} if keep_messages else {"prompt": messages[:-1], "completion": messages[-1:]}


def _from_pair(prompt: Any, completion: Any, renderer: PromptRenderer | None, keep_messages: bool) -> Row | str:
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        return "prompt_missing"
    if not completion or not completion_text(completion).strip():
        return "completion_missing"
    shown = renderer.to_prompt(prompt) if renderer and isinstance(prompt, str) else prompt
    if isinstance(shown, str):
        text = completion_text(completion)
        # Without the space the last word of the prompt and the first of the completion would be one token.
        return {"prompt": shown, "completion": text if shown[-1:].isspace() or text[:1].isspace() else " " + text}
    answer = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
    return _from_messages([*shown, *answer], keep_messages)


def _advice(reasons: list[str | None], checker: SFTRowChecker) -> str:
    """What to do when nothing is left, for the reason most rows share."""
    shared = max(set(reasons), key=reasons.count)
    advice: Mapping[str | None, str] = {
        "no_end_token": f"; the loss holds no end token {checker.end_token!r}, so the model would never stop: "
        "set eos_token to the one the chat template ends a turn with",
        "reasoning_not_in_loss": "; the chat template drops or masks the reasoning: set `chat_template: r1`",
        "longer_than_max_length": f"; raise max_length above {checker.max_length}",
    }
    return advice.get(shared, "")


def _log_mask(statistics: MaskStatistics) -> None:
    logger.info(
        "%.1f %% of %d tokens are in the loss; %d rows hold reasoning",
        100 * statistics.share,
        statistics.tokens,
        statistics.reasoning_rows,
    )
    if statistics.share == 0:
        raise DataError("dataset: no token is in the loss; check assistant_only_loss and completion_only_loss")
