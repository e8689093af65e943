import math

import pytest
from scipy.stats import binomtest, ttest_1samp

from trl_r1.errors import R1Error
from trl_r1.evaluation import mean_interval, measure_mean, measure_rate, paired_difference, wilson_interval


def wilson_by_hand(successes, n, z=1.959963984540054):
    rate, spread = successes / n, z * z / n
    middle = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (8, 10), (0, 512), (512, 512), (417, 512)])
def test_wilson_is_its_formula_and_scipys(successes, n):
    assert wilson_interval(successes, n) == pytest.approx(wilson_by_hand(successes, n), abs=1e-12)
    assert wilson_interval(successes, n) == binomtest(successes, n).proportion_ci(method="wilson")


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0, 0), (True, 1)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(R1Error, match=r"^successes: "):
        wilson_interval(successes, n)


def test_the_mean_interval_is_students():
    values = [1.0, 2.0, 4.0, 9.0]
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert mean_interval([3.0]) is None
    for bad in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(R1Error, match="values"):
            mean_interval(bad)


def test_a_rate_of_one_answer_a_question_is_wilsons():
    measured, method = measure_rate([True, True, False, True], range(4))
    assert (measured.value, measured.n, method) == (0.75, 4, "wilson")
    assert (measured.low, measured.high) == pytest.approx(wilson_interval(3, 4), abs=1e-12)


def test_answers_to_one_question_are_not_counted_as_independent():
    # Four questions, each always or never right: 64 answers hold no more than 4 questions' worth of evidence.
    outcomes = [question < 2 for question in range(4) for _ in range(16)]
    questions = [question for question in range(4) for _ in range(16)]
    measured, method = measure_rate(outcomes, questions)
    assert (measured.value, measured.n, method) == (0.5, 64, "wilson")
    assert (measured.low, measured.high) == pytest.approx(wilson_by_hand(2, 4))
    naive = wilson_interval(32, 64)
    assert measured.high - measured.low > 2 * (naive[1] - naive[0])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_shares_that_are_all_alike_do_not_get_an_empty_interval(value):
    measured, method = measure_mean([value] * 20, range(20), share=True)
    assert method == "wilson"
    assert (measured.low, measured.high) == pytest.approx(wilson_interval(round(20 * value), 20), abs=1e-12)


def test_means_of_no_share_are_not_cut():
    measured, method = measure_mean([0.0, 20.0, 22.0], range(3))
    assert (measured.value, method) == (14.0, "t over questions")
    assert measured.low < 0 < 22 < measured.high
    lone, method = measure_mean([5.0, 7.0], [0, 0])
    assert (lone.value, lone.n, lone.low, method) == (6.0, 2, None, "none: one question")


def test_a_paired_difference_is_of_the_pairs():
    before, after = [0.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0, 1.0]
    measured = paired_difference(before, after)
    expected = ttest_1samp([1.0, 0.0, 0.0, 0.0, 1.0], 0.0).confidence_interval(0.95)
    assert (measured.value, measured.n) == (0.4, 5)
    assert (measured.low, measured.high) == pytest.approx((expected.low, 1.0))  # no difference of shares is above 1
    with pytest.raises(R1Error, match="5 and 4 values do not pair"):
        paired_difference(before, after[:4])


def test_pairing_narrows_the_interval():
    before = [float(index % 2) for index in range(40)]
    after = [value if index else 1.0 for index, value in enumerate(before)]
    paired = paired_difference(before, after)
    unpaired = mean_interval(before)
    assert paired.high - paired.low < (unpaired[1] - unpaired[0]) / 3


def test_pairs_that_are_all_alike_do_not_get_an_empty_interval():
    answers = [1.0, 0.0, 1.0, 1.0] * 25
    same = paired_difference(answers, answers)
    assert (same.value, same.n) == (0.0, 100)
    assert (same.low, same.high) == pytest.approx((-wilson_interval(0, 100)[1], wilson_interval(0, 100)[1]))
    lengths = paired_difference([10.0, 12.0], [11.0, 13.0])  # no shares: nothing bounds what is hidden
    assert (lengths.low, lengths.high) == (1.0, 1.0)
