"""Our scores beside published ones, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trl_r1.evaluation.published import Agreement
from trl_r1.evaluation.reports.text_table import TextTable


CAPTION: Final = (
    "Sigmas: the difference in standard errors of both numbers over samples on the same questions, and of rounding; "
    "at least, as the published one's error is bounded. In parentheses: were every question right half of the time, "
    "the largest error there can be."
)


def agreement_table(rows: Sequence[tuple[str, Agreement]]) -> TextTable:
    """
    A table of agreements.

    Args:
        rows (`Sequence[tuple[str, Agreement]]`):
            Each with what was measured, in words.
    """
    sources = {each.number.collection: each.number for _, each in rows}
    named = [f"{name} (version {number.version}): {number.source}." for name, number in sources.items()]
    return TextTable(
        title=f"beside what is published of {rows[0][1].number.model}" if rows else "nothing is published of it",
        columns=["measured", "benchmark", "metric", "published in", "verdict", "ours", "published", "sigmas"],
        rows=[_row(measured, each) for measured, each in rows],
        caption=" ".join([CAPTION, *named]),
        numbers_from=5,
    )


def _row(measured: str, each: Agreement) -> list[str]:
    number = each.number
    notes = "; ".join(each.protocol_differences) if each.sigmas is not None else ""
    return [
        measured,
        number.benchmark,
        number.metric,
        number.collection,
        f"{each.verdict} ({notes})" if notes else each.verdict,
        "" if each.ours is None else f"{each.ours:.1f}",
        f"{number.value:g}",
        "" if each.sigmas is None else f"{each.sigmas:.1f} ({each.sigmas_worst_case:.1f})",
    ]
