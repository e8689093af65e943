"""The numbers of an evaluation's record, from its answers."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.data.judging import JudgedSample
from trl_r1.evaluation.metrics import SampleMetric, Value
from trl_r1.evaluation.ratios import DIFFICULTIES, difficulties, estimate_tokens_per_correct
from trl_r1.evaluation.uncertainty import ScoreEstimate, estimate_cons_at_k, estimate_pass_at_k, estimate_score
from trl_r1.evaluation.votes import answer_key, votes_of
from trl_r1.stage_record import Measurement
from trl_r1.verifiers import Verdict


logger = logging.getLogger(__name__)

COST_OF: Final = {"accuracy", "completion_tokens"}  # what tokens a right answer are made of


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSample:
    """A sample with the value of every metric."""

    sample: JudgedSample
    question: int
    values: dict[str, Value]


def summarise(
    scored: Sequence[ScoredSample],
    metrics: Sequence[SampleMetric],
    group_by: str | None = None,
    *,
    cluster_by: str | None = None,
    pass_at: Sequence[int] = (),
    cons_at: Sequence[int] = (),
    verifier: str = "auto",
) -> dict[str, Any]:
    """
    The numbers of a record: counts, metrics with intervals, and the same for each group of questions.

    Args:
        scored (`Sequence[ScoredSample]`):
            The answers.
        metrics (`Sequence[SampleMetric]`):
            What was measured of each.
        group_by, cluster_by (`str`, *optional*):
            Columns: for a table by group, and for questions that are not independent of one another.
        pass_at, cons_at (`Sequence[int]`, *optional*):
            The k of `pass@k` and `cons@k`. `pass@1` is `accuracy`, which is there anyway.
        verifier (`str`, *optional*, defaults to `"auto"`):
            What judged them: it knows the values that vote.

    Returns:
        `dict[str, Any]`: among others `metrics` (value, n, low, high), `uncertainty` (a
        [`~trl_r1.evaluation.ScoreEstimate`] each, spreads apart), `groups` by `group_by`, and `by_difficulty`:
        `metrics` of the questions that this policy solves in less than 1/3, up to 2/3, and more of its answers.
    """
    clusters = {item.question: item.sample.row[cluster_by] for item in scored} if cluster_by else None
    decided = _decided(scored)
    estimates = {
        **_of_samples(scored, metrics, clusters),
        **_of_questions(decided, clusters, pass_at, cons_at, verifier),
        **(_cost(decided, clusters) if {metric.name for metric in metrics} >= COST_OF else {}),
    }
    undecidable = sum(
        item.sample.judgement is not None and item.sample.judgement.verdict is Verdict.UNDECIDABLE for item in scored
    )
    if undecidable:
        logger.warning("%d of %d answers could not be judged; accuracy leaves them out", undecidable, len(scored))
    grouped = {
        "groups": _grouped(scored, group_by) if group_by else {},
        "by_difficulty": _by_difficulty(scored, decided),
    }
    return {
        "n": len(scored),
        "num_questions": len({item.question for item in scored}),
        "undecidable": undecidable,
        "truncated": sum(item.sample.completion.finish_reason == "length" for item in scored),
        "metrics": {name: _measurement(found) for name, found in estimates.items()},
        "interval_methods": {name: found.method for name, found in estimates.items()},
        "uncertainty": {name: found.to_dict() for name, found in estimates.items()},
        "group_by": group_by,
        "cluster_by": cluster_by,
        **{
            field: {name: _metrics_of(items, metrics, clusters) for name, items in parts.items()}
            for field, parts in grouped.items()
        },
    }


Clusters = Mapping[Any, Hashable]


def _measurement(found: ScoreEstimate) -> dict[str, Any]:
    return dataclasses.asdict(Measurement(value=found.value, n=found.num_samples, low=found.low, high=found.high))


def _metrics_of(
    items: Sequence[ScoredSample], metrics: Sequence[SampleMetric], clusters: Clusters | None
) -> dict[str, dict[str, Any]]:
    return {name: _measurement(found) for name, found in _of_samples(items, metrics, clusters).items()}


def _of_samples(
    scored: Sequence[ScoredSample], metrics: Sequence[SampleMetric], clusters: Clusters | None
) -> dict[str, ScoreEstimate]:
    """Estimates of what is measured of each answer. A metric that applies to none is absent."""
    found = {}
    for metric in metrics:
        applies = [(item.question, value) for item in scored if (value := item.values[metric.name]) is not None]
        if applies:
            questions, values = [question for question, _ in applies], [value for _, value in applies]
            share = metric.share or all(isinstance(value, bool) for value in values)
            found[metric.name] = estimate_score(
                [float(value) for value in values], questions, clusters=clusters, share=share, count=metric.count
            )
    return found


def _decided(scored: Sequence[ScoredSample]) -> dict[int, list[JudgedSample]]:
    """The answers to each question that the verifier could judge."""
    decided: dict[int, list[JudgedSample]] = {}
    for item in scored:
        if item.sample.correct is not None:
            decided.setdefault(item.question, []).append(item.sample)
    return decided


def _of_questions(
    decided: Mapping[int, Sequence[JudgedSample]],
    clusters: Clusters | None,
    pass_at: Sequence[int],
    cons_at: Sequence[int],
    verifier: str,
) -> dict[str, ScoreEstimate]:
    """
    Estimates of what is said of all answers to a question.

    Undecidable answers are left out, and with them a question of which fewer than k are left.
    """
    rights = {question: [sample.correct is True for sample in own] for question, own in decided.items()}
    found = {}
    for k in (k for k in pass_at if k > 1):
        counts = {question: (len(own), sum(rights[question])) for question, own in _enough(decided, k).items()}
        if counts:
            found[f"pass@{k}"] = estimate_pass_at_k(counts, k, clusters=clusters)
    for k in cons_at:
        enough = _enough(decided, k)
        votes = {question: (votes_of(own, verifier), rights[question]) for question, own in enough.items()}
        if votes:
            found[f"cons@{k}"] = estimate_cons_at_k(votes, k, clusters=clusters)
    return found


def _enough(decided: Mapping[int, Sequence[JudgedSample]], k: int) -> dict[int, Sequence[JudgedSample]]:
    """The questions with at least k decided answers; how many have fewer is said."""
    enough = {question: own for question, own in decided.items() if len(own) >= k}
    if len(enough) < len(decided):
        logger.warning("k = %d leaves out %d questions with fewer decided answers", k, len(decided) - len(enough))
    return enough


def _cost(decided: Mapping[int, Sequence[JudgedSample]], clusters: Clusters | None) -> dict[str, ScoreEstimate]:
    """Tokens written for each right answer; absent where none is right."""
    spent = {
        question: ([sample.completion.num_tokens for sample in own], [sample.correct is True for sample in own])
        for question, own in decided.items()
    }
    cost = estimate_tokens_per_correct(spent, clusters=clusters) if spent else None
    return {} if cost is None else {"tokens_per_correct": cost}


def _grouped(scored: Sequence[ScoredSample], group_by: str) -> dict[str, list[ScoredSample]]:
    groups: dict[str, list[ScoredSample]] = {}
    for item in sorted(scored, key=lambda item: _sort_key(item.sample.row[group_by])):
        groups.setdefault(str(item.sample.row[group_by]), []).append(item)
    return groups


def _by_difficulty(
    scored: Sequence[ScoredSample], decided: Mapping[int, Sequence[JudgedSample]]
) -> dict[str, list[ScoredSample]]:
    """Answers by how often their question is solved."""
    of_question = difficulties({question: [bool(item.correct) for item in own] for question, own in decided.items()})
    parts: dict[str, list[ScoredSample]] = {name: [] for name in DIFFICULTIES}
    for item in scored:
        if item.question in of_question:
            parts[of_question[item.question]].append(item)
    return {name: items for name, items in parts.items() if items}


def sample_row(
    item: ScoredSample,
    group_by: str | None,
    cluster_by: str | None = None,
    variant: str | None = None,
    verifier: str = "auto",
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
        "answer_key": answer_key(sample, verifier),
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
