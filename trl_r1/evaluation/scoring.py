"""The numbers of an evaluation's record, from its answers."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trl_r1.data.judging import JudgedSample
from trl_r1.evaluation.intervals import measure_mean, measure_rate
from trl_r1.evaluation.metrics import SampleMetric, Value
from trl_r1.stage_record import Measurement
from trl_r1.verifiers import Verdict


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSample:
    """A sample with the value of every metric."""

    sample: JudgedSample
    question: int
    values: dict[str, Value]


def summarise(
    scored: Sequence[ScoredSample], metrics: Sequence[SampleMetric], group_by: str | None = None
) -> dict[str, Any]:
    """The numbers of a record: counts, metrics with intervals, and the same for each group of questions."""
    measured, methods = _measure(scored, metrics)
    groups: dict[str, list[ScoredSample]] = {}
    if group_by:
        for item in sorted(scored, key=lambda item: _sort_key(item.sample.row[group_by])):
            groups.setdefault(str(item.sample.row[group_by]), []).append(item)
    undecidable = sum(
        item.sample.judgement is not None and item.sample.judgement.verdict is Verdict.UNDECIDABLE for item in scored
    )
    if undecidable:
        logger.warning("%d of %d answers could not be judged; accuracy leaves them out", undecidable, len(scored))
    return {
        "n": len(scored),
        "num_questions": len({item.question for item in scored}),
        "undecidable": undecidable,
        "truncated": sum(item.sample.completion.finish_reason == "length" for item in scored),
        "metrics": measured,
        "interval_methods": methods,
        "group_by": group_by,
        "groups": {value: _measure(items, metrics)[0] for value, items in groups.items()},
    }


def _measure(
    scored: Sequence[ScoredSample], metrics: Sequence[SampleMetric]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    measured: dict[str, dict[str, Any]] = {}
    methods: dict[str, str] = {}
    for metric in metrics:
        applies = [(item.question, value) for item in scored if (value := item.values[metric.name]) is not None]
        if not applies:
            continue
        result, methods[metric.name] = _measure_one([v for _, v in applies], [q for q, _ in applies], metric.share)
        measured[metric.name] = dataclasses.asdict(result)
    return measured, methods


def _measure_one(values: Sequence[bool | float], questions: Sequence[int], share: bool) -> tuple[Measurement, str]:
    if all(isinstance(value, bool) for value in values):
        return measure_rate([bool(value) for value in values], questions)
    return measure_mean([float(value) for value in values], questions, share)


def sample_row(
    item: ScoredSample, group_by: str | None, cluster_by: str | None = None, variant: str | None = None
) -> dict[str, Any]:
    """One row of the file of answers; see [`~trl_r1.evaluation.sample_files.COLUMNS`]."""
    sample = item.sample
    judgement = sample.judgement
    return {
        "question": item.question,
        "sample": sample.sample_index,
        "question_id": sample.row.get("question_id"),
        "cluster": str(sample.row[cluster_by]) if cluster_by else None,
        "variant": variant,
        "problem": sample.row["problem"],
        "solution": sample.row["solution"],
        "group": str(sample.row[group_by]) if group_by else None,
        "prefill": item.sample.prefill or None,
        "text": sample.text,
        "reasoning": sample.parsed.reasoning,
        "answer": sample.parsed.answer,
        "defects": [str(defect) for defect in sample.parsed.defects],
        "verdict": judgement.verdict.value if judgement else None,
        "reason": judgement.reason if judgement else None,
        "decided_by": judgement.decided_by if judgement else None,
        "finish_reason": sample.completion.finish_reason,
        "num_tokens": sample.completion.num_tokens,
        "seed": sample.completion.seed,
        "metrics": dict(item.values),
    }


def _sort_key(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before text."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not is_number, float(value) if is_number else 0.0, str(value)
