"""Scores with two spreads, against references written in other words: matrices, enumeration, simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, kurtosis, t

from trl_r1.errors import R1Error
from trl_r1.evaluation import cons_at_k, estimate_cons_at_k, estimate_pass_at_k, estimate_score, pass_at_k
from trl_r1.evaluation.interval_forms import degrees_of_freedom, wilson


def reference(matrix, clusters=None):
    """Value, interval over questions, interval over samples, spreads: from a matrix of questions by answers."""
    matrix = np.asarray(matrix, dtype=np.float64)
    questions, samples = matrix.shape
    means = matrix.mean(axis=1)
    value = means.mean()
    labels = np.arange(questions) if clusters is None else np.asarray(clusters)
    sums = np.array([(means - value)[labels == own].sum() for own in np.unique(labels)])
    variance = len(sums) / (len(sums) - 1) * (sums**2).sum() / questions**2
    excess = np.mean(sums**4) / np.mean(sums**2) ** 2 - 1
    degrees = min(len(sums) - 1, max(2, 2 * (len(sums) - 1) / excess))
    within = matrix.var(axis=1, ddof=1)
    noise = within.sum() / samples / questions**2
    far = max(value, 1 - value) ** 2
    unseen = 0.02 / degrees * far / (len(sums) * (len(sums) - 1))
    return {
        "value": value,
        "over questions": by_effective(value, variance + unseen, t.ppf(0.975, degrees)),
        "over samples": by_effective(value, noise + 0.05 / matrix.size**2, 1.959963984540054),
        "question_sd": math.sqrt(max(0, means.var(ddof=1) - noise * questions)),
        "sampling_sd": math.sqrt(within.mean()),
    }


def by_effective(value, variance, z):
    """Where a rate's distance from the value is z of its own standard errors: the roots of a quadratic."""
    n = value * (1 - value) / variance
    return sorted(np.roots([1 + z * z / n, -(2 * value + z * z / n), value**2]).real)


def flat(matrix):
    values = [value for row in matrix for value in row]
    return values, [question for question, row in enumerate(matrix) for _ in row]


@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]])
def test_a_score_is_the_reference(clusters):
    rng = np.random.default_rng(0)
    matrix = rng.binomial(1, rng.beta(0.6, 0.9, size=(12, 1)), size=(12, 8))
    named = None if clusters is None else dict(enumerate(clusters))
    found, expected = estimate_score(*flat(matrix), clusters=named), reference(matrix, clusters)
    assert found.value == pytest.approx(expected["value"])
    assert (found.low, found.high) == pytest.approx(expected["over questions"])
    assert (found.sampling_low, found.sampling_high) == pytest.approx(expected["over samples"])
    assert found.question_sd == pytest.approx(expected["question_sd"])
    assert found.sampling_sd == pytest.approx(expected["sampling_sd"])
    assert (found.num_questions, found.num_samples, found.num_clusters) == (12, 96, 12 if clusters is None else 6)
    assert found.method == f"wilson, effective {'questions' if clusters is None else 'clusters'}"


def test_one_answer_a_question_is_wilsons_and_tells_nothing_of_sampling():
    found = estimate_score([1, 0, 1, 1, 0], range(5))
    expected = binomtest(3, 5).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.sampling_low, found.sampling_high, found.question_sd, found.sampling_sd) == (None,) * 4
    assert found.method == "wilson"


def test_answers_that_agree_leave_an_interval():
    sure = estimate_score(*flat([[1] * 8] * 6 + [[0] * 8] * 4))
    assert (sure.value, sure.sampling_sd) == (0.6, 0.0)
    assert sure.sampling_low < 0.6 < sure.sampling_high  # as of 80 single trials
    assert sure.high - sure.low > 4 * (sure.sampling_high - sure.sampling_low) / 4
    alike = estimate_score(*flat([[1, 0]] * 10))
    assert (alike.value, alike.question_sd, alike.method) == (0.5, 0.0, "wilson over questions")
    assert 0 <= alike.low < 0.5 < alike.high <= 1


