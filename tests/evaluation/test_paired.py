"""The difference of two policies against scipy's paired test, and what it says of copies."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t, ttest_1samp, ttest_rel

from trl_r1.errors import R1Error
from trl_r1.evaluation import compare_paired, estimate_score, wilson_interval
from trl_r1.evaluation.paired import holm


def answers(matrix):
    return {f"question {index}": list(row) for index, row in enumerate(matrix)}


def two_policies(shift, questions=60, samples=6, seed=0):
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.7, 0.7, size=(questions, 1))
    shifted = np.clip(rates + shift, 0, 1)
    return [rng.binomial(1, own, size=(questions, samples)) for own in (rates, shifted)]


def test_it_is_scipys_paired_test():
    first, second = two_policies(0.15)
    found = compare_paired(answers(first), answers(second))
    test = ttest_rel(second.mean(axis=1), first.mean(axis=1))
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert (found.first, found.second) == pytest.approx((first.mean(), second.mean()))
    assert found.better + found.worse + found.equal == found.num_questions == 60


def test_the_interval_over_samples_is_newcombes():
    first, second = two_policies(0.15)
    found = compare_paired(answers(first), answers(second))
    own, other = (
        estimate_score(matrix.ravel().tolist(), np.repeat(np.arange(60), 6).tolist()) for matrix in (first, second)
    )
    below = math.hypot(other.value - other.sampling_low, own.sampling_high - own.value)
    above = math.hypot(other.sampling_high - other.value, own.value - own.sampling_low)
    assert found.sampling_low == pytest.approx(found.difference - below)
    assert found.sampling_high == pytest.approx(found.difference + above)
    noise = sum(each.var(axis=1, ddof=1).sum() / 6 for each in (first, second)) / 60**2
    assert found.sampling_high - found.difference == pytest.approx(1.96 * math.sqrt(noise), rel=0.05)  # not far off


def test_answers_that_all_agree_leave_a_width_over_samples():
    sure = {"a": [1, 1], "b": [0, 0], "c": [1, 1]}
    found = compare_paired(sure, sure)
    assert found.sampling_low < -0.3
    assert found.sampling_high > 0.3
    lengths = compare_paired({"a": [10.0, 14.0], "b": [3.0, 5.0]}, {"a": [20.0, 20.0], "b": [9.0, 9.0]})
    half = 1.959963984540054 * math.sqrt((8 / 2 + 2 / 2) / 4)
    assert (found.difference, lengths.difference) == (0.0, 6.5)
    assert (lengths.sampling_low, lengths.sampling_high) == pytest.approx((6.5 - half, 6.5 + half))


def test_clusters_are_the_units():
    first, second = two_policies(0.1)
    clusters = {f"question {index}": index // 4 for index in range(60)}
    found = compare_paired(answers(first), answers(second), clusters=clusters)
    sums = (second.mean(axis=1) - first.mean(axis=1)).reshape(15, 4).mean(axis=1)
    expected = ttest_1samp(sums, 0.0)
    assert (found.p_value, found.num_clusters) == (pytest.approx(expected.pvalue), 15)
    assert found.method == "paired, t over clusters"


def test_two_copies_do_not_differ():
    first, _ = two_policies(0.0)
    found = compare_paired(answers(first), answers(first))
    assert (found.difference, found.p_value, found.equal, found.smallest_detectable) == (0.0, 1.0, 60, None)
    hidden = wilson_interval(0, 60)[1]
    assert (found.low, found.high) == pytest.approx((-hidden, hidden))


def test_a_difference_that_is_there_is_found_as_often_as_promised():
    """The smallest detectable difference is found in four of five comparisons: its own definition, simulated."""
    rng = np.random.default_rng(3)
    sizes, found = [], 0
    for _ in range(300):
        rates = rng.uniform(0.2, 0.6, size=(80, 1))
        first, second = (rng.binomial(1, own, size=(80, 4)) for own in (rates, rates + 0.11))
        compared = compare_paired(answers(first), answers(second))
        sizes.append(compared.smallest_detectable)
        found += compared.p_value < 0.05
    # at a difference of .11 instead of the smallest detectable one, the power that the same formula gives
    error = np.mean(sizes) / (t.ppf(0.975, 79) + norm.ppf(0.8))
    expected = norm.cdf(0.11 / error - t.ppf(0.975, 79))
    assert 0.7 < expected < 0.95
    assert found / 300 == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 300))


def test_the_smallest_detectable_difference_by_hand():
    first, second = two_policies(0.1)
    error = np.std(second.mean(axis=1) - first.mean(axis=1), ddof=1) / math.sqrt(60)
    found = compare_paired(answers(first), answers(second))
    assert found.smallest_detectable == pytest.approx((t.ppf(0.975, 59) + norm.ppf(0.8)) * error)


def test_no_interval_leaves_what_differences_of_shares_can_be():
    down = compare_paired({"a": [1], "b": [1], "c": [1], "d": [0]}, {"a": [0], "b": [0], "c": [0], "d": [0]})
    assert (down.low, down.difference) == (-1.0, -0.75)


def test_large_values_that_all_differ_by_the_same_do_so_but_for_rounding():
    first = {place: [1e6 + place / 3, 1e6 + place / 7, 1e6] for place in range(10)}
    second = {place: [value + 1 / 3 for value in own] for place, own in first.items()}
    found = compare_paired(first, second)
    assert (found.p_value, found.smallest_detectable) == (2.0**-9, None)


def test_differences_that_are_all_the_same():
    found = compare_paired({"a": [0], "b": [0], "c": [0]}, {"a": [1], "b": [1], "c": [1]})
    assert (found.difference, found.p_value, found.better) == (1.0, 0.25, 3)
    assert found.low < 1.0 == found.high
    lone = compare_paired({"a": [0, 1]}, {"a": [1, 1]})
    assert (lone.low, lone.p_value, lone.method) == (None, None, "none: one question")
    assert lone.sampling_low < 0.5 < lone.sampling_high


def test_lengths_are_compared_too():
    found = compare_paired({"a": [100.0], "b": [80.0], "c": [90.0]}, {"a": [140.0], "b": [90.0], "c": [130.0]})
    assert found.difference == 30.0
    assert found.high > 1
    assert found.sampling_low is None  # one answer a question


def test_counts_whose_means_are_below_one_are_no_shares():
    """Words of reflection, say: two in one answer of four."""
    first = {"a": [2.0, 0, 0, 0], "b": [0.0, 0, 0, 1], "c": [1.0, 0, 1, 0]}
    second = {name: [0.0] * 4 for name in first}
    found = compare_paired(second, first)
    assert found.difference == pytest.approx(5 / 12)
    assert found.sampling_low < 5 / 12 < found.sampling_high
    scale = {name: [100 * value for value in own] for name, own in first.items()}
    large = compare_paired(second, scale)
    assert large.high == pytest.approx(100 * found.high)
    assert large.p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({"a": [1]}, {"b": [1]}, "questions: 2 are not in both"),
        ({}, {}, "questions: there is none"),
        ({"a": []}, {"a": [1]}, "values: there is none"),
        ({"a": [math.nan]}, {"a": [1]}, "values: nan"),
    ],
)
def test_what_does_not_pair_is_refused(first, second, field):
    with pytest.raises(R1Error, match=f"^{field}"):
        compare_paired(first, second)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
