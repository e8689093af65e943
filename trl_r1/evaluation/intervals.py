"""
95 % intervals: for rates, for means, and for the difference of two checkpoints on the same questions.

All come from scipy. What kind is used where is part of an evaluation's record.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

from trl_r1.errors import R1Error
from trl_r1.evaluation.interval_forms import CONFIDENCE
from trl_r1.evaluation.paired import compare_paired
from trl_r1.evaluation.uncertainty import check_values, estimate_score
from trl_r1.stage_record import Measurement


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """
    Wilson score interval of a rate.

    Args:
        successes (`int`):
            Successes among `n` independent trials.
        n (`int`):
            Trials.

    Returns:
        `tuple[float, float]`: lower and upper end, both in [0, 1].

    Raises:
        [`R1Error`]: when the counts are impossible.

    Example:

    ```python
    >>> wilson_interval(8, 10)
    (0.490..., 0.943...)
    ```
    """
    from scipy.stats import binomtest

    if isinstance(successes, bool) or n < 1 or not 0 <= successes <= n:
        raise R1Error(f"successes: {successes} of {n} is impossible; give 0 <= successes <= n and n >= 1")
    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """
    Student's t interval of a mean.

    Args:
        values (`Sequence[float]`):
            Independent values, such as one a question.

    Returns:
        `tuple[float, float]` or `None`: lower and upper end; `None` for one value, whose spread is unknown.

    Raises:
        [`R1Error`]: when there is no value, or one is not finite.
    """
    from scipy.stats import t

    check_values(values)
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * math.sqrt(variance / len(values))
    return mean - half, mean + half


def measure_rate(outcomes: Sequence[bool], questions: Sequence[Hashable]) -> tuple[Measurement, str]:
    """
    A rate with its interval: [`measure_mean`] of shares.

    Args:
        outcomes (`Sequence[bool]`):
            One an answer.
        questions (`Sequence[Hashable]`):
            Which question each answer belongs to.

    Returns:
        `tuple[Measurement, str]`: value with `n` answers, and the kind of interval.
    """
    return measure_mean([float(outcome) for outcome in outcomes], questions, share=True)


def measure_mean(
    values: Sequence[float],
    questions: Sequence[Hashable],
    share: bool = False,
    clusters: Mapping[Hashable, Hashable] | None = None,
) -> tuple[Measurement, str]:
    """
    A mean with its interval over questions, of [`~trl_r1.evaluation.uncertainty.estimate_score`].

    Args:
        values (`Sequence[float]`):
            One an answer.
        questions (`Sequence[Hashable]`):
            Which question each answer belongs to; the answers of one are averaged first.
        share (`bool`, *optional*, defaults to `False`):
            Whether values lie in [0, 1].
        clusters (`Mapping`, *optional*):
            From question to what it shares with those it is not independent of.

    Returns:
        `tuple[Measurement, str]`: value with `n` answers, and the kind of interval.
    """
    found = estimate_score(values, questions, clusters=clusters, share=share)
    return Measurement(value=found.value, n=found.num_samples, low=found.low, high=found.high), found.method


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Measurement:
    """
    Mean of `second - first` with Student's interval over the pairs.

    Where every pair of shares differs by the same, there is no spread to go by: the interval is then as wide as
    Wilson's for no success in as many trials, since that many pairs could hide a difference of that size.

    Args:
        first, second (`Sequence[float]`):
            One value a question, in the same order: a mean over its answers, or 0 and 1.

    Returns:
        [`Measurement`]: `n` is the number of questions; no interval for fewer than two.

    Raises:
        [`R1Error`]: when the two differ in length, are empty or hold a value that is not finite.
    """
    if len(first) != len(second):
        raise R1Error(f"paired_difference: {len(first)} and {len(second)} values do not pair; give the same questions")
    check_values([*first, *second])
    before, after = ({index: [value] for index, value in enumerate(values)} for values in (first, second))
    found = compare_paired(before, after)
    return Measurement(value=found.difference, n=found.num_questions, low=found.low, high=found.high)
