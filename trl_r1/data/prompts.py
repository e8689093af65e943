"""Prompts for reinforcement learning, rejection sampling and evaluation: checked, rendered, counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.data.mixture import PLACE, RawSource, load_sources
from trl_r1.data.prompt_augmentation import PromptAugmentation, augment_prompts
from trl_r1.data.rendering import Prompt, PromptRenderer
from trl_r1.data.rows import (
    REASONING,
    PromptData,
    check_column,
    first_rows,
    join_parts,
    keep_rows,
    map_rows,
    set_column,
)
from trl_r1.data.schemas import read_as
from trl_r1.errors import DataError


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import DatasetMixtureConfig

    from trl_r1.rewards import AsyncCheckedReward, CheckedReward
    from trl_r1.script_arguments import R1ScriptArguments

logger = logging.getLogger(__name__)

RESERVED_COLUMNS = (  # rewards get these from TRL or from us
    *("prompts", "completions", "trainer_state"),
    *("log_extra", "log_metric", "log_fault"),
)
CHECKED_AT_ONCE = 1024  # rows; those of code problems may be large
LISTED_PROBLEMS = 5  # rows a reward cannot score that are named in the log; all are counted


def load_prompts(
    script_args: R1ScriptArguments,
    dataset_args: DatasetMixtureConfig | None,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    system_prompt: str | None = None,
    rewards: Sequence[CheckedReward | AsyncCheckedReward] = (),
    output_dir: str | Path | None = None,
    augmentation: PromptAugmentation | None = None,
) -> PromptData:
    """
    Load the prompts of a stage.

    Rows come with a problem (`dataset_prompt_column`), with a ready `prompt` in one of TRL's formats, or in one of the
    schemas of [`~trl_r1.data.schemas.SCHEMAS`]. Rows that
    cannot be used (no prompt, no gold answer although the row is a reasoning row, a gold answer no verifier could ever
    confirm, a row that a reward says it cannot score) are dropped and counted.

    Args:
        script_args ([`R1ScriptArguments`]):
            Dataset, columns, template and response format.
        dataset_args ([`~trl.DatasetMixtureConfig`], *optional*):
            A mixture instead of one dataset.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`] or `None`):
            The policy's; `None` where a server keeps it to itself.
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            As the trainer will give them to the chat template.
        system_prompt (`str`, *optional*):
            First message of every chat.
        rewards (`Sequence[CheckedReward | AsyncCheckedReward]`, *optional*):
            Rewards the stage trains with, asked for the rows they cannot score.
        output_dir (`str` or `Path`, *optional*):
            Where the rows of `test_split_size` are kept. By default the script arguments' own, if they have one.
        augmentation ([`PromptAugmentation`], *optional*):
            In which ways to ask the questions, instead of the one that template and system prompt give.

    Returns:
        [`PromptData`]: columns `prompt`, `problem`, `solution`, `prompt_tail`, `response_format`, and the row's own.

    Raises:
        [`DataError`]: when the data cannot be read, lacks a column, is empty, or no row can be used.
        [`TemplateError`]: when prompts cannot be rendered.
    """
    renderer = PromptRenderer(
        tokenizer, script_args.prompt_template, script_args.response_format, chat_template_kwargs, system_prompt
    )
    found = load_sources(script_args, dataset_args, output_dir)
    read = [read_as(source, script_args, "prompts") for source in found]
    raw = [source for source, _ in read]
    prepared = [
        prepare_prompts(source, renderer, args.dataset_prompt_column, args.dataset_solution_column, rewards)
        for source, args in read
    ]
    parts = first_rows([dataset for dataset, _ in prepared], script_args.max_train_rows)
    dataset = join_parts(parts, order_by=PLACE)
    if augmentation is not None:
        dataset = augment_prompts(dataset, augmentation, renderer)
    return PromptData(dataset=dataset, sources=describe_sources(raw, prepared, parts))


def describe_sources(
    raw: Sequence[RawSource], prepared: Sequence[tuple[Dataset, dict[str, int]]], parts: Sequence[Dataset]
) -> list[Any]:
    """Entries for `stage.json`; rows cut by `max_train_rows` are counted beside the unusable ones."""
    described = []
    for source, (usable, dropped), part in zip(raw, prepared, parts, strict=True):
        beyond = len(usable) - len(part)
        counts = {**dropped, "beyond_max_train_rows": beyond} if beyond else dropped
        described.append(source.describe(len(part), counts))
    return described


def prepare_prompts(
    source: RawSource,
    renderer: PromptRenderer,
    prompt_column: str,
    solution_column: str,
    rewards: Sequence[CheckedReward | AsyncCheckedReward] = (),
) -> tuple[Dataset, dict[str, int]]:
    """
    Check and render one dataset.

    Returns:
        `tuple[Dataset, dict[str, int]]`: the usable rows with the columns named in [`load_prompts`], and the dropped
        rows by reason.

    Raises:
        [`DataError`]: when a column is missing or reserved, or no row can be used.
    """
    dataset = source.dataset
    ready = prompt_column not in dataset.column_names and "prompt" in dataset.column_names
    if not ready:
        check_column(dataset, prompt_column, "dataset_prompt_column", source.name)
    _check_reserved(dataset, source.name)
    _check_solutions_present(dataset, solution_column, source.name)
    column = "prompt" if ready else prompt_column
    gold_problems = _gold_problems(dataset, solution_column, source.name)

    def judge(row: dict[str, Any]) -> str | None:
        if not _usable_prompt(row[column]):
            return "prompt_missing"
        if not _is_reasoning(row):
            return None
        gold = gold_text(row[solution_column])
        if gold is None or not gold.strip():
            return "gold_missing"
        return "gold_unusable" if gold in gold_problems else None

    dataset, dropped = keep_rows(dataset, map_rows(dataset, judge), source.name)
    prompts = [row[column] if ready else renderer.to_prompt(row[column]) for row in dataset]
    tails = [renderer.tail_of(prompt) if ready else renderer.prompt_tail for prompt in prompts]
    problems = [problem_of(row[column]) for row in dataset]
    golds = [gold_text(row.get(solution_column)) for row in dataset]
    columns: dict[str, list[Any]] = {
        "prompt": prompts,
        "problem": problems,
        "solution": golds,
        "prompt_tail": tails,
        "response_format": [renderer.response_format] * len(prompts),
    }
    for name, values in columns.items():
        dataset = set_column(dataset, name, values)
    dataset, unscorable = keep_rows(dataset, _unscorable_reasons(dataset, rewards, source.name), source.name)
    return dataset, {**dropped, **unscorable}


def problem_of(prompt: Prompt) -> str:
    """The question itself: the text, or the last message of a chat."""
    return prompt if isinstance(prompt, str) else str(prompt[-1]["content"])


def gold_text(gold: Any) -> str | None:
    """A gold answer as text: numbers are written out, what cannot be an answer is `None`."""
    if isinstance(gold, bool) or not isinstance(gold, (str, int, float)):
        return None
    return str(gold)


def _usable_prompt(prompt: Any) -> bool:
    if isinstance(prompt, str):
        return bool(prompt.strip())
    if not isinstance(prompt, list) or not prompt:
        return False
    last = prompt[-1]
    if not isinstance(last, Mapping) or last.get("role") == "assistant":
        return False
    return isinstance(last.get("content"), str) and bool(last["content"].strip())


def _check_reserved(dataset: Dataset, source: str) -> None:
    taken = [name for name in RESERVED_COLUMNS if name in dataset.column_names]
    if taken:
        raise DataError(f"dataset: column {taken[0]!r} of {source!r} has a name TRL gives to rewards; rename it")


def _check_solutions_present(dataset: Dataset, column: str, source: str) -> None:
    """A dataset may do without gold answers only when each of its rows says that none decides."""
    if column in dataset.column_names:
        return
    kinds = set(dataset["reward_type"]) if "reward_type" in dataset.column_names else {None}
    if kinds & {None, REASONING}:
        check_column(dataset, column, "dataset_solution_column", source)


def _gold_problems(dataset: Dataset, column: str, source: str) -> dict[str, str]:
    """Unusable gold answers of the rows that one decides, and why; the first is logged."""
    from trl_r1.verifiers import check_golds

    texts = [gold_text(row[column]) for row in dataset if _is_reasoning(row)] if column in dataset.column_names else []
    golds = list(dict.fromkeys(text for text in texts if text is not None and text.strip()))
    problems = {gold: reason for gold, reason in zip(golds, check_golds(golds), strict=True) if reason is not None}
    for gold, reason in list(problems.items())[:1]:
        logger.warning("%s: %d gold answers are unusable, such as %r: %s", source, len(problems), gold, reason)
    return problems


def _unscorable_reasons(
    dataset: Dataset, rewards: Sequence[CheckedReward | AsyncCheckedReward], source: str
) -> list[str | None]:
    """For each row the first reward that cannot score it, `None` when all can; some are logged with the problem."""
    reasons: list[str | None] = []
    listed: Counter[str] = Counter()
    for start in range(0, len(dataset), CHECKED_AT_ONCE) if rewards else ():
        rows = list(dataset.select(range(start, min(start + CHECKED_AT_ONCE, len(dataset)))))
        found: list[str | None] = [None] * len(rows)
        for reward in rewards:
            for index, problem in enumerate(reward.check_rows(rows)):
                if problem is None:
                    continue
                found[index] = found[index] or f"unusable_for_{reward.name}"
                listed[reward.name] += 1
                if listed[reward.name] <= LISTED_PROBLEMS:
                    asked = rows[index]["problem"][:60]
                    logger.warning("%s: %s cannot score %r: %s", source, reward.name, asked, problem)
        reasons += found
    return reasons or [None] * len(dataset)


def first_of_each_type(dataset: Dataset) -> list[dict[str, Any]]:
    """The first row of each `reward_type`, to try the rewards on; the first row when there are no types."""
    types = dataset["reward_type"] if "reward_type" in dataset.column_names else [None] * len(dataset)
    firsts = {kind: index for index, kind in reversed(list(enumerate(types)))}
    return [dataset[index] for index in sorted(firsts.values())]


def _is_reasoning(row: Mapping[str, Any]) -> bool:
    return (row.get("reward_type") or REASONING) == REASONING
