"""
How sure a score is, with two spreads kept apart: over questions, and over the samples of one question.

A score of a benchmark varies for two reasons. Other questions of the same kind would have been easier or harder; and
the same policy, asked the same questions again, would have answered otherwise. Which of the two counts depends on
what is claimed: "this policy solves such problems" needs the first interval, "my run of this very benchmark agrees
with a published one" the second, which is much narrower.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from trl_r1.errors import R1Error
from trl_r1.evaluation.estimators import cons_at_k, majorities, pass_at_k, vote_counts
from trl_r1.evaluation.interval_forms import over_questions, over_samples


VOTE_DRAWS: Final = 2_000  # of the answers to a question, for the spread of the majority's vote
Clusters = Mapping[Any, Hashable]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreEstimate:
    """
    A score with its uncertainty.

    Args:
        value (`float`):
            Mean over questions of the mean over their answers.
        num_questions, num_samples, num_clusters (`int`):
            Questions, answers in all, and groups of questions that are independent of one another.
        low, high (`float`, *optional*):
            95 % interval for other questions of this kind, and other samples; `None` for one cluster.
        sampling_low, sampling_high (`float`, *optional*):
            95 % interval for these very questions and other samples; `None` where one answer a question tells nothing
            about it.
        question_sd (`float`, *optional*):
            Standard deviation of the questions' true scores, the noise of sampling taken off.
        sampling_sd (`float`, *optional*):
            Standard deviation of one try within a question, root of the mean square over questions. A try is an
            answer, `k` answers of pass@k, or all votes of cons@k.
        method (`str`):
            Kind of the first interval.
    """

    value: float
    num_questions: int
    num_samples: int
    num_clusters: int
    low: float | None = None
    high: float | None = None
    sampling_low: float | None = None
    sampling_high: float | None = None
    question_sd: float | None = None
    sampling_sd: float | None = None
    method: str

    def to_dict(self) -> dict[str, Any]:
        """As records keep it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class _Question:
    """
    Mean of a question's answers, how many, and the sampling variance of that mean where it shows.

    `tries` are the independent ones that the mean is of, the answers by default.
    """

    value: float
    samples: int
    variance: float | None
    tries: int = 0

    @property
    def independent(self) -> int:
        return self.tries or self.samples


def estimate_score(
    values: Sequence[float],
    questions: Sequence[Hashable],
    *,
    clusters: Clusters | None = None,
    share: bool = True,
    count: bool = False,
) -> ScoreEstimate:
    """
    Estimate a mean over questions from several answers to each.

    Args:
        values (`Sequence[float]`):
            One an answer: 0 and 1, or a number.
        questions (`Sequence[Hashable]`):
            Which question each answers.
        clusters (`Mapping`, *optional*):
            From question to what it shares with those it is not independent of: a template, a passage, a family.
        share (`bool`, *optional*, defaults to `True`):
            Whether values lie in [0, 1]. Others have Student's interval.
        count (`bool`, *optional*, defaults to `False`):
            Whether none can be below zero, as of lengths: then no interval reaches there, as the symmetric one of a
            rare count would.

    Returns:
        [`ScoreEstimate`]

    Raises:
        [`R1Error`]: when there is no value, one is not finite, a share is outside [0, 1], or a count below zero.

    Example:

    ```python
    >>> found = estimate_score([1, 0, 1, 1], ["a", "a", "b", "b"])
    >>> found.value, found.num_questions, found.num_samples
    (0.75, 2, 4)
    ```
    """
    check_values(values, share)
    if count and min(values) < 0:
        raise R1Error(f"values: {min(values)} is below zero, and a count cannot be; mend it, or say count=False")
    own: dict[Hashable, list[float]] = {}
    for question, value in zip(questions, values, strict=True):
        own.setdefault(question, []).append(float(value))
    measured = {question: _Question(_mean(each), len(each), _mean_variance(each)) for question, each in own.items()}
    found = _estimate(measured, clusters, share)
    if not count:
        return found
    ends = {name: getattr(found, name) for name in ("low", "sampling_low")}
    return dataclasses.replace(found, **{name: max(0.0, end) for name, end in ends.items() if end is not None})


