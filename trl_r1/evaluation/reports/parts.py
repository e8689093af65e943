"""The numbers of parts of the questions, by a column or by how often they are solved, and declared comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from trl_r1.evaluation.reports.results import Result, result_cell
from trl_r1.evaluation.reports.text_table import TextTable, with_intervals
from trl_r1.stage_record import Measurement


DIFFICULTY: Final = "difficulty"
_PARTS: Final = {"groups": None, "by_difficulty": DIFFICULTY}  # field of a record -> what parts it, or `group_by` says
_PARTED: Final = "95 % intervals, for other questions of this kind and other samples."
_SOLVED: Final = (
    "Hard: solved in less than a third of the answers; middle: in up to two thirds; easy: in more. Each policy by its "
    "own answers, so that the questions differ."
)


def read_parts(evaluations: Sequence[Mapping[str, Any]]) -> list[Result]:
    """
    The numbers of each part of the questions, in the order of the records.

    Args:
        evaluations (`Sequence[Mapping[str, Any]]`):
            `StageRecord.evaluations`.

    Returns:
        `list[Result]`: with `parted_by` and `part`.
    """
    return [result for record in evaluations for result in _parts(record)]


def _parts(record: Mapping[str, Any]) -> Iterator[Result]:
    for field, parted_by in _PARTS.items():
        for part, metrics in (record.get(field) or {}).items():
            for metric, measured in metrics.items():
                yield Result(
                    checkpoint=record["checkpoint"],
                    suite=record["suite"],
                    mode=record["mode"],
                    variant=record.get("variant"),
                    parted_by=parted_by or record.get("group_by") or "group",
                    part=part,
                    metric=metric,
                    value=measured["value"],
                    low=measured.get("low"),
                    high=measured.get("high"),
                    num_samples=measured.get("n"),
                )


def part_tables(parts: Sequence[Result]) -> list[TextTable]:
    """One table a suite and what parts it: a row a checkpoint, mode, way to ask and part, a column a metric."""
    kinds = dict.fromkeys((each.suite, each.parted_by or "") for each in parts)
    return [_part_table(*kind, [each for each in parts if (each.suite, each.parted_by) == kind]) for kind in kinds]


def _part_table(suite: str, parted_by: str, parts: Sequence[Result]) -> TextTable:
    varied = any(each.variant for each in parts)
    metrics = list(dict.fromkeys(each.metric for each in parts))
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for each in parts:
        key = (each.checkpoint, each.mode, *([each.variant or ""] if varied else []), str(each.part))
        cells.setdefault(key, {})[each.metric] = result_cell(each)
    return TextTable(
        title=f"{suite} by {parted_by}",
        columns=["checkpoint", "mode", *(["asked as"] if varied else []), parted_by, *metrics],
        rows=[[*key, *(own.get(metric, "") for metric in metrics)] for key, own in cells.items()],
        caption=f"{_SOLVED} {_PARTED}" if parted_by == DIFFICULTY else _PARTED,
        numbers_from=4 if varied else 3,
    )


def difference_table(differences: Mapping[str, Measurement]) -> TextTable:
    """
    The comparisons that a recipe declared.

    Args:
        differences (`Mapping[str, Measurement]`):
            By what was compared, in words.
    """
    return TextTable(
        title="comparisons",
        columns=["comparison", "difference", "questions"],
        rows=[
            [label, with_intervals(found.value, (found.low, found.high), (None, None), sign="+"), f"{found.n:,}"]
            for label, found in differences.items()
        ],
        caption="95 % intervals, paired by question, for other questions of this kind and other samples.",
    )
