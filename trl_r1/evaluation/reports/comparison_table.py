"""The comparison of two checkpoints as a table."""

from __future__ import annotations

from trl_r1.evaluation.checkpoint_comparison import CheckpointComparison, ComparedMetric
from trl_r1.evaluation.reports.text_table import INTERVALS, TextTable, short, with_intervals


CAPTION = (
    f"Paired by question, after less before. {INTERVALS} p is adjusted for the number of comparisons by Holm's "
    "method; in parentheses, alone."
)


def comparison_table(comparison: CheckpointComparison) -> TextTable:
    """
    A comparison as a table of text.

    Args:
        comparison ([`CheckpointComparison`]):
            Of [`compare_checkpoints`].
    """
    left_out = [
        f"Of {row.suite} ({row.mode}), {row.metric}: {row.left_out} questions are left out, not in both or without a "
        "value of it in one."
        for row in comparison.rows
        if row.left_out
    ]
    differences = [f"Compared anyway, though not alike: {each}." for each in comparison.protocol_differences]
    return TextTable(
        title=f"{comparison.before} -> {comparison.after}",
        columns=["suite", "mode", "metric", "verdict", "before", "after", "difference", "p", "up / down / same"],
        rows=[_row(row) for row in comparison.rows],
        caption=" ".join([CAPTION, *comparison.notes, *left_out, *differences]),
        numbers_from=4,
    )


def _row(row: ComparedMetric) -> list[str]:
    found = row.result
    return [
        f"{row.suite} ({row.variant})" if row.variant else row.suite,
        row.mode,
        row.metric,
        row.verdict,
        short(found.first),
        short(found.second),
        with_intervals(found.difference, (found.low, found.high), (found.sampling_low, found.sampling_high), sign="+"),
        "" if found.p_value is None or row.p_adjusted is None else f"{row.p_adjusted:.2g} ({found.p_value:.2g})",
        f"{found.better} / {found.worse} / {found.equal}",
    ]