def estimate_pass_at_k(
    counts: Mapping[Any, tuple[int, int]], k: int, *, clusters: Clusters | None = None
) -> ScoreEstimate:
    """
    Estimate pass@k over questions.

    The spread over samples is the jackknife's, question by question; with all samples in each try (`k` of `k`) nothing
    shows it.

    Args:
        counts (`Mapping[Hashable, tuple[int, int]]`):
            From question to its number of samples and of right ones.
        k (`int`):
            Answers one is allowed.
        clusters (`Mapping`, *optional*):
            As of [`estimate_score`].

    Returns:
        [`ScoreEstimate`]

    Raises:
        [`R1Error`]: when there is no question, or as [`pass_at_k`].
    """
    _check_some(counts)
    measured = {
        question: _Question(pass_at_k(n, right, k), n, _jackknife(n, right, k) if n > k else None, n // k)
        for question, (n, right) in counts.items()
    }
    return _estimate(measured, clusters, share=True)


def estimate_cons_at_k(
    votes: Mapping[Any, tuple[Sequence[Hashable | None], Sequence[bool]]],
    k: int | None = None,
    *,
    clusters: Clusters | None = None,
) -> ScoreEstimate:
    """
    Estimate cons@k, the majority's vote, over questions.

    The spread over samples is that between the votes of two halves of a question's answers (2,000 seeded draws), where
    all samples vote; with fewer votes than samples none is given. Half as many votes differ at least as often, so it
    errs to the wide side.

    Args:
        votes (`Mapping`):
            From question to its answers and whether each is right, as [`cons_at_k`] takes them.
        k (`int`, *optional*):
            Votes; all samples of a question by default.
        clusters (`Mapping`, *optional*):
            As of [`estimate_score`].

    Returns:
        [`ScoreEstimate`]

    Raises:
        [`R1Error`]: when there is no question, or as [`cons_at_k`].
    """
    _check_some(votes)
    measured = {}
    for question, (answers, correct) in votes.items():
        value = cons_at_k(answers, correct, k)
        all_vote = k is None or k == len(answers)
        spread = _vote_variance(answers, correct) if all_vote and len(answers) > 1 else None
        measured[question] = _Question(value, len(answers), spread, 1)
    return _estimate(measured, clusters, share=True)


def cluster_count(questions: Sequence[Hashable], clusters: Clusters | None) -> int:
    """Groups of questions that are independent of one another."""
    return len({cluster_of(question, clusters) for question in questions})


def cluster_of(question: Hashable, clusters: Clusters | None) -> Hashable:
    """A question's cluster: its own where none is named."""
    own = clusters.get(question) if clusters else None
    return ("alone", question) if own is None else ("cluster", own)


def check_values(values: Sequence[float], share: bool = False) -> None:
    """
    Refuse what no mean can be taken of.

    Raises:
        [`R1Error`]: when there is no value, one is not finite, or a share lies outside [0, 1].
    """
    if not len(values):
        raise R1Error("values: there is none; give at least one")
    for value in values:
        if not math.isfinite(value):
            raise R1Error(f"values: {value} is not finite; drop or mend it first")
        if share and not 0 <= value <= 1:
            raise R1Error(f"values: {value} is no share; it must lie in [0, 1], or say share=False")


def _check_some(mapping: Mapping[Hashable, Any]) -> None:
    if not mapping:
        raise R1Error("questions: there is none; give at least one")


def _estimate(measured: Mapping[Hashable, _Question], clusters: Clusters | None, share: bool) -> ScoreEstimate:
    questions = list(measured)
    values = [each.value for each in measured.values()]
    value, count = _mean(values), len(values)
    groups = cluster_count(questions, clusters)
    low, high, method = over_questions(values, [cluster_of(question, clusters) for question in questions], share)
    variances = _filled(list(measured.values()))
    sampling: tuple[float | None, float | None] = (None, None)
    question_sd = sampling_sd = None
    samples = sum(each.samples for each in measured.values())
    if variances is not None:
        noise = math.fsum(variances) / count
        tries = sum(each.independent for each in measured.values())
        sampling = over_samples(value, noise / count, tries, share)
        if count > 1:
            question_sd = math.sqrt(max(0.0, _variance(values) - noise))
        one = (own * each.independent for own, each in zip(variances, measured.values(), strict=True))
        sampling_sd = math.sqrt(math.fsum(one) / count)
    return ScoreEstimate(
        value=value,
        num_questions=count,
        num_samples=samples,
        num_clusters=groups,
        low=low,
        high=high,
        sampling_low=sampling[0],
        sampling_high=sampling[1],
        question_sd=question_sd,
        sampling_sd=sampling_sd,
        method=method,
    )


def _filled(measured: Sequence[_Question]) -> list[float] | None:
    """
    Sampling variances of the questions' means. `None` where none is known.

    A question with one answer gets the variance that one answer has in the mean of the others.
    """
    one = [each.variance * each.independent for each in measured if each.variance is not None]
    if not one:
        return None
    mean = _mean(one)
    return [mean / each.independent if each.variance is None else each.variance for each in measured]


def _jackknife(n: int, right: int, k: int) -> float:
    """Variance of a question's pass@k over other samples, by leaving out one at a time."""
    left_out = [(right, pass_at_k(n - 1, right - 1, k))] if right else []
    left_out += [(n - right, pass_at_k(n - 1, right, k))] if right < n else []
    mean = math.fsum(count * value for count, value in left_out) / n
    return (n - 1) / n * math.fsum(count * (value - mean) ** 2 for count, value in left_out)


def _vote_variance(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> float:
    """
    Variance of a question's majority vote over other samples, from the votes of two halves of them.

    To draw from all answers again and again would take a vote that happened to be clear for one that always is.
    """
    counts = np.array(vote_counts(answers, correct))
    first = np.random.default_rng(0).multivariate_hypergeometric(counts, len(answers) // 2, size=VOTE_DRAWS)
    return float(np.mean((majorities(first) - majorities(counts - first)) ** 2 / 2))


def _mean_variance(values: Sequence[float]) -> float | None:
    """Sampling variance of a question's mean; `None` for one answer."""
    return _variance(values) / len(values) if len(values) > 1 else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
