"""Two checkpoints on the same questions: the difference, paired question by question."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trl_r1.errors import DataError
from trl_r1.evaluation.intervals import paired_difference
from trl_r1.evaluation.sample_files import read_samples


def compare(first: str | Path, second: str | Path, metrics: Sequence[str] | None = None) -> dict[str, Any]:
    """
    Compare two files of evaluation samples.

    Args:
        first, second (`str` or `Path`):
            `samples-*.parquet` of two evaluations of the same questions.
        metrics (`Sequence[str]`, *optional*):
            What to compare; by default every metric both have.

    Returns:
        `dict[str, Any]`: `questions`, `method`, and for each metric the mean of both and `difference` (second minus
        first) with its 95 % interval. Questions where a metric does not apply to both are left out of it; `n` says how
        many are left.

    Raises:
        [`DataError`]: when the questions are not the same, or no metric is shared.
    """
    before, after = _by_question(first), _by_question(second)
    if before.keys() != after.keys():
        apart = len(before.keys() ^ after.keys())
        raise DataError(f"{second}: {apart} questions are not in both files; compare evaluations of the same suite")
    names = list(metrics) if metrics is not None else _shared_metrics(before, after)
    if not names:
        raise DataError(f"{second}: it shares no metric with {first}; evaluate both with the same metrics")
    compared = {name: result for name in names if (result := _compare_metric(name, before, after)) is not None}
    return {"questions": len(before), "method": "paired, t over questions", "metrics": compared}


Questions = dict[str, list[Mapping[str, Any]]]


def _by_question(path: str | Path) -> Questions:
    """Metric values of each question's answers; a problem asked twice is two questions."""
    questions: Questions = {}
    for row in read_samples(path):
        try:
            key = f"{row['question']}: {row['problem']}"
            questions.setdefault(key, []).append(row["metrics"])
        except KeyError as error:
            raise DataError(f"{path}: a row lacks {error}; give a file of evaluation samples") from error
    return questions


def _shared_metrics(before: Questions, after: Questions) -> list[str]:
    first, second = (next(iter(questions.values()), [{}])[0] for questions in (before, after))
    return [name for name in first if name in second]


def _compare_metric(name: str, before: Questions, after: Questions) -> dict[str, Any] | None:
    pairs = [(_mean(name, before[key]), _mean(name, after[key])) for key in before]
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    if not both:
        return None
    old, new = [pair[0] for pair in both], [pair[1] for pair in both]
    return {
        "first": math.fsum(old) / len(old),
        "second": math.fsum(new) / len(new),
        "difference": dataclasses.asdict(paired_difference(old, new)),
    }


def _mean(name: str, answers: Sequence[Mapping[str, Any]]) -> float | None:
    values = [float(answer[name]) for answer in answers if answer.get(name) is not None]
    return math.fsum(values) / len(values) if values else None