def test_fewer_clusters_than_questions_widen_the_interval():
    rows = [[1, 1]] * 10 + [[0, 0]] * 10
    alone = estimate_score(*flat(rows))
    paired = estimate_score(*flat(rows), clusters={question: question // 5 for question in range(20)})
    assert paired.high - paired.low > 1.5 * (alone.high - alone.low)
    lone = estimate_score(*flat(rows), clusters=dict.fromkeys(range(20), "all"))
    assert (lone.low, lone.high, lone.num_clusters, lone.method) == (None, None, 1, "none: one cluster")
    partly = estimate_score(*flat(rows), clusters={0: "a", 1: "a", 2: None})
    assert partly.num_clusters == 19


def test_questions_with_different_numbers_of_answers_count_alike():
    found = estimate_score([1, 1, 1, 0, 0], ["a", "a", "a", "b", "b"])
    assert found.value == 0.5
    mixed = estimate_score([1, 0, 1, 1], ["a", "a", "a", "b"])  # b's own sampling noise is taken from a's
    assert mixed.sampling_sd == pytest.approx(math.sqrt(1 / 3))


def test_means_of_no_share_are_students():
    found = estimate_score([10, 14, 20, 24, 3, 5], [0, 0, 1, 1, 2, 2], share=False)
    means = np.array([12.0, 22.0, 4.0])
    half = t.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((means.mean() - half, means.mean() + half))
    assert found.method == "t over questions"


@pytest.mark.parametrize(
    ("values", "share", "message"),
    [
        ([], True, "there is none"),
        ([1, math.nan], True, "finite"),
        ([math.inf], False, "finite"),
        ([2], True, "share"),
    ],
)
def test_values_that_make_no_sense_are_refused(values, share, message):
    with pytest.raises(R1Error, match=rf"^values: .*{message}"):
        estimate_score(values, range(len(values)), share=share)


def test_degrees_of_freedom_follow_the_kurtosis():
    rng = np.random.default_rng(1)
    normal, skewed = rng.normal(size=400), rng.exponential(size=400)
    for sample in (normal - normal.mean(), skewed - skewed.mean()):
        expected = 2 * 399 / (kurtosis(sample, fisher=False) - 1)
        assert degrees_of_freedom(list(sample)) == pytest.approx(min(399, expected))
    one_right_of_thirty = [1.0] + [-1 / 29] * 29
    assert degrees_of_freedom(one_right_of_thirty) == pytest.approx(2.145, abs=1e-3)  # next to nothing is known
    assert degrees_of_freedom([1.0, -1.0]) == 1.0
    assert degrees_of_freedom([0.0, 0.0, 0.0]) == 2.0


@pytest.mark.parametrize(("right", "answers", "count"), [(1, 3, 25), (3, 7, 23), (2, 6, 49), (1, 3, 40)])
def test_questions_that_are_all_alike_leave_a_width_whatever_the_rounding(right, answers, count):
    """A third, 25 times, has a variance of 1e-33 in floats."""
    values = ([1] * right + [0] * (answers - right)) * count
    found = estimate_score(values, [question for question in range(count) for _ in range(answers)])
    assert (found.low, found.high) == pytest.approx(wilson(right / answers, count))
    clusters = {question: question // 5 for question in range(count)}
    found = estimate_score(values, [question for question in range(count) for _ in range(answers)], clusters=clusters)
    assert found.high - found.low > wilson(right / answers, count)[1] - wilson(right / answers, count)[0]


def test_tries_that_all_agree_are_so_many_trials():
    found = estimate_score([1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1])
    assert (found.sampling_low, found.sampling_high) == pytest.approx(wilson(0.5, 8))


def test_wilson_at_the_ends():
    assert wilson(0.0, 10)[0] == 0.0
    assert wilson(1.0, 10)[1] == 1.0
    assert wilson(0.3, 10) == pytest.approx(tuple(binomtest(3, 10).proportion_ci(method="wilson")))


def test_pass_at_k_over_questions():
    counts = {"a": (4, 1), "b": (4, 4), "c": (4, 0), "d": (6, 3)}
    found = estimate_pass_at_k(counts, 2)
    assert found.value == pytest.approx(sum(pass_at_k(n, right, 2) for n, right in counts.values()) / 4)
    assert 0 <= found.low < found.sampling_low < found.value < found.sampling_high < found.high <= 1
    assert (found.num_questions, found.num_samples) == (4, 18)
    assert estimate_pass_at_k({"a": (4, 1), "b": (4, 3)}, 4).sampling_low is None  # one try of all four
    with pytest.raises(R1Error, match=r"^k: 5 is more than the 4 samples"):
        estimate_pass_at_k(counts, 5)
    with pytest.raises(R1Error, match="there is none"):
        estimate_pass_at_k({}, 1)


@pytest.mark.parametrize(("n", "right", "k"), [(5, 2, 2), (8, 3, 4), (6, 1, 3), (4, 4, 2)])
def test_the_spread_of_pass_at_k_is_the_jackknifes(n, right, k):
    answers = [1] * right + [0] * (n - right)
    share = [
        np.mean([any(own) for own in itertools.combinations(answers[:place] + answers[place + 1 :], k)])
        for place in range(n)
    ]
    variance = (n - 1) / n * np.sum((share - np.mean(share)) ** 2)
    found = estimate_pass_at_k({"a": (n, right)}, k)
    assert found.sampling_sd == pytest.approx(math.sqrt(variance * (n // k)), abs=1e-9)  # of one try of k answers


@pytest.mark.parametrize("clusters", [None, {question: question // 5 for question in range(30)}])
def test_nearly_always_solved_questions_leave_room_for_one_that_is_not(clusters):
    """One answer in 480 was wrong: the spread that is seen would allow for a score of 99 % at least."""
    rows = [[1] * 16 for _ in range(29)] + [[1] * 15 + [0]]
    found = estimate_score(*flat(rows), clusters=clusters)
    assert found.low < (0.98 if clusters is None else 0.95)
    assert found.high > found.value


def test_the_spread_of_a_vote_is_that_between_halves():
    answers, correct = ["7", "7", "7", "8", "8", "9"], [True] * 3 + [False] * 3
    squares = []
    for first in itertools.combinations(range(6), 3):
        second = [place for place in range(6) if place not in first]
        own, other = (cons_at_k([answers[i] for i in part], [correct[i] for i in part]) for part in (first, second))
        squares.append((own - other) ** 2 / 2)
    found = estimate_cons_at_k({"a": (answers, correct)})
    assert found.sampling_sd**2 == pytest.approx(np.mean(squares), rel=0.1)  # drawn, of all the ways to halve them
    clear = estimate_cons_at_k({"a": (["7"] * 6, [True] * 6), "b": (["8"] * 6, [False] * 6)})
    assert clear.sampling_sd == 0.0
    assert clear.sampling_high - clear.sampling_low > 0.5  # two votes, not twelve answers


def test_the_vote_over_questions():
    votes = {
        "a": (["7", "7", "8", "9"], [True, True, False, False]),
        "b": (["1", "2", "2", None], [True, False, False, False]),
        "c": ([None] * 4, [False] * 4),
    }
    found = estimate_cons_at_k(votes)
    assert found.value == pytest.approx(1 / 3)
    assert found.sampling_low < found.value < found.sampling_high
    assert found == estimate_cons_at_k(votes)
    assert estimate_cons_at_k(votes, 2).sampling_low is None
    assert estimate_cons_at_k(votes, 1).value == pytest.approx((0.5 + 0.25 + 0) / 3)
    with pytest.raises(R1Error, match=r"^k: 9"):
        estimate_cons_at_k(votes, 9)


def test_estimates_are_plain_in_records():
    found = estimate_score([1, 0, 1], ["a", "b", "c"]).to_dict()
    assert found["value"] == pytest.approx(2 / 3)
    assert found["num_questions"] == 3
    assert set(map(type, found.values())) <= {int, float, str, type(None)}


def test_a_count_below_zero_is_refused():
    with pytest.raises(R1Error, match=r"values: -1\.0 is below zero"):
        estimate_score([2.0, -1.0], ["a", "b"], share=False, count=True)
