"""Rows for supervised fine-tuning: brought into the trainer's form, checked, counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import THINK_CLOSE, check_round_trip, completion_text
from trl_r1.data.mixture import PLACE, RawSource, load_sources
from trl_r1.data.prompts import describe_sources
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import PromptData, check_column, count_dropped, first_rows, join_parts
from trl_r1.data.schemas import read_as
from trl_r1.data.sft_check import MaskStatistics, Row, RowVerdict, SFTRowChecker, verdict_columns
from trl_r1.data.sharing import Batch, code_key, main_process_first, map_batches, map_shared, tokenizer_key
from trl_r1.errors import DataError
from trl_r1.stage_record import hash_json


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import DatasetMixtureConfig, SFTConfig

    from trl_r1.script_arguments import R1ScriptArguments

logger = logging.getLogger(__name__)

COMPLETION_COLUMNS = ("completion", "response")
THOUGHT_FIELDS = ("reasoning_content", "thinking", "reasoning")  # of a message, where its thoughts stand apart


def load_sft(
    script_args: R1ScriptArguments,
    dataset_args: DatasetMixtureConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    training_args: SFTConfig,
) -> PromptData:
    """
    Load rows for [`~trl.SFTTrainer`].

    Rows are checked by all processes of the launcher, each `dataset_num_proc` at once, and lie on disk.

    Accepts `messages`; `prompt` with `completion`, as text or messages; a problem (`dataset_prompt_column`) with
    `completion` or `response`; and the schemas of [`~trl_r1.data.schemas.SCHEMAS`] that feed SFT. Chats become
    `prompt` and `completion`, for which TRL trains on the completion alone; with `assistant_only_loss` they become
    `messages`, and every assistant turn is trained on. A message's `reasoning_content` or `thinking` becomes the
    beginning of its content, in think tags.

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
    found = load_sources(script_args, dataset_args, training_args.output_dir)
    read = [read_as(source, script_args, "sft") for source in found]
    raw = [source for source, _ in read]
    statistics = MaskStatistics()
    prepared = [_prepare(source, args, training_args, checker, statistics) for source, args in read]
    _log_mask(statistics)
    parts = first_rows([dataset for dataset, _ in prepared], script_args.max_train_rows)
    return PromptData(dataset=join_parts(parts, order_by=PLACE), sources=describe_sources(raw, prepared, parts))


def _prepare(
    source: RawSource,
    script_args: R1ScriptArguments,
    args: SFTConfig,
    checker: SFTRowChecker,
    statistics: MaskStatistics,
) -> tuple[Dataset, dict[str, int]]:
    from datasets import Features, Value

    form = _TrainerForm(source, script_args, checker.tokenizer, args)
    columns = {"reason": "string", "tokens": "int64", "in_loss": "int64", "reasons": "bool", "closes_thoughts": "bool"}
    key = hash_json([tokenizer_key(checker.tokenizer), checker.settings, form.key])
    checked = Features({name: Value(kind) for name, kind in columns.items()})

    def judge(batch: Batch) -> Batch:
        return verdict_columns(checker.check(form.rows(batch)))

    def check(share: Dataset) -> list[RowVerdict]:
        found = map_batches(share, judge, checked, key=key, workers=args.dataset_num_proc, desc="Checking rows")
        return [RowVerdict(**row) for row in found]

    verdicts: list[RowVerdict] = map_shared(source.dataset, check)
    statistics.add(verdicts)
    if any(verdict.closes_thoughts for verdict in verdicts):
        check_round_trip(checker.tokenizer)
    reasons = [verdict.reason for verdict in verdicts]
    try:
        dropped = count_dropped(reasons, source.name)
    except DataError as error:
        raise DataError(f"{error}{_advice(reasons, checker)}") from error
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    fit = source.dataset.select(kept) if dropped else source.dataset
    with main_process_first():
        rows = map_batches(
            fit, form.columns, form.features, key=form.key, workers=args.dataset_num_proc, desc="Writing rows"
        )
    return rows, dropped


