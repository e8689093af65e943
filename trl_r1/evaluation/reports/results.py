"""Every number of some evaluations, one row each, and its forms: for a terminal, Markdown, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from trl_r1.evaluation.reports.text_table import INTERVALS, TextTable, with_intervals


_ESTIMATED: Final = (
    *("value", "low", "high", "sampling_low", "sampling_high", "question_sd", "sampling_sd"),
    *("num_questions", "num_samples", "method"),
)
_FIRST: Final = ("accuracy", "pass@", "cons@")  # what is read first


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    One metric of one checkpoint, suite, mode and way to ask.

    Args:
        checkpoint, suite, mode, variant, metric (`str`):
            What was measured of whom; the variant is `None` where the question is asked in one way.
        parted_by, part (`str`, *optional*):
            Of which questions: the column or `difficulty`, and its value. `None` for all.
        value (`float`):
            The score.
        low, high (`float`, *optional*):
            95 % interval for other questions and other samples.
        sampling_low, sampling_high (`float`, *optional*):
            95 % interval for these very questions and other samples.
        question_sd, sampling_sd (`float`, *optional*):
            Spread of the questions' true scores, and of one answer within a question.
        num_questions, num_samples (`int`):
            Questions, and answers in all, that the metric applies to.
        undecidable, truncated (`int`, *optional*):
            Answers of the evaluation that could not be judged, and that were cut at the limit; `None` of a part.
        method (`str`, *optional*):
            Kind of the first interval.
    """

    checkpoint: str
    suite: str
    mode: str
    variant: str | None = None
    parted_by: str | None = None
    part: str | None = None
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    sampling_low: float | None = None
    sampling_high: float | None = None
    question_sd: float | None = None
    sampling_sd: float | None = None
    num_questions: int | None = None
    num_samples: int | None = None
    undecidable: int | None = None
    truncated: int | None = None
    method: str | None = None


def read_results(evaluations: Sequence[Mapping[str, Any]]) -> list[Result]:
    """
    The numbers of records, in their order.

    Args:
        evaluations (`Sequence[Mapping[str, Any]]`):
            `StageRecord.evaluations`. Those of earlier versions, without `uncertainty`, have one interval.
    """
    return [result for record in evaluations for result in _results(record)]


def _results(record: Mapping[str, Any]) -> Iterator[Result]:
    uncertain = record.get("uncertainty") or {}
    measured = record.get("metrics") or {}
    for metric in dict.fromkeys((*measured, *uncertain)):
        found = {
            "num_samples": measured.get(metric, {}).get("n"),
            **measured.get(metric, {}),
            **uncertain.get(metric, {}),
        }
        known = {name: found[name] for name in _ESTIMATED if found.get(name) is not None}
        yield Result(
            checkpoint=record["checkpoint"],
            suite=record["suite"],
            mode=record["mode"],
            variant=record.get("variant"),
            metric=metric,
            undecidable=record.get("undecidable", 0),
            truncated=record.get("truncated", 0),
            **{"method": (record.get("interval_methods") or {}).get(metric), **known},
        )


def result_tables(results: Sequence[Result]) -> list[TextTable]:
    """One table a suite: a row a checkpoint, mode and way to ask, a column a metric."""
    return [
        _suite_table(suite, [each for each in results if each.suite == suite]) for suite in _once(results, "suite")
    ]


def _suite_table(suite: str, results: Sequence[Result]) -> TextTable:
    metrics = sorted(_once(results, "metric"), key=lambda name: not name.startswith(_FIRST))
    varied = any(each.variant for each in results)
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for each in results:
        key = (each.checkpoint, each.mode, *([each.variant or ""] if varied else []))
        cells.setdefault(key, {})[each.metric] = result_cell(each)
    rows = [[*key, *(own.get(metric, "") for metric in metrics)] for key, own in cells.items()]
    places = ["checkpoint", "mode", *(["asked as"] if varied else [])]
    return TextTable(
        title=suite,
        columns=[*places, *metrics],
        rows=rows,
        caption=f"{_counts(results)} {INTERVALS}",
        numbers_from=len(places),
    )


def _counts(results: Sequence[Result]) -> str:
    """How many questions and answers, and what is wrong with some."""
    questions = sorted({each.num_questions for each in results if each.num_questions})
    samples = sorted({each.num_samples for each in results if each.num_samples})
    said = [f"{_span(own)} {name}" for own, name in ((questions, "questions"), (samples, "answers")) if own]
    for name, words in (("undecidable", "could not be judged"), ("truncated", "were cut at the limit")):
        most = max((getattr(each, name) or 0 for each in results), default=0)
        if most:
            said.append(f"at most {most} {words}")
    return f"{', '.join(said)}." if said else ""


def _span(counts: Sequence[int]) -> str:
    return f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"


def result_cell(result: Result) -> str:
    """A value with both intervals."""
    return with_intervals(result.value, (result.low, result.high), (result.sampling_low, result.sampling_high))


def to_csv(results: Sequence[Result]) -> str:
    """One row a number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [spec.name for spec in fields(Result)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in asdict(each).items()} for each in results)
    return text.getvalue()


def to_json(results: Sequence[Result]) -> str:
    """One object a number."""
    return json.dumps([asdict(each) for each in results], ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def to_markdown(results: Sequence[Result]) -> str:
    """All tables."""
    return "\n".join(table.to_markdown() for table in result_tables(results))


def _plain(value: Any) -> Any:
    """A spreadsheet runs what begins with these; it shows it behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _once(results: Sequence[Result], name: str) -> list[str]:
    return list(dict.fromkeys(getattr(each, name) for each in results))
