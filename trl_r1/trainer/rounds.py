"""One rollout out of several rounds of generation: its tensors, its metrics and its table of completions.

What is merged here is what TRL 1.16 returns from `_generate_and_score_completions` and what it writes to
`trainer._metrics` and `trainer._logs` on the way; `tests/compat/test_dynamic_sampling_hooks.py` pins all three.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

from trl_r1.trainer.rollout import Rollout


# What TRL pads with, and on which side; `None` stands for the padding token.
PADDING: Final[dict[str, tuple[str, float | None]]] = {
    "prompt_ids": ("left", None),
    "prompt_mask": ("left", 0),
    "completion_ids": ("right", None),
    "completion_mask": ("right", 0),
    "tool_mask": ("right", 1),
    "old_per_token_logps": ("right", 0.0),
    "ref_per_token_logps": ("right", 0.0),
    "sampling_per_token_logps": ("right", 0.0),
    "importance_sampling_ratio": ("right", 1.0),  # masked in the loss
}
ONE_A_ROW: Final = ("advantages",)
ITEMS: Final = "num_items_in_batch"
TOTAL: Final = "num_tokens"  # not a value a rollout: TRL assigns the sum so far
COUNTS: Final = ("unscorable_rows",)  # added up over the rounds
COLUMNS: Final = ("prompt", "completion", "advantages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """
    One round of generation.

    Args:
        output (`dict[str, Any]`):
            What TRL made of this process's rows.
        rollout ([`Rollout`]):
            What was scored.
        signal (`torch.Tensor`):
            Whether the rewards of a group differ, shape `(processes, groups of a process)`.
        metrics (`dict[str, list[float]]`):
            Values TRL and callbacks added to the log.
        table (`dict[str, Any]`):
            Rows of the table of completions, of all processes.
    """

    output: dict[str, Any]
    rollout: Rollout
    signal: torch.Tensor
    metrics: dict[str, list[float]]
    table: dict[str, Any]

    @property
    def rows(self) -> int:
        """Completions of all processes."""
        return self.signal.numel() * self.rollout.num_generations

    @property
    def lengths(self) -> list[int]:
        """Tokens of this process's completions."""
        return [len(ids) for ids in self.rollout.completion_ids]


def empty_table() -> dict[str, Any]:
    """A table of completions as TRL keeps it, without its limit."""
    return {
        "images": deque(),
        "prompt": deque(),
        "completion": deque(),
        "rewards": defaultdict(deque),
        "advantages": deque(),
        "extra": defaultdict(deque),
    }


def choose_groups(signals: Sequence[torch.Tensor]) -> tuple[list[list[tuple[int, int]]], list[int]]:
    """
    Put groups with signal of later rounds into the places of the first round's groups without.

    Args:
        signals (`Sequence[torch.Tensor]`):
            `Round.signal` of each round.

    Returns:
        `tuple[list[list[tuple[int, int]]], list[int]]`: for each process and place the round and the group in it; and
        how many places of each process still lack signal. Earlier groups win, so that which group is used does not
        depend on how long its completions are.
    """
    chosen, lacks = [], []
    for process in range(signals[0].size(0)):
        places = [(0, group) for group in range(signals[0].size(1))]
        lacking = [group for group, has in enumerate(signals[0][process].tolist()) if not has]
        fresh = [
            (number, group)
            for number, signal in enumerate(signals[1:], start=1)
            for group, has in enumerate(signal[process].tolist())
            if has
        ]
        for place, source in zip(lacking, fresh, strict=False):
            places[place] = source
        chosen.append(places)
        lacks.append(max(0, len(lacking) - len(fresh)))
    return chosen, lacks


def rows_of(groups: Sequence[tuple[int, int]], num_generations: int) -> list[tuple[int, int]]:
    """The round and the row in it of every completion of some groups."""
    return [(number, group * num_generations + row) for number, group in groups for row in range(num_generations)]


