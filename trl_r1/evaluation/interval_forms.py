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
ROUNDING: Final = 1e-20  # variance below which shares are all one number; a single answer's in 64,000 is 2e-10


def over_questions(
    values: Sequence[float], own_clusters: Sequence[Hashable], share: bool
) -> tuple[float | None, float | None, str]:
    """The interval over questions, and its kind."""
    value, count = math.fsum(values) / len(values), len(values)
    sums, sizes = sums_by_cluster([own - value for own in values], own_clusters)
    groups = len(sums)
    over = "questions" if groups == count else "clusters"
    if share and groups == count and set(values) <= {0.0, 1.0}:
        return *wilson(value, count), "wilson"
    if groups < 2:
        return None, None, f"none: one {over[:-1]}"
    variance, most = cluster_variance(sums, sizes), cluster_degrees(sizes)
    if not share:
        half = quantile(most) * math.sqrt(variance)
        return value - half, value + half, f"t over {over}"
    trials = cluster_trials(sizes)
    if variance <= ROUNDING or not 0 < value < 1:  # all alike: no spread to go by, so as if each cluster were a trial
        return *wilson(value, trials), f"wilson over {over}"
    degrees = min(degrees_of_freedom(sums), most)
    # the fewer the degrees, the likelier that the set lacks what it is about: a rare question unlike the others
    variance += trials / (trials - 1) * UNSEEN / degrees * (max(value, 1 - value) / trials) ** 2
    effective = max(1.0, value * (1 - value) / variance)
    return *wilson(value, effective, quantile(degrees)), f"wilson, effective {over}"


def sums_by_cluster(deviations: Sequence[float], own_clusters: Sequence[Hashable]) -> tuple[list[float], list[int]]:
    """Sum of the deviations in each cluster, and its number of questions."""
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for own, cluster in zip(deviations, own_clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + own
        sizes[cluster] = sizes.get(cluster, 0) + 1
    return list(sums.values()), list(sizes.values())


def cluster_variance(sums: Sequence[float], sizes: Sequence[int]) -> float:
    """
    Of a mean over questions, from the clusters' sums of deviations from it.

    A cluster draws the mean towards itself by its share w of the questions, so that its deviations are too small by a
    factor of `1 - w` in the square (the "CR2" of Bell and McCaffrey, 2002, of a mean). Where all are of one size it
    is the usual `G / (G - 1)`.
    """
    count, groups = sum(sizes), len(sizes)
    if len(set(sizes)) == 1:
        return groups / (groups - 1) * math.fsum(own**2 for own in sums) / count**2
    return math.fsum(own**2 / (1 - size / count) for own, size in zip(sums, sizes, strict=True)) / count**2


def cluster_degrees(sizes: Sequence[int]) -> float:
    """
    Degrees of freedom of [`cluster_variance`] (Bell and McCaffrey's, for questions that are independent after all).

    Clusters less one where all are of one size; near one where a single cluster makes up most of the mean.
    """
    if len(set(sizes)) == 1:
        return len(sizes) - 1.0
    shares = [size / sum(sizes) for size in sizes]
    own = [share**2 / (1 - share) for share in shares]
    crossed = math.fsum(own) ** 2 - math.fsum(each**2 for each in own)
    return 1 / (math.fsum(share**2 for share in shares) + crossed)


def cluster_trials(sizes: Sequence[int]) -> float:
    """As how many clusters of one size these count; their number where they are."""
    if len(set(sizes)) == 1:
        return float(len(sizes))
    return sum(sizes) ** 2 / sum(size**2 for size in sizes)


def over_samples(value: float, variance: float, tries: int, share: bool) -> tuple[float, float]:
    """The interval of fixed questions. Where all tries at each agree, as wide as for that many single ones."""
    if not share:
        half = quantile() * math.sqrt(variance)
        return value - half, value + half
    if variance <= ROUNDING or not 0 < value < 1:
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
