"""Tokens a right answer and how hard a question is, against numpy."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from trl_r1.errors import R1Error
from trl_r1.evaluation import estimate_tokens_per_correct
from trl_r1.evaluation.ratios import difficulties


def answers(questions, samples, seed=0):
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.6, 0.9, questions)
    correct = rng.binomial(1, rates[:, None], (questions, samples))
    tokens = np.exp(6 - rates[:, None] + rng.normal(0, 0.5, (questions, samples)))
    return tokens, correct


def spent_of(tokens, correct):
    return {
        index: (list(map(float, own)), [bool(value) for value in rights])
        for index, (own, rights) in enumerate(zip(tokens, correct, strict=True))
    }


@pytest.mark.parametrize("groups", [None, 5])
def test_tokens_per_correct_is_the_ratio_of_means_with_its_delta_interval(groups):
    tokens, correct = answers(20, 8)
    clusters = None if groups is None else {index: index % groups for index in range(20)}
    found = estimate_tokens_per_correct(spent_of(tokens, correct), clusters=clusters)
    y, x = tokens.mean(axis=1), correct.mean(axis=1)
    ratio = y.mean() / x.mean()
    assert found.value == pytest.approx(ratio)
    # spread of the logarithm: of y/Y - x/X, question by question, and answer by answer
    relative = y / y.mean() - x / x.mean()
    labels = np.arange(20) if groups is None else np.arange(20) % groups
    sums = np.array([relative[labels == label].sum() for label in np.unique(labels)])
    count = len(sums)
    half = t.ppf(0.975, count - 1) * math.sqrt(count / (count - 1) * (sums**2).sum()) / 20
    assert (found.low, found.high) == pytest.approx((ratio * math.exp(-half), ratio * math.exp(half)))
    within = (tokens / y.mean() - correct / x.mean()).var(axis=1, ddof=1).sum() / 8 / 20**2
    half = norm.ppf(0.975) * math.sqrt(within)
    assert (found.sampling_low, found.sampling_high) == pytest.approx(
        (ratio * math.exp(-half), ratio * math.exp(half))
    )
    assert (found.num_questions, found.num_samples, found.num_clusters) == (20, 160, groups or 20)


def test_each_question_counts_alike_however_many_of_its_answers_were_decided():
    found = estimate_tokens_per_correct({"a": ([10], [True]), "b": ([10, 30, 50], [True, False, False])})
    assert found.value == pytest.approx((10 + 30) / 2 / ((1 + 1 / 3) / 2))


def test_tokens_per_correct_where_little_is_known():
    assert estimate_tokens_per_correct({"a": ([5, 6], [False, False])}) is None
    one = estimate_tokens_per_correct({"a": ([5, 7], [True, False])})
    assert (one.value, one.low, one.high) == (12, None, None)
    assert one.sampling_low < 12 < one.sampling_high
    greedy = estimate_tokens_per_correct({"a": ([5], [True]), "b": ([7], [False])})
    assert (greedy.value, greedy.sampling_low) == (12, None)
    free = estimate_tokens_per_correct({"a": ([0, 0], [True, True]), "b": ([0, 0], [True, False])})
    assert (free.value, free.low, free.high) == (0, 0, 0)
    many = {index: ([1e6], [index == 0]) for index in range(3000)}
    rare = estimate_tokens_per_correct(many)
    assert math.isfinite(rare.high)
    assert 0 < rare.low < rare.value == pytest.approx(3e9)


@pytest.mark.parametrize(
    ("spent", "message"),
    [
        ({}, "there is no answer"),
        ({"a": ([], [])}, "there is none"),
        ({"a": ([1], [True, False])}, "1 for 2 verdicts"),
        ({"a": ([-1, 3], [True, False])}, "-1 is impossible"),
        ({"a": ([math.nan, 3], [True, False])}, "not finite"),
        ({"a": ([math.inf, 3], [True, False])}, "not finite"),
    ],
)
def test_impossible_tokens_are_refused(spent, message):
    with pytest.raises(R1Error, match=message):
        estimate_tokens_per_correct(spent)


def test_difficulty_is_by_thirds_of_the_own_pass_rate():
    rights = {right: [True] * right + [False] * (6 - right) for right in range(7)}
    found = difficulties(rights)
    assert [found[right] for right in range(7)] == ["hard", "hard", "middle", "middle", "middle", "easy", "easy"]
    assert difficulties({"a": [True], "b": [True, False]}) == {"b": "middle"}
    assert difficulties({}) == {}
