"""
The forms of the two intervals of a score, from its variance or its questions' values.

Intervals are Wilson's with the number of questions replaced by an effective one, `p (1 - p) / variance`, and the
normal quantile by Student's with degrees of freedom that allow for the skewness of few, mostly failed questions. Of
the ways that were simulated it comes closest to 95 % (`tests/benchmarks/interval_coverage.py`, docs/evaluation.md).
Where a set is too small to know, as six groups of nearly always solved questions, it errs to the wide side.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Final


CONFIDENCE: Final = 0.95
FEWEST_DEGREES: Final = 2.0
UNSEEN: Final = 0.02  # of a question that fails where all others are solved, or the reverse: least spread to allow for
UNSEEN_TRY: Final = 0.05  # the same of tries, where the questions are fixed


def over_questions(
    values: Sequence[float], own_clusters: Sequence[Hashable], share: bool
) -> tuple[float | None, float | None, str]:
    """The interval over questions, and its kind."""
    value, count = math.fsum(values) / len(values), len(values)
    sums: dict[Hashable, float] = {}
    for own, cluster in zip(values, own_clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + own - value
    groups = len(sums)
    over = "questions" if groups == count else "clusters"
    if share and groups == count and set(values) <= {0.0, 1.0}:
        return *wilson(value, count), "wilson"
    if groups < 2:
        return None, None, f"none: one {over[:-1]}"
    variance = groups / (groups - 1) * math.fsum(own**2 for own in sums.values()) / count**2
    if not share:
        half = quantile(groups - 1) * math.sqrt(variance)
        return value - half, value + half, f"t over {over}"
    if variance <= 0 or not 0 < value < 1:  # all alike: no spread to go by, so as if each cluster were one trial
        return *wilson(value, groups), f"wilson over {over}"
    degrees = degrees_of_freedom(list(sums.values()))
    # the fewer the degrees, the likelier that the set lacks what it is about: a rare question unlike the others
    variance += groups / (groups - 1) * UNSEEN / degrees * (max(value, 1 - value) / groups) ** 2
    effective = max(1.0, value * (1 - value) / variance)
    return *wilson(value, effective, quantile(degrees)), f"wilson, effective {over}"


def over_samples(value: float, variance: float, tries: int, share: bool) -> tuple[float, float]:
    """The interval of fixed questions. Where all tries at each agree, as wide as for that many single ones."""
    if not share:
        half = quantile() * math.sqrt(variance)
        return value - half, value + half
    if variance <= 0 or not 0 < value < 1:
        return wilson(value, tries)
    return wilson(value, max(1.0, value * (1 - value) / (variance + UNSEEN_TRY / tries**2)))


def degrees_of_freedom(deviations: Sequence[float]) -> float:
    """
    How many normal deviations know their variance as well as these do.

    An estimated variance of n deviations with kurtosis c has a relative variance of about `(c - 1) / n`; one with d
    degrees of freedom has `2 / d`. So d is `2 n / (c - 1)`, at most n - 1. Few right answers among many wrong ones
    have a large kurtosis, and hence few degrees.
    """
    count = len(deviations)
    square = math.fsum(own**2 for own in deviations) / count
    fourth = math.fsum(own**4 for own in deviations) / count
    if square <= 0:
        return float(count - 1)
    excess = max(fourth / square**2 - 1, 2 / count)
    return min(float(count - 1), max(min(FEWEST_DEGREES, count - 1.0), 2 * (count - 1) / excess))


def wilson(value: float, n: float, z: float | None = None) -> tuple[float, float]:
    """Wilson's score interval of a rate among `n` trials, which need not be whole."""
    z = quantile() if z is None else z
    spread = z * z / n
    middle = (value + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(value * (1 - value) / n + spread / (4 * n))
    # at 0 and 1 one end is the value itself, but for rounding
    return (0.0 if value == 0 else max(0.0, middle - half)), (1.0 if value == 1 else min(1.0, middle + half))


def quantile(degrees: float | None = None) -> float:
    """Of Student's distribution at 97.5 %; the normal one's without degrees of freedom."""
    from scipy.stats import norm, t

    share = (1 + CONFIDENCE) / 2
    return float(norm.ppf(share) if degrees is None else t.ppf(share, degrees))
