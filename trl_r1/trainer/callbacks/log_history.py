"""The log rows of a run, by metric, in the form rules ask for: recent means, the start, the running median."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


# The name TRL gives a metric, by the name it has when only some rows are measured.
ALIASES: Final = {"entropy_of_rows_with_signal": "entropy"}
MEDIAN_ROWS: Final = 200  # a decline over half as many is seen


@dataclass(slots=True)
class LogColumn:
    """
    One metric.

    Args:
        numbers (`list[float]`):
            Its finite values, in order.
        rows (`int`):
            Log rows that had it, also without a finite value.
        constant (`bool`):
            Whether all finite values so far are equal, but for the rounding of float32 means.
        largest (`float`):
            Largest of them, 0 at least.
        missing (`int`):
            Rows since the last finite value.
    """

    numbers: list[float] = field(default_factory=list)
    rows: int = 0
    constant: bool = True
    largest: float = 0.0
    missing: int = 0

    def add(self, value: float | None) -> None:
        """Take in the next value; TRL logs `None` where it had nothing to average."""
        self.rows += 1
        self.missing += 1
        if value is not None and math.isfinite(value):
            self.constant = self.constant and (not self.numbers or math.isclose(value, self.numbers[0], rel_tol=1e-6))
            self.largest = max(self.largest, value)
            self.numbers.append(value)
            self.missing = 0


class LogHistory:
    """
    The log rows of training steps so far.

    Args:
        scaled (`bool`, *optional*, defaults to `False`):
            Whether the loss is scaled, as for fp16.

    Attributes:
        row (`dict[str, Any]`): the last one.
    """

    def __init__(self, scaled: bool = False) -> None:
        self.scaled = scaled
        self.row: dict[str, Any] = {}
        self._columns: dict[str, LogColumn] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in the next row."""
        self.row = dict(row)
        for name, value in row.items():
            if value is None or isinstance(value, int | float):
                self._columns.setdefault(ALIASES.get(name, name), LogColumn()).add(value)

    def names(self) -> list[str]:
        """Metrics seen so far, in alphabetical order: a resumed run has lost the order they came in."""
        return sorted(self._columns)

    def column(self, name: str) -> LogColumn:
        """A metric; empty where it was never logged."""
        return self._columns.get(name, LogColumn())

    def recent(self, name: str, count: int) -> float | None:
        """Mean of the last `count` numbers; `None` while there are fewer."""
        numbers = self.column(name).numbers
        return statistics.fmean(numbers[-count:]) if len(numbers) >= count else None

    def recent_median(self, name: str, count: int) -> float | None:
        """Their median, for what has outliers; `None` while there are fewer."""
        numbers = self.column(name).numbers
        return statistics.median(numbers[-count:]) if len(numbers) >= count else None

    def median_before(self, name: str, count: int, fewest: int) -> float | None:
        """Median of up to 200 numbers before the last `count`; `None` while there are fewer than `fewest`."""
        before = self.column(name).numbers[-count - MEDIAN_ROWS : -count]
        return statistics.median(before) if len(before) >= fewest else None

    def at_start(self, name: str, count: int) -> float | None:
        """Mean of the first `count` numbers; `None` while there are fewer than twice as many."""
        numbers = self.column(name).numbers
        return statistics.fmean(numbers[:count]) if len(numbers) >= 2 * count else None