def merge_outputs(
    rounds: Sequence[Round], picks: Sequence[tuple[int, int]], pad_token_id: int, multiple: int | None = None
) -> dict[str, Any]:
    """
    Lay the rows of several rounds on top of one another, padded as TRL pads, to the longest of them.

    Args:
        rounds (`Sequence[Round]`):
            What was generated.
        picks (`Sequence[tuple[int, int]]`):
            Round and row of this process, in the order wanted.
        pad_token_id (`int`):
            The padding token.
        multiple (`int`, *optional*):
            Widths are multiples of it (`pad_to_multiple_of`).

    Returns:
        `dict[str, Any]`: every tensor of a row; `num_items_in_batch` is left to the caller.

    Raises:
        `ValueError`: when a round holds something whose padding is not known, or lacks what another has.
    """
    widths = {
        "left": _round_up(max(_prompt_length(rounds[number], row) for number, row in picks), multiple),
        "right": _round_up(max(rounds[number].lengths[row] for number, row in picks), multiple),
    }
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in rounds for name in one.output if name != ITEMS):
        if name not in PADDING and name not in ONE_A_ROW:
            raise ValueError(f"{name}: dynamic_sampling cannot merge it; set `dynamic_sampling: false`")
        side, value = PADDING.get(name, ("", 0))
        fill = pad_token_id if value is None else value
        tensors = [_tensor(one, name) for one in rounds]
        if side and any(tensor.size(1) > 1 for tensor in tensors):  # a ratio of whole sequences has width 1
            tensors = [_resize(tensor, widths[side], side, fill) for tensor in tensors]
        merged[name] = torch.stack([tensors[number][row] for number, row in picks])
    return merged


def _tensor(one: Round, name: str) -> torch.Tensor:
    if name in one.output:
        tensor: torch.Tensor = one.output[name]
        return tensor
    if name == "tool_mask":  # no token came from elsewhere
        return torch.ones_like(one.output["completion_mask"])
    raise ValueError(
        f"{name}: a round of dynamic_sampling lacks what another has; make rollout_func return the same keys each time"
    )


def _resize(tensor: torch.Tensor, width: int, side: str, fill: float) -> torch.Tensor:
    """Pad or cut on one side; what is cut off is padding of every row that is picked."""
    more = width - tensor.size(1)
    return functional.pad(tensor, (more, 0) if side == "left" else (0, more), value=fill)


def _prompt_length(one: Round, row: int) -> int:
    return int(one.output["prompt_mask"][row].sum())


def _round_up(length: int, multiple: int | None) -> int:
    return length if not multiple else -(-length // multiple) * multiple


def merge_metrics(rounds: Sequence[tuple[int, Mapping[str, Sequence[float]]]]) -> dict[str, float]:
    """
    One value of each metric for a rollout of several rounds: they describe everything that was generated.

    Means are weighted by the rows of their round, `min...` and `max...` are the extremes, counts are added, NaN is
    left out. A mean over a part of the rows (`mean_terminated_length`) and a deviation are so only nearly those of
    all rows.

    Args:
        rounds (`Sequence[tuple[int, Mapping[str, Sequence[float]]]]`):
            Rows and metrics of each round.
    """
    merged = {}
    for name in dict.fromkeys(name for _, metrics in rounds for name in metrics):
        found = [
            (rows, math.fsum(values) / len(values))
            for rows, metrics in rounds
            if (values := [value for value in metrics.get(name, ()) if not math.isnan(value)])
        ]
        merged[name] = _combine(name, found)
    return merged


def _combine(name: str, found: Sequence[tuple[int, float]]) -> float:
    if not found:
        return math.nan
    if name == TOTAL:
        return found[-1][1]
    if name in COUNTS:
        return math.fsum(value for _, value in found)
    extreme = {"min": min, "max": max}.get(name.rsplit("/", 1)[-1].split("_")[0])
    if extreme is not None:
        return extreme(value for _, value in found)
    return math.fsum(rows * value for rows, value in found) / sum(rows for rows, _ in found)


def extend_table(table: dict[str, Any], rounds: Sequence[Round], picks: Sequence[tuple[int, int]]) -> None:
    """
    Add the rows that are trained on to TRL's table of completions, every column equally many.

    Args:
        table (`dict[str, Any]`):
            `trainer._logs`.
        rounds (`Sequence[Round]`):
            What was generated.
        picks (`Sequence[tuple[int, int]]`):
            Round and row in it, counted over all processes.
    """
    for name in COLUMNS:
        table[name].extend(_column([one.table[name] for one in rounds], picks))
    for part in ("rewards", "extra"):
        for name in dict.fromkeys(_names(part, [table, *(one.table for one in rounds)])):
            columns = [one.table[part].get(name) for one in rounds]
            table[part][name].extend(_column(columns, picks))


def _names(part: str, tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for table in tables:
        yield from table[part]


def _column(columns: Sequence[Any], picks: Sequence[tuple[int, int]]) -> list[Any]:
    """Cells of one column; `None` where a round lacks it (its rows are of another type)."""
    lists = [None if column is None else list(column) for column in columns]
    return [None if (column := lists[number]) is None else column[row] for number, row in picks]
