"""Two files of answers to the same questions: the difference of each metric, paired question by question."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import DataError
from trl_r1.evaluation.estimators import cons_at_k, pass_at_k
from trl_r1.evaluation.paired import PairedComparison, compare_paired
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.evaluation.votes import vote_of
from trl_r1.stage_record import Measurement


ACCURACY: Final = "accuracy"
COUNTED: Final = re.compile(r"(pass|cons)@([1-9]\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedAnswers:
    """
    The answers of two policies to the same questions.

    Args:
        before, after (`dict[str, list[Mapping]]`):
            From question to the rows of its answers, without their texts.
        clusters (`dict[str, Hashable]`, *optional*):
            From question to its cluster; `None` where the files name none.
        left_out (`int`):
            Questions that only one of the two has.
    """

    before: dict[str, list[Mapping[str, Any]]]
    after: dict[str, list[Mapping[str, Any]]]
    clusters: dict[Any, Hashable] | None = None
    left_out: int = 0

    @property
    def shared_metrics(self) -> list[str]:
        """Names of the metrics both have."""
        first, second = (_metric_names(questions) for questions in (self.before, self.after))
        return [name for name in first if name in second]


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A paired comparison, and how many questions the metric does not apply to in both."""

    result: PairedComparison
    left_out: int = 0


def compare(first: str | Path, second: str | Path, metrics: Sequence[str] | None = None) -> dict[str, Any]:
    """
    Compare two files of evaluation samples.

    Args:
        first, second (`str` or `Path`):
            `samples-*.parquet` of two evaluations of the same questions.
        metrics (`Sequence[str]`, *optional*):
            What to compare; by default every metric both have. `pass@k` and `cons@k` are computed from the answers.

    Returns:
        `dict[str, Any]`: `questions`, `method`, and for each metric the mean of both, `difference` (second minus
        first) with its 95 % interval, and `paired`, the whole [`~trl_r1.evaluation.PairedComparison`]. Questions where
        a metric does not apply to both are left out of it; `n` says how many are left.

    Raises:
        [`DataError`]: when the questions are not the same, no metric is shared, or one was not measured of both.
    """
    answers = read_pair(first, second)
    names = list(metrics) if metrics is not None else answers.shared_metrics
    if not names:
        raise DataError(f"{second}: it shares no metric with {first}; evaluate both with the same metrics")
    if unknown := unmeasured(names, answers.shared_metrics):
        raise DataError(f"{second}: {unknown}")
    found = {name: result for name in names if (result := compare_metric(answers, name)) is not None}
    return {
        "questions": len(answers.before),
        "method": "paired, t over clusters" if answers.clusters else "paired, t over questions",
        "metrics": {name: _as_mapping(each.result) for name, each in found.items()},
    }


def unmeasured(asked: Sequence[str], known: Sequence[str]) -> str | None:
    """Which metrics were not measured of both, in words with the nearest name; `None` where all were."""
    unknown = [name for name in asked if name not in known and not COUNTED.fullmatch(name)]
    if not unknown:
        return None
    near = difflib.get_close_matches(unknown[0], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}, pass@k or cons@k"
    return f"metrics: {', '.join(map(repr, unknown))}: not measured of both; {hint}"


def read_pair(first: str | Path, second: str | Path, *, common_only: bool = False) -> PairedAnswers:
    """
    Read two files of answers.

    Args:
        first, second (`str` or `Path`):
            Files of answers.
        common_only (`bool`, *optional*, defaults to `False`):
            Whether to go on with the questions both have where they are not the same.

    Raises:
        [`DataError`]: when a file is none of answers, or the questions differ.
    """
    rows = [_slim(path) for path in (first, second)]
    by_id = all(row["question_id"] is not None for own in rows for row in own)
    before, after = (_by_question(own, by_id) for own in rows)
    apart = before.keys() ^ after.keys()
    shared = [key for key in before if key in after]
    if apart and not (common_only and shared):
        raise DataError(
            f"{second}: {len(apart)} questions are not in both files; compare evaluations of the same suite"
        )
    if not shared:
        raise DataError(f"{second}: there is no answer in it; evaluate again")
    clusters = {key: _cluster_of(key, before, after, (first, second), common_only) for key in shared}
    return PairedAnswers(
        before={key: before[key] for key in shared},
        after={key: after[key] for key in shared},
        clusters=clusters if all(cluster is not None for cluster in clusters.values()) else None,
        left_out=len(apart),
    )


