"""Two policies on the same questions: is one better, how sure is that, and what difference could the set show?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.errors import R1Error
from trl_r1.evaluation.interval_forms import (
    cluster_degrees,
    cluster_trials,
    cluster_variance,
    quantile,
    sums_by_cluster,
    wilson,
)
from trl_r1.evaluation.uncertainty import (
    Clusters,
    ScoreEstimate,
    check_values,
    cluster_of,
    estimate_score,
)


POWER: Final = 0.8  # chance that a difference of the smallest detectable size is found


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """
    Difference of two policies, question by question.

    Args:
        first, second (`float`):
            Their scores.
        difference (`float`):
            `second - first`.
        low, high (`float`, *optional*):
            95 % interval for other questions of this kind and other samples; `None` for one cluster.
        p_value (`float`, *optional*):
            Two-sided, of no difference.
        sampling_low, sampling_high (`float`, *optional*):
            95 % interval for these very questions and other samples; `None` where one answer a question tells nothing.
        smallest_detectable (`float`, *optional*):
            Difference that would be found (p below .05) in four of five such comparisons.
        num_questions, num_clusters (`int`):
            Questions, and groups of them that are independent of one another.
        better, worse, equal (`int`):
            Questions on which the second scores higher, lower, the same.
        method (`str`):
            Kind of the first interval.
    """

    first: float
    second: float
    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    sampling_low: float | None = None
    sampling_high: float | None = None
    smallest_detectable: float | None = None
    num_questions: int
    num_clusters: int
    better: int
    worse: int
    equal: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """As records keep it."""
        return dataclasses.asdict(self)


Answers = Mapping[Any, Sequence[float]]


def compare_paired(first: Answers, second: Answers, *, clusters: Clusters | None = None) -> PairedComparison:
    """
    Compare two policies that answered the same questions.

    Student's t over the differences of the questions' means, of clusters where they are named: the questions' own
    difficulty drops out, which is most of the spread of a score. Where every pair of shares differs by the same there
    is no spread to go by; the interval is then as wide as Wilson's for no success in as many trials. For these very
    questions the two scores' own intervals are put together by Newcombe's method (1998, number 10), so that answers
    that all agree leave a width.

    Args:
        first, second (`Mapping[Hashable, Sequence[float]]`):
            From question to the values of its answers; the numbers of answers may differ.
        clusters (`Mapping`, *optional*):
            From question to its cluster, as of [`~trl_r1.evaluation.uncertainty.estimate_score`].

    Returns:
        [`PairedComparison`]

    Raises:
        [`R1Error`]: when the questions differ, there is none, or a value is not finite.

    Example:

    ```python
    >>> found = compare_paired({"a": [0, 0], "b": [1, 1], "c": [0, 1]}, {"a": [1, 0], "b": [1, 1], "c": [1, 1]})
    >>> found.difference, found.better, found.equal
    (0.333..., 2, 1)
    ```
    """
    _check_same(first, second)
    questions = list(first)
    for answers in (first, second):
        for question in questions:
            check_values(answers[question])
    before, after = ([_mean(answers[question]) for question in questions] for answers in (first, second))
    differences = [new - old for old, new in zip(before, after, strict=True)]
    value = _mean(differences)
    own_clusters = [cluster_of(question, clusters) for question in questions]
    sums, sizes = sums_by_cluster([own - value for own in differences], own_clusters)
    groups, count = len(sums), len(questions)
    over = "questions" if groups == count else "clusters"
    scale = max(1.0, *map(abs, before), *map(abs, after))
    error = _Error.of(sums, sizes, scale) if groups > 1 else None
    # of the answers, not of their means: a count of 0, 0 and 2 has a mean below 1 and is no share
    shares = all(0 <= own <= 1 for answers in (first, second) for each in answers.values() for own in each)
    low, high = _interval(value, error, shares)
    sampling = _over_samples(first, second, shares)
    return PairedComparison(
        first=_mean(before),
        second=_mean(after),
        difference=value,
        low=low,
        high=high,
        p_value=_p_value(value, error),
        sampling_low=sampling[0],
        sampling_high=sampling[1],
        smallest_detectable=_smallest_detectable(error),
        num_questions=count,
        num_clusters=groups,
        better=sum(own > 0 for own in differences),
        worse=sum(own < 0 for own in differences),
        equal=sum(own == 0 for own in differences),
        method=f"paired, t over {over}" if groups > 1 else f"none: one {over[:-1]}",
    )


def holm(p_values: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """
    Adjust p values for their number, by Holm's method: among all that are below .05 then, one is wrong in 20 at most.

    Args:
        p_values (`Mapping[Hashable, float]`):
            By comparison.

    Returns:
        `dict[Hashable, float]`: adjusted, in the order given.
    """
    ranked = sorted(p_values, key=lambda name: p_values[name])
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _check_same(first: Answers, second: Answers) -> None:
    if first.keys() != second.keys():
        apart = len(first.keys() ^ second.keys())
        raise R1Error(f"questions: {apart} are not in both; compare answers to the same questions")
    if not first:
        raise R1Error("questions: there is none; give at least one")


@dataclass(frozen=True, slots=True)
class _Error:
    """Of the mean difference: standard error, degrees of freedom, clusters, and as how many of one size they count."""

    error: float
    degrees: float
    groups: int
    trials: float
    rounding: float  # an error below it is none: all differences are the same number

    @classmethod
    def of(cls, sums: Sequence[float], sizes: Sequence[int], scale: float) -> _Error:
        error = math.sqrt(cluster_variance(sums, sizes))
        return cls(error, cluster_degrees(sizes), len(sizes), cluster_trials(sizes), _ROUNDING * scale)

    @property
    def is_none(self) -> bool:
        return self.error <= self.rounding


_ROUNDING: Final = 1e-12  # of means of 1


def _interval(value: float, error: _Error | None, shares: bool) -> tuple[float | None, float | None]:
    if error is None:
        return None, None
    if error.is_none and shares:
        hidden = wilson(0.0, error.trials)[1]
        return max(-1.0, value - hidden), min(1.0, value + hidden)
    half = quantile(error.degrees) * error.error
    low, high = value - half, value + half
    return (max(-1.0, low), min(1.0, high)) if shares else (low, high)


def _p_value(value: float, error: _Error | None) -> float | None:
    """Where all differences are equal, the sign test's: how rarely so many coins fall alike."""
    from scipy.stats import t

    if error is None:
        return None
    if error.is_none:
        return 1.0 if abs(value) <= error.rounding else float(2.0 ** (1 - error.groups))
    return float(2 * t.sf(abs(value) / error.error, error.degrees))


def _smallest_detectable(error: _Error | None) -> float | None:
    from scipy.stats import norm

    if error is None or error.is_none:
        return None
    return (quantile(error.degrees) + float(norm.ppf(POWER))) * error.error


def _over_samples(first: Answers, second: Answers, shares: bool) -> tuple[float | None, float | None]:
    """The difference on these very questions; `None` unless each has two answers of both."""
    if min(len(own) for answers in (first, second) for own in answers.values()) < 2:
        return None, None
    before, after = (
        estimate_score(
            [value for own in answers.values() for value in own],
            [index for index, own in enumerate(answers.values()) for _ in own],
            share=shares,
        )
        for answers in (first, second)
    )
    return newcombe(before, after)


def newcombe(first: ScoreEstimate, second: ScoreEstimate) -> tuple[float | None, float | None]:
    """Interval over samples of `second - first`, from those of both, which are independent of each other."""
    if first.sampling_low is None or first.sampling_high is None:
        return None, None
    if second.sampling_low is None or second.sampling_high is None:
        return None, None
    difference = second.value - first.value
    below = math.hypot(second.value - second.sampling_low, first.sampling_high - first.value)
    above = math.hypot(second.sampling_high - second.value, first.value - first.sampling_low)
    return difference - below, difference + above


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
