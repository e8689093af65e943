"""Clusters of unequal size: variance and degrees of freedom against the matrices they are defined by, and coverage."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import t

from trl_r1.evaluation import compare_paired, estimate_score
from trl_r1.evaluation.interval_forms import cluster_degrees, cluster_trials, cluster_variance, sums_by_cluster
from trl_r1.evaluation.prompt_sensitivity import measure_sensitivity


SIZES = [[7, 3, 2, 1, 1], [20, 1, 1], [5, 4, 3, 2, 1, 1, 1, 1], [40, 2, 2, 2, 2, 2]]


def of_sizes(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def by_matrices(values, names):
    """
    Bell and McCaffrey's bias-reduced variance of a mean and its degrees of freedom, as they define them: residuals of
    each cluster times `(I - H)^(-1/2)`, and a quadratic form's two moments for independent errors of one variance.
    """
    count = len(values)
    ones = np.ones((count, 1))
    hat = ones @ ones.T / count
    residuals = values - values.mean()
    variance, forms = 0.0, []
    for name in np.unique(names):
        own = names == name
        adjust = np.linalg.inv(np.real(sqrtm(np.eye(own.sum()) - hat[np.ix_(own, own)])))
        row = ones[own].T @ adjust @ (np.eye(count) - hat)[own] / count
        variance += (ones[own].T @ adjust @ residuals[own]).item() ** 2 / count**2
        forms.append(row.ravel())
    products = np.array(forms) @ np.array(forms).T
    return variance, np.trace(products) ** 2 / (products**2).sum()


@pytest.mark.parametrize("sizes", SIZES)
def test_variance_and_degrees_are_bell_and_mccaffreys(sizes):
    names = of_sizes(sizes)
    values = np.random.default_rng(0).uniform(size=len(names))
    variance, degrees = by_matrices(values, names)
    sums, found = sums_by_cluster((values - values.mean()).tolist(), names.tolist())
    assert found == sizes
    assert cluster_variance(sums, sizes) == pytest.approx(variance)
    assert cluster_degrees(sizes) == pytest.approx(degrees)
    assert 1 < cluster_trials(sizes) < len(sizes)


def test_clusters_of_one_size_are_the_usual_case():
    variance, degrees = by_matrices(np.arange(30) % 7 / 7, of_sizes([5] * 6))
    sums, sizes = sums_by_cluster((np.arange(30) % 7 / 7 - np.mean(np.arange(30) % 7 / 7)).tolist(), of_sizes([5] * 6))
    assert cluster_variance(sums, sizes) == pytest.approx(variance) == pytest.approx(np.var(sums, ddof=1) / 6 / 25)
    assert (cluster_degrees(sizes), cluster_trials(sizes)) == (5.0, 6.0)
    assert degrees == pytest.approx(5)


def test_a_comparison_and_a_length_use_them():
    names = of_sizes(SIZES[0])
    rng = np.random.default_rng(1)
    first, second = rng.uniform(size=(2, len(names)))
    variance, degrees = by_matrices(second - first, names)
    clusters = dict(enumerate(names.tolist()))
    pair = ({index: [float(value)] for index, value in enumerate(each)} for each in (first, second))
    found = compare_paired(*pair, clusters=clusters)
    half = t.ppf(0.975, degrees) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half))
    assert found.p_value == pytest.approx(2 * t.sf(abs(found.difference) / math.sqrt(variance), degrees))
    lengths = 100 * first
    variance, _ = by_matrices(lengths, names)
    mean = estimate_score(lengths.tolist(), list(range(len(names))), clusters=clusters, share=False)
    assert mean.high == pytest.approx(lengths.mean() + t.ppf(0.975, degrees) * math.sqrt(variance))


@pytest.mark.parametrize("sizes", [[40, 2, 2, 2, 2, 2], [60, 20, 10, 5, 3, 2], [50] + [5] * 10])
def test_intervals_cover_and_copies_do_not_differ(sizes):
    """Before sizes were allowed for, the first set covered in half of the cases and copies differed in a sixth."""
    names = of_sizes(sizes)
    clusters = dict(enumerate(names.tolist()))
    rng = np.random.default_rng(2)
    covered = alarms = 0
    for _ in range(300):
        rates = rng.beta(2, 2, len(sizes))[names]
        drawn = rng.binomial(4, rates) / 4
        found = estimate_score(drawn.tolist(), list(range(len(names))), clusters=clusters)
        covered += found.low <= 0.5 <= found.high
        pair = ({i: [float(v)] for i, v in enumerate(rng.binomial(4, rates) / 4)} for _ in range(2))
        alarms += compare_paired(*pair, clusters=clusters).p_value < 0.05
    assert covered >= 273  # of 95 %, 1 in 1,000 falls below
    assert alarms <= 27


def test_no_prompt_effect_is_found_where_there_is_none():
    names = of_sizes([40, 2, 2, 2, 2, 2])
    clusters = {f"q{index}": name for index, name in enumerate(names.tolist())}
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(200):
        rates = rng.beta(2, 2, 6)[names]
        answers = {
            f"way {way}": {f"q{index}": [float(right)] for index, right in enumerate(rng.binomial(1, rates))}
            for way in range(4)
        }
        alarms += measure_sensitivity(answers, clusters=clusters).p_value < 0.05
    assert alarms <= 20