def compare_metric(answers: PairedAnswers, metric: str) -> MetricComparison | None:
    """
    Compare one metric.

    Args:
        answers ([`PairedAnswers`]):
            Of both policies.
        metric (`str`):
            A metric of the answers, or `pass@k` or `cons@k`.

    Returns:
        [`MetricComparison`] or `None`: where it applies to no question in both.
    """
    values = [_values(own, metric) for own in (answers.before, answers.after)]
    both = [key for key in answers.before if values[0].get(key) and values[1].get(key)]
    if not both:
        return None
    first, second = ({key: own[key] for key in both} for own in values)
    return MetricComparison(compare_paired(first, second, clusters=answers.clusters), len(answers.before) - len(both))


def _cluster_of(
    key: str,
    before: Mapping[str, Sequence[Mapping[str, Any]]],
    after: Mapping[str, Sequence[Mapping[str, Any]]],
    paths: tuple[str | Path, str | Path],
    anyway: bool,
) -> Hashable:
    """
    A question's cluster, by whichever file names one.

    Raises:
        [`DataError`]: when both do, and it is not the same.
    """
    one: Hashable = before[key][0]["cluster"]
    other: Hashable = after[key][0]["cluster"]
    if one is not None and other is not None and one != other and not anyway:
        raise DataError(
            f"{paths[1]}: a question is of cluster {other!r} there and of {one!r} in {paths[0]}; evaluate both with "
            "the same cluster_by"
        )
    return other if one is None else one


_KEPT: Final = ("question", "question_id", "cluster", "metrics", "answer_key", "num_tokens")


def _metric_names(questions: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    rows = next(iter(questions.values()), [])
    return list(rows[0]["metrics"]) if rows else []


def _slim(path: str | Path) -> list[dict[str, Any]]:
    """What is compared of each row."""
    rows = []
    for row in read_samples(path):
        if "question" not in row or "problem" not in row:
            raise DataError(f"{path}: a row lacks question or problem; give a file of evaluation samples")
        rows.append({**{name: row.get(name) for name in _KEPT}, "place": f"{row['question']}: {row['problem']}"})
    return rows


def _by_question(rows: Sequence[dict[str, Any]], by_id: bool) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of each question; a problem asked twice is two questions."""
    questions: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        questions.setdefault(row["question_id"] if by_id else row["place"], []).append(row)
    return questions


def _values(questions: Mapping[str, Sequence[Mapping[str, Any]]], metric: str) -> dict[str, list[float]]:
    """A metric's values for each question, those where it applies."""
    counted = COUNTED.fullmatch(metric)
    if counted is None:
        return {
            key: [float(row["metrics"][metric]) for row in rows if row["metrics"].get(metric) is not None]
            for key, rows in questions.items()
        }
    kind, k = counted[1], int(counted[2])
    if kind == "cons" and not _have_votes([row for rows in questions.values() for row in rows]):
        return {}
    found = {}
    for key, rows in questions.items():
        judged = [row for row in rows if row["metrics"].get(ACCURACY) is not None]
        if len(judged) >= k:
            found[key] = [_counted(kind, k, judged)]
    return found


def _have_votes(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether answers are values. Right ones without any are programs, or of a file from before there were votes."""
    right = any(row["metrics"].get(ACCURACY) for row in rows)
    return not right or any(row["answer_key"] is not None for row in rows)


def _counted(kind: str, k: int, judged: Sequence[Mapping[str, Any]]) -> float:
    right = [bool(row["metrics"][ACCURACY]) for row in judged]
    if kind == "pass":
        return pass_at_k(len(right), sum(right), k)
    votes = [vote_of(row["answer_key"], own) for row, own in zip(judged, right, strict=True)]
    return cons_at_k(votes, right, k)


def _as_mapping(result: PairedComparison) -> dict[str, Any]:
    difference = Measurement(value=result.difference, n=result.num_questions, low=result.low, high=result.high)
    return {
        "first": result.first,
        "second": result.second,
        "difference": dataclasses.asdict(difference),
        "paired": result.to_dict(),
    }
