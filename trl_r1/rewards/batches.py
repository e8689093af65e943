"""Parts of a batch: the rows of one group or type with all their columns, and what they log put back in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.errors import RewardError
from trl_r1.verifiers import Judgement, Verdict


def group_rows(prompts: Sequence[Any]) -> list[list[int]]:
    """
    Rows of each group: neighbours with the same prompt, as the trainer hands them over.

    A group that is split over processes is here the part of it that this process has.

    Args:
        prompts (`Sequence[Any]`):
            Prompts, as text or messages.

    Returns:
        `list[list[int]]`: row numbers, in order.
    """
    groups: list[list[int]] = []
    for row, prompt in enumerate(prompts):
        if row == 0 or prompt != prompts[row - 1]:
            groups.append([])
        groups[-1].append(row)
    return groups


def slice_batch(batch: Mapping[str, Any], rows: Sequence[int], size: int) -> dict[str, Any]:
    """
    The same reward call for some rows only.

    Args:
        batch (`Mapping[str, Any]`):
            Keyword arguments of a reward. Lists and tuples of `size` entries are columns; the rest is shared.
        rows (`Sequence[int]`):
            Rows wanted.
        size (`int`):
            Rows of the whole batch.

    Returns:
        `dict[str, Any]`: keyword arguments.
    """
    return {
        name: [value[row] for row in rows] if isinstance(value, list | tuple) and len(value) == size else value
        for name, value in batch.items()
    }


def column_of(columns: Mapping[str, Any], name: str, reward: str, parameter: str) -> Sequence[Any]:
    """
    A dataset column that a reward needs.

    Raises:
        [`RewardError`]: naming the parameter that names the column, when the rows have none of this name.
    """
    if name not in columns:
        raise RewardError(f"{reward}: the rows have no column {name!r}; name theirs with {parameter}")
    found: Sequence[Any] = columns[name]
    return found


def report_faults(log_fault: Callable[[int, str], None] | None, judgements: Mapping[int, Judgement]) -> None:
    """
    Report the rows a verifier could not decide: an error budget then counts them even where a whole group is `None`.

    Args:
        log_fault (`Callable`, *optional*):
            Given to a reward by [`~trl_r1.rewards.CheckedReward`] with an error budget.
        judgements (`Mapping[int, Judgement]`):
            Judgements by row.
    """
    for row, judgement in judgements.items() if log_fault is not None else ():
        if judgement.verdict is Verdict.UNDECIDABLE and log_fault is not None:
            log_fault(row, judgement.reason)


class BatchLogs:
    """
    Collects what parts of a batch log, and hands it on as if the batch had been scored at once.

    Args:
        size (`int`):
            Rows of the whole batch.

    Attributes:
        faults (`dict[int, str]`): rows that were reported as faults, with the reason.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.faults: dict[int, str] = {}
        self._columns: dict[str, list[Any]] = {}
        self._metrics: list[tuple[str, float]] = []

    def callbacks(self, rows: Sequence[int]) -> dict[str, Callable[..., None]]:
        """`log_extra`, `log_metric` and `log_fault` for a part that has these rows."""

        def log_extra(column: str, values: Sequence[Any]) -> None:
            if len(values) != len(rows):
                raise ValueError(f"log_extra got {len(values)} values of {column!r} for {len(rows)} completions")
            whole = self._columns.setdefault(column, [None] * self.size)
            for row, value in zip(rows, values, strict=True):
                whole[row] = value

        def log_metric(name: str, value: float) -> None:
            self._metrics.append((name, value))

        def log_fault(row: int, reason: str) -> None:
            self.faults[rows[row]] = reason

        return {"log_extra": log_extra, "log_metric": log_metric, "log_fault": log_fault}

    def update(self, other: BatchLogs) -> None:
        """Take over what another part of the same batch logged."""
        self.faults |= other.faults
        self._metrics += other._metrics
        for column, values in other._columns.items():
            whole = self._columns.setdefault(column, [None] * self.size)
            whole[:] = [old if new is None else new for old, new in zip(whole, values, strict=True)]

    def forward(self, batch: Mapping[str, Any]) -> None:
        """Call the callbacks of the whole batch, those it has, once a column."""
        logged = {"log_extra": self._columns.items(), "log_metric": self._metrics, "log_fault": self.faults.items()}
        for name, entries in logged.items():
            if (callback := batch.get(name)) is not None:
                for entry in entries:
                    callback(*entry)
