"""Logic with three values: true, false, and `None` for what is not known yet."""

from __future__ import annotations

from collections.abc import Iterable


def matched(table: list[list[bool]]) -> bool:
    """Whether each row can have a column of its own that is true (augmenting paths)."""
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, allowed in enumerate(table[row]):
            if allowed and column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(table)))


def all_of(found: Iterable[bool | None]) -> bool | None:
    """Three-valued `all`."""
    unknown = False
    for each in found:
        if each is False:
            return False
        unknown = unknown or each is None
    return None if unknown else True


def any_of(found: Iterable[bool | None]) -> bool | None:
    """Three-valued `any`."""
    unknown = False
    for each in found:
        if each is True:
            return True
        unknown = unknown or each is None
    return None if unknown else False