class _TrainerForm:
    """How the rows of one source are brought into the trainer's form."""

    def __init__(
        self, source: RawSource, script_args: R1ScriptArguments, tokenizer: PreTrainedTokenizerBase, args: SFTConfig
    ) -> None:
        self.source = source.name
        self.keep_messages: bool = args.assistant_only_loss
        self.given = source.dataset.features
        self.prompt, self.completion = _find_columns(source, script_args)
        # A ready text prompt is trained on as it is; a bare problem is shown as the policy will be shown it.
        bare = self.prompt not in ("messages", "prompt")
        self.renderer = PromptRenderer(tokenizer, script_args.prompt_template) if bare else None
        self.features = self._features()
        template = self.renderer.template if self.renderer else None
        settings = [self.prompt, self.completion, self.keep_messages, template]
        self.key = hash_json([settings, str(self.features), code_key(__name__, "trl_r1.chat_template")])

    def rows(self, batch: Batch) -> list[Row | str]:
        """A row for the trainer, or why there is none, for each row of a batch."""
        if self.completion is None:
            return [_from_messages(messages, self.keep_messages) for messages in batch[self.prompt]]
        pairs = zip(batch[self.prompt], batch[self.completion], strict=True)
        return [_from_pair(prompt, answer, self.renderer, self.keep_messages) for prompt, answer in pairs]

    def columns(self, batch: Batch) -> Batch:
        """The trainer's columns of rows that are fit, and their place in the mixture."""
        rows = [row for row in self.rows(batch) if not isinstance(row, str)]
        columns = {name: [row[name] for row in rows] for name in self.features if name != PLACE}
        return {**columns, PLACE: batch[PLACE]} if PLACE in self.features else columns

    def _features(self) -> Any:
        from datasets import Features, Json, Value

        place = {PLACE: Value("int64")} if PLACE in self.given else {}
        prompt = _message_feature(self.given[self.prompt])
        answer = prompt if self.completion is None else _message_feature(self.given[self.completion])
        if prompt is None and (self.renderer is None or self.renderer.template is not None):
            return Features({"prompt": Value("string"), "completion": Value("string"), **place})
        plain = {"role": Value("string"), "content": Value("string")}
        prompt, answer = prompt or plain, answer or plain
        if self.keep_messages:
            both = {**prompt, **answer} if isinstance(prompt, dict) and isinstance(answer, dict) else Json()
            return Features({"messages": [both], **place})
        return Features({"prompt": [prompt], "completion": [answer], **place})


def _message_feature(feature: Any) -> Any:
    """How a column's messages are kept, without what becomes part of the content; `None` for a column of text."""
    item = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    if not isinstance(item, dict):
        return item
    return {name: kind for name, kind in item.items() if name not in THOUGHT_FIELDS}


def _find_columns(source: RawSource, script_args: R1ScriptArguments) -> tuple[str, str | None]:
    """Columns of prompt and completion; the second is `None` where one column holds whole chats."""
    columns = source.dataset.column_names
    if "messages" in columns:
        return "messages", None
    problem = script_args.dataset_prompt_column
    if problem not in columns and "prompt" in columns:
        problem = "prompt"
    check_column(source.dataset, problem, "dataset_prompt_column", source.name)
    completion = next((name for name in COMPLETION_COLUMNS if name in columns), None)
    if completion is None:
        check_column(source.dataset, COMPLETION_COLUMNS[0], "completion", source.name)
    return problem, completion


def with_thoughts(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message whose thoughts stand in its content."""
    thoughts = next((message[name] for name in THOUGHT_FIELDS if message.get(name)), None)
    plain = {name: value for name, value in message.items() if name not in THOUGHT_FIELDS}
    if not isinstance(thoughts, str) or THINK_CLOSE in str(message.get("content")):
        return plain
    return {**plain, "content": completion_text([{**plain, "reasoning_content": thoughts}])}


def _from_messages(messages: Any, keep_messages: bool) -> Row | str:
    if not messages or messages[-1].get("role") != "assistant":
        return "last_turn_not_assistant"
    messages = [with_thoughts(message) for message in messages]
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
