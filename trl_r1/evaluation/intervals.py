"""
95 % intervals: for rates, for means, and for the difference of two checkpoints on the same questions.

All come from scipy. What kind is used where is part of an evaluation's record.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from trl_r1.errors import R1Error
from trl_r1.stage_record import Measurement


CONFIDENCE = 0.95


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

    _check_finite(values)
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * math.sqrt(variance / len(values))
    return mean - half, mean + half


def measure_rate(outcomes: Sequence[bool], questions: Sequence[Hashable]) -> tuple[Measurement, str]:
    """
    A rate with its interval.

    One answer a question: Wilson. Several: they are not independent, so the rates of the questions are averaged, with
    Student's interval over questions; where all questions agree on 0 or 1, Wilson over questions.

    Args:
        outcomes (`Sequence[bool]`):
            One an answer.
        questions (`Sequence[Hashable]`):
            Which question each answer belongs to.

    Returns:
        `tuple[Measurement, str]`: value with `n` answers, and the kind of interval.
    """
    if len(set(questions)) == len(questions):
        low, high = wilson_interval(sum(outcomes), len(outcomes))
        return Measurement(value=sum(outcomes) / len(outcomes), n=len(outcomes), low=low, high=high), "wilson"
    return measure_mean([float(outcome) for outcome in outcomes], questions, share=True)


def measure_mean(
    values: Sequence[float], questions: Sequence[Hashable], share: bool = False
) -> tuple[Measurement, str]:
    """
    A mean with Student's interval over questions.

    Args:
        values (`Sequence[float]`):
            One an answer.
        questions (`Sequence[Hashable]`):
            Which question each answer belongs to; the answers of one are averaged first.
        share (`bool`, *optional*, defaults to `False`):
            Whether values lie in [0, 1]. The interval is cut there, and is Wilson's over questions where all are 0 or
            all are 1: without a spread to go by, that is the safe one.

    Returns:
        `tuple[Measurement, str]`: value with `n` answers, and the kind of interval.
    """
    means = _question_means(values, questions)
    value = math.fsum(means) / len(means)
    if share and set(means) in ({0.0}, {1.0}):
        low, high = wilson_interval(round(sum(means)), len(means))
        return Measurement(value=value, n=len(values), low=low, high=high), "wilson over questions"
    interval = mean_interval(means)
    if interval is None:
        return Measurement(value=value, n=len(values)), "none: one question"
    low, high = (max(0.0, interval[0]), min(1.0, interval[1])) if share else interval
    return Measurement(value=value, n=len(values), low=low, high=high), "t over questions"


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
    differences = [after - before for before, after in zip(first, second, strict=True)]
    interval = mean_interval(differences)
    value = math.fsum(differences) / len(differences)
    if interval is None:
        return Measurement(value=value, n=len(differences))
    low, high = interval
    if low == high and all(0 <= number <= 1 for number in (*first, *second)):
        hidden = wilson_interval(0, len(differences))[1]
        low, high = max(-1.0, value - hidden), min(1.0, value + hidden)
    return Measurement(value=value, n=len(differences), low=low, high=high)


def _question_means(values: Sequence[float], questions: Sequence[Hashable]) -> list[float]:
    _check_finite(values)
    by_question: dict[Hashable, list[float]] = {}
    for question, value in zip(questions, values, strict=True):
        by_question.setdefault(question, []).append(value)
    return [math.fsum(own) / len(own) for own in by_question.values()]


def _check_finite(values: Sequence[float]) -> None:
    if not values:
        raise R1Error("values: there is none; give at least one")
    bad = next((value for value in values if not math.isfinite(value)), None)
    if bad is not None:
        raise R1Error(f"values: {bad} is not finite; drop or mend it first")
