"""Score completions as the trainer would have, outside of it, and keep what each reward says about each row."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from trl_r1.bench.case import made_up_ids
from trl_r1.bench.completion_files import CompletionRow
from trl_r1.chat_template import completion_text
from trl_r1.errors import DataError
from trl_r1.rewards.registry import RewardFunction


BATCH_ROWS: Final = 512  # a group is never cut
_NO_COLUMNS = frozenset({"self", "log_extra", "log_metric", "log_fault"})  # what a reward gets from its caller


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """
    A completion with what it earned.

    Args:
        row ([`CompletionRow`]):
            The completion.
        rewards (`dict[str, float | None]`):
            Value of each reward.
        total (`float` or `None`):
            Their weighted sum as TRL makes it: a `None` beside numbers counts as 0; `None` when all are.
        why (`dict[str, Any]`):
            What the rewards logged about it: verdicts, defects, target language.
    """

    row: CompletionRow
    rewards: dict[str, float | None]
    total: float | None
    why: dict[str, Any] = field(default_factory=dict)


def score_rows(
    rewards: Sequence[RewardFunction],
    rows: Sequence[CompletionRow],
    weights: Sequence[float] | None = None,
    tokenizer: Any = None,
) -> list[ScoredRow]:
    """
    Score rows. Neighbours with one prompt are a group.

    Args:
        rewards (`Sequence[CheckedReward]`):
            What [`~trl_r1.rewards.build_rewards`] made.
        rows (`Sequence[CompletionRow]`):
            The completions.
        weights (`Sequence[float]`, *optional*):
            One a reward; by default 1 each.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            Counts the tokens of rows without `completion_ids`; without it a token is a word, digit or sign.

    Returns:
        `list[ScoredRow]`: one a row, in order.

    Raises:
        [`DataError`]: when a reward needs a column that no row has.
        [`RewardError`]: when a reward breaks its contract.
    """
    weights = list(weights or [1.0] * len(rewards))
    if len(weights) != len(rewards):
        raise DataError(f"weights: {len(weights)} for {len(rewards)} rewards; give one for each")
    names = dict.fromkeys(name for row in rows for name in row.columns if name not in _NO_COLUMNS)
    for reward in rewards if rows else ():
        missing = reward.missing_columns(list(names))
        if missing:
            raise DataError(
                f"{reward.name} needs the column {missing[0]!r}; the rows have {', '.join(sorted(names)) or 'none'}"
            )
    scored: list[ScoredRow] = []
    for batch in _batches(rows):
        arguments = _arguments(batch, names, tokenizer)
        values, said = _call_all(rewards, arguments)
        for index, row in enumerate(batch):
            own = {reward.name: values[reward.name][index] for reward in rewards}
            why = {name: column[index] for name, column in said.items() if index < len(column) and column[index] != ""}
            scored.append(ScoredRow(row, own, weighted_sum(list(own.values()), weights), why))
    return scored


def weighted_sum(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """
    The reward of a row as TRL makes it from those of the functions: `nansum`, and nothing when all are `None`.

    Example:

    ```python
    >>> weighted_sum([1.0, None], [1.0, 0.5]), weighted_sum([None, None], [1.0, 0.5])
    (1.0, None)
    ```
    """
    known = [value * weight for value, weight in zip(values, weights, strict=True) if value is not None]
    return sum(known) if known else None


def _batches(rows: Sequence[CompletionRow]) -> Iterator[list[CompletionRow]]:
    """Whole groups, about `BATCH_ROWS` rows at a time, never text and messages together."""
    batch: list[CompletionRow] = []
    for _, neighbours in groupby(rows, key=lambda row: (isinstance(row.completion, str), repr(row.prompt))):
        group = list(neighbours)
        mixed = batch and isinstance(batch[0].completion, str) is not isinstance(group[0].completion, str)
        if batch and (mixed or len(batch) + len(group) > BATCH_ROWS):
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch


def _arguments(batch: Sequence[CompletionRow], names: Mapping[str, None], tokenizer: Any) -> dict[str, Any]:
    from transformers import TrainerState

    columns: dict[str, Any] = {name: [row.columns.get(name) for row in batch] for name in names}
    return columns | {
        "prompts": [row.prompt for row in batch],
        "completions": [row.completion for row in batch],
        "completion_ids": [_ids_of(row, tokenizer) for row in batch],
        "trainer_state": TrainerState(),
        "log_metric": lambda name, value: None,
    }


def _ids_of(row: CompletionRow, tokenizer: Any) -> list[int]:
    known = row.columns.get("completion_ids")
    if isinstance(known, list):
        return known
    text = completion_text(row.completion)
    return list(tokenizer.encode(text, add_special_tokens=False)) if tokenizer is not None else made_up_ids(text)


def _call_all(
    rewards: Sequence[RewardFunction], arguments: dict[str, Any]
) -> tuple[dict[str, list[float | None]], dict[str, Sequence[Any]]]:
    """Values by reward, and the columns they logged; of two of one name, the later under the reward's own."""
    values: dict[str, list[float | None]] = {}
    said: dict[str, Sequence[Any]] = {}
    for reward in rewards:
        own: dict[str, Sequence[Any]] = {}
        output: Any = reward(**arguments, log_extra=own.__setitem__)
        values[reward.name] = asyncio.run(output) if inspect.iscoroutine(output) else output
        said |= {(f"{reward.name}/{name}" if name in said else name): column for name, column in own.items()}
    return values, said
