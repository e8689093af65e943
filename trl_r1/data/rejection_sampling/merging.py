"""Which of the samples that passed become rows: no duplicates, so many of a problem, of a domain, in all."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trl_r1.data.filters import RejectionFilters


if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """
    The rows chosen.

    Args:
        rows (`list[int]`):
            Their numbers among the outcomes, in the order of the questions, and of the samples of each.
        num_solved (`int`):
            Different problems among them.
        dropped (`Counter[str]`):
            The other samples, by reason.
    """

    rows: list[int]
    num_solved: int
    dropped: Counter[str]


def merge_outcomes(outcomes: Dataset, filters: RejectionFilters, seed: int) -> Merged:
    """
    Choose the rows of a data set.

    Only the keys of the samples that passed are held in memory, some 100 bytes each.

    Args:
        outcomes ([`~datasets.Dataset`]):
            What became of every sample, in any order.
        filters ([`RejectionFilters`]):
            The limits.
        seed (`int`):
            Of the random choices.
    """
    columns = _Columns(outcomes)
    dropped: Counter[str] = Counter()
    passed = []
    for row in columns.order:
        if (reason := columns.reason(row)) is not None:
            dropped[reason] += 1
        else:
            passed.append(row)
    single = _first_of_each(passed, columns)
    dropped.update(duplicate=len(passed) - len(single))
    few = _few_of_each_problem(single, columns, filters.max_kept_per_prompt)
    balanced = _balance(few, columns, filters, seed)
    dropped.update(over_domain_limit=len(few) - len(balanced))
    rows = _choose(balanced, filters.max_rows, random.Random(seed))
    dropped.update(over_limit=len(single) - len(few) + len(balanced) - len(rows))
    return Merged(rows=rows, num_solved=len({columns.problem(row) for row in rows}), dropped=+dropped)


class _Columns:
    """The columns that the choice depends on, read a value at a time from the memory-mapped table."""

    def __init__(self, outcomes: Dataset) -> None:
        import numpy as np

        self._table = outcomes.data
        prompts = np.concatenate([chunk.to_numpy() for chunk in self._table.column("prompt").chunks] or [[]])
        samples = np.concatenate([chunk.to_numpy() for chunk in self._table.column("sample").chunks] or [[]])
        self.order: list[int] = np.lexsort((samples, prompts)).tolist()
        self._reasons = _values(self._table, "reason")
        self._problems = _values(self._table, "problem_key")
        self._texts = _values(self._table, "text_key")
        self._domains = _values(self._table, "domain")

    def reason(self, row: int) -> str | None:
        reason: str | None = self._reasons[row]
        return reason

    def problem(self, row: int) -> bytes:
        key: bytes = self._problems[row]
        return key

    def text(self, row: int) -> bytes:
        key: bytes = self._texts[row]
        return key

    def domain(self, row: int) -> str | None:
        domain: str | None = self._domains[row]
        return domain


def _values(table: Any, name: str) -> list[Any]:
    """A column as a list in which equal values are one object."""
    known: dict[Any, Any] = {}
    return [known.setdefault(value, value) for chunk in table.column(name).chunks for value in chunk.to_pylist()]


def _first_of_each(rows: list[int], columns: _Columns) -> list[int]:
    """The first of equal responses to equal problems; spaces do not tell them apart."""
    seen: set[bytes] = set()
    left = []
    for row in rows:
        if (key := columns.text(row)) not in seen:
            seen.add(key)
            left.append(row)
    return left


def _few_of_each_problem(rows: list[int], columns: _Columns, limit: int | None) -> list[int]:
    if limit is None:
        return rows
    of_problem: Counter[bytes] = Counter()
    left = []
    for row in rows:
        problem = columns.problem(row)
        of_problem[problem] += 1
        if of_problem[problem] <= limit:
            left.append(row)
    return left


def _balance(rows: list[int], columns: _Columns, filters: RejectionFilters, seed: int) -> list[int]:
    """At most so many rows of a domain, a random choice."""
    named, each = filters.domain_max_rows or {}, filters.max_rows_per_domain
    if not named and each is None:
        return rows
    of_domain: dict[str | None, list[int]] = {}
    for row in rows:
        of_domain.setdefault(columns.domain(row), []).append(row)
    chosen: set[int] = set()
    for domain, members in of_domain.items():
        limit = each if domain is None else named.get(domain, each)
        chosen.update(_choose(members, limit, random.Random(f"{seed}:{domain}")))
    return [row for row in rows if row in chosen]


def _choose(rows: list[int], limit: int | None, generator: random.Random) -> list[int]:
    """So many rows at random, their order kept."""
    if limit is None or len(rows) <= limit:
        return rows
    return [rows[index] for index in sorted(generator.sample(range(len(rows)), limit))]
