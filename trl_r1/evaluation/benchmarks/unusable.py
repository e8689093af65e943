"""A row that is no question, with the reason in a word, under which it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trl_r1.errors import R1Error


class UnusableRowError(R1Error):
    """
    A row of a benchmark cannot be asked, or no answer to it could be judged.

    Its text is the reason as it is counted: a few words joined by underscores.
    """


def text_of(row: Mapping[str, Any], column: str) -> str:
    """
    The text in a column.

    Raises:
        [`UnusableRowError`]: when there is none.
    """
    value = row[column]
    if not isinstance(value, str) or not value.strip():
        raise UnusableRowError(f"{column}_missing")
    return value.strip()
