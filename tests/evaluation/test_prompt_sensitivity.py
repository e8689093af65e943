"""The spread over ways to ask: against matrices, a known policy, and what cannot be measured."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.stats import chi2, ncf, t
from scipy.stats import f as f_distribution

from trl_r1.errors import R1Error
from trl_r1.evaluation.prompt_sensitivity import compare_sensitivity, measure_sensitivity
from trl_r1.evaluation.prompt_sensitivity.crossed import Crossed, Noise
from trl_r1.evaluation.prompt_sensitivity.inversion import fixed_interval, population_interval
from trl_r1.evaluation.prompt_sensitivity.spread import estimate_spread


def answers_of(cells):
    """From an array of ways by questions by samples."""
    return {f"way {row}": {f"q{place}": list(cell) for place, cell in enumerate(own)} for row, own in enumerate(cells)}


def drawn(rng, rates, questions=60, samples=3):
    """A policy whose right rate is that of the way and of the question's difficulty."""
    difficulty = rng.uniform(-0.15, 0.15, questions)
    right = np.array(rates)[:, None, None] + difficulty[None, :, None]
    return rng.binomial(1, right, (len(rates), questions, samples)).astype(float)


def test_the_parts_are_those_of_a_two_way_table():
    rng = np.random.default_rng(0)
    cells = drawn(rng, [0.7, 0.6, 0.4], questions=20, samples=4)
    found = measure_sensitivity(answers_of(cells))
    means = cells.mean(axis=2)
    rows, columns = means.mean(axis=1), means.mean(axis=0)
    rest = means - rows[:, None] - columns[None, :] + means.mean()
    residual = (rest**2).sum() / (2 * 19)
    assert found.observed_sd == pytest.approx(rows.std(ddof=1))
    assert found.noise_sd == pytest.approx(math.sqrt(residual / 20))
    assert found.spread_sd == pytest.approx(math.sqrt(rows.var(ddof=1) - residual / 20))
    within = cells.var(axis=2, ddof=1).mean()
    assert found.sampling_sd == pytest.approx(math.sqrt(within))
    assert found.interaction_sd == pytest.approx(math.sqrt(max(0, residual - within / 4)))
    assert (found.mean, found.num_questions, found.left_out) == (pytest.approx(means.mean()), 20, 0)
    assert [each.score.value for each in found.variants] == pytest.approx(list(rows))
    assert [each.difference for each in found.variants] == pytest.approx(list(rows - rows.mean()))
    kept = found.spread_sd**2 / found.observed_sd**2
    assert [each.shrunken for each in found.variants] == pytest.approx(list(rows.mean() + kept * (rows - rows.mean())))


def test_clusters_count_as_one_question_each():
    rng = np.random.default_rng(1)
    one = drawn(rng, [0.8, 0.5, 0.6], questions=30)
    tripled = np.repeat(one, 3, axis=1)
    clusters = {f"q{place}": place // 3 for place in range(90)}
    alone, copied = measure_sensitivity(answers_of(one)), measure_sensitivity(answers_of(tripled), clusters=clusters)
    for name in ("spread_sd", "low", "high", "population_high", "p_value", "noise_sd", "worst_unbiased"):
        assert getattr(copied, name) == pytest.approx(getattr(alone, name))
    assert (copied.num_questions, copied.num_clusters) == (90, 30)
    assert measure_sensitivity(answers_of(tripled)).high - copied.high < 0  # copies taken for questions: too narrow


def normal_noise(variants, groups, rng):
    """Of many independent questions with equal and independent ways."""
    parts = rng.standard_normal((groups, variants)) / math.sqrt(groups)
    return Noise.of_sums(parts - parts.mean(axis=1, keepdims=True))


def unequal_noise(groups=12):
    """One of five ways is ten times as noisy as the others, and one question counts most along it."""
    parts = np.random.default_rng(4).standard_normal((groups, 5)) * np.array([1, 1, 1, 1, 10.0]) / 10
    parts[0, 4] = 8.0
    parts -= parts.mean(axis=1, keepdims=True)
    return Noise.of_sums(parts)


def test_ways_of_unequal_noise_have_huynh_and_feldts_degrees():
    noise = unequal_noise()
    covariance = noise.sums.T @ noise.sums
    ratio = np.trace(covariance) ** 2 / (covariance**2).sum()  # Greenhouse and Geisser's, times ways less one
    assert noise.shape_degrees == pytest.approx(max(1.0, (12 * ratio - 2) / (12 - 1 - ratio)))
    assert noise.shape_degrees < 1.5


def test_draws_have_the_shrunk_covariance_and_students_tails():
    noise = unequal_noise()
    own = (noise.sums**2).sum(axis=1)
    degrees = max(2.0, 2 * 11 / (own.var(ddof=1) / own.mean() ** 2))
    assert noise.degrees == pytest.approx(degrees)
    noise = dataclasses.replace(noise, degrees=8.0, shape_degrees=2.0)  # tails that a simulation can see
    drawn = noise.draws(200_000, np.random.default_rng(0))
    covariance = np.cov(drawn.T)
    trace = np.trace(noise.sums.T @ noise.sums)
    assert np.trace(covariance) == pytest.approx(trace * 8 / 6, rel=0.03)  # of Student's with 8
    assert np.trace(covariance) ** 2 / (covariance**2).sum() == pytest.approx(2.0, rel=0.03)


def test_draws_along_a_direction_know_its_own_variance_no_better_than_its_questions_do():
    noise, direction = unequal_noise(), np.array([-1, -1, -1, -1, 4.0]) / math.sqrt(20)
    squares = (noise.sums @ direction) ** 2
    degrees = 2 * 11 / (squares.var(ddof=1) / squares.mean() ** 2)
    rng = np.random.default_rng(1)
    along, _ = noise.draws_along(noise.draws(50_000, rng), direction, rng)
    assert degrees < 4
    expected = math.sqrt(squares.sum()) * t.ppf(0.975, max(2.0, degrees))
    assert np.quantile(along, 0.975) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("size", [0.0, 1.0, 4.0])
def test_intervals_are_those_of_the_f_distributions_where_these_hold(size):
    noise = normal_noise(6, 20_000, np.random.default_rng(0))
    scores = size * np.array([-1.2, -0.7, 0.1, 0.2, 0.4, 1.2]) + np.array([0.3, -0.2, 0.5, -0.6, 0.9, -0.9])
    squares = float(((scores - scores.mean()) ** 2).sum())
    ratio = squares / 5 / noise.variance
    low, high = fixed_interval(scores, noise)
    seen = max(ratio, f_distribution.median(5, 1e5))  # less than noise alone mostly gives says no more than that
    assert ncf.cdf(seen, 5, 1e5, high**2 * 5 / noise.variance) == pytest.approx(0.025, abs=0.006)
    above = ncf.cdf(ratio, 5, 1e5, low**2 * 5 / noise.variance)
    assert above == pytest.approx(0.975, abs=0.006) or (low == 0 and above < 0.975)
    low, high = population_interval(scores, noise)
    tails = [
        math.sqrt(max(0.0, noise.variance * (own / chi2.ppf(tail, 5) * 5 - 1)))
        for own, tail in ((ratio, 0.975), (seen, 0.025))
    ]
    assert (low, high) == (pytest.approx(tails[0], rel=0.05, abs=1e-9), pytest.approx(tails[1], rel=0.03))


def test_the_p_value_is_that_of_the_f_test_where_ways_are_equally_noisy():
    cells = drawn(np.random.default_rng(5), [0.5, 0.52, 0.48, 0.5], questions=400, samples=1)
    found = measure_sensitivity(answers_of(cells))
    ratio = found.observed_sd**2 / found.noise_sd**2
    assert found.p_value == pytest.approx(f_distribution.sf(ratio, 3, 3 * 399), rel=0.05)


def test_the_known_spread_is_covered_and_no_effect_is_not_found():
    rng = np.random.default_rng(2)
    rates = [0.75, 0.7, 0.6, 0.45]
    truth = float(np.std(rates, ddof=1))
    tables = [Crossed.from_answers(answers_of(drawn(rng, rates))) for _ in range(120)]
    found = [estimate_spread(table, table.noise()) for table in tables]
    assert sum(each.low <= truth <= each.high for each in found) >= 107  # of 95 %; 1 in 1,000 falls below
    variance = np.mean([each.observed_sd**2 - each.noise_sd**2 for each in found])
    assert variance == pytest.approx(truth**2, rel=0.08)
    tables = [Crossed.from_answers(answers_of(drawn(rng, [0.6] * 5))) for _ in range(120)]
    found = [estimate_spread(table, table.noise()) for table in tables]
    assert sum(each.p_value < 0.05 for each in found) <= 14
    assert sum(each.p_value < 0.5 for each in found) in range(42, 79)
    assert sum(each.low > 0 for each in found) <= 9


def test_the_worst_is_chosen_on_one_half_and_measured_on_the_other():
    cells = drawn(np.random.default_rng(3), [0.6] * 20, questions=40, samples=1)
    found = measure_sensitivity(answers_of(cells))
    lowest = min(each.score.value for each in found.variants)
    assert lowest < 0.52  # luck alone
    assert abs(found.worst_unbiased - 0.6) < abs(lowest - 0.6) / 2
    apart = drawn(np.random.default_rng(4), [0.8] * 5 + [0.2], questions=80)
    found = measure_sensitivity(answers_of(apart))
    assert found.worst == "way 5"
    assert found.worst_unbiased == pytest.approx(found.variants[5].score.value)
    assert found.variants[5].p_value < 0.001


def test_questions_that_flip_are_named_furthest_first():
    answers = {
        "plain": {"a": [1, 1], "b": [1, 1], "c": [0, 0], "d": [1, 0]},
        "rude": {"a": [1, 1], "b": [0, 0], "c": [0, 0], "d": [0, 0]},
    }
    found = measure_sensitivity(answers)
    assert [(flip.question, flip.best, flip.worst) for flip in found.flips] == [
        ("b", "plain", "rude"),
        ("d", "plain", "rude"),
    ]
    assert found.num_flips == 1
    assert (found.worst, found.best) == ("rude", "plain")


def test_one_answer_a_question_tells_nothing_of_the_interaction():
    found = measure_sensitivity(answers_of(drawn(np.random.default_rng(0), [0.7, 0.5], samples=1)))
    assert (found.interaction_sd, found.sampling_sd) == (None, None)


@pytest.mark.parametrize(
    ("rows", "spread", "p_value"), [([1, 1, 1], 0.0, 1.0), ([0, 0, 0], 0.0, 1.0), ([1, 0, 0], 3**-0.5, 2.0**-29)]
)
def test_where_nothing_varies_within_ways_the_interval_still_has_a_width(rows, spread, p_value):
    cells = np.broadcast_to(np.array(rows, dtype=float)[:, None, None], (3, 30, 2))
    found = measure_sensitivity(answers_of(cells))
    assert (found.spread_sd, found.p_value) == (pytest.approx(spread), pytest.approx(p_value))
    assert found.low == pytest.approx(max(0.0, spread - 0.1135), abs=1e-4)
    assert found.high == pytest.approx(min(3**-0.5, spread + 0.1135), abs=1e-4)
    assert found.population_high == (0.5 if spread else found.high)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("ways", [2, 3, 6, 7])
@pytest.mark.parametrize("right", [1, 3, 7])
def test_ways_that_are_all_answered_alike_do_not_differ_by_rounding(ways, right):
    own = {f"q{place}": [float(place < right)] for place in range(10)}
    found = measure_sensitivity({f"way {way}": own for way in range(ways)})
    assert (found.spread_sd, found.p_value, found.low) == (0.0, 1.0, 0.0)


def test_numbers_that_are_no_shares_have_no_largest_spread():
    rng = np.random.default_rng(0)
    cells = rng.normal(100.0, 30.0, (2, 40, 2)) + np.array([0.0, 50.0])[:, None, None]
    found = measure_sensitivity(answers_of(cells))
    assert found.low < 50 / math.sqrt(2) < found.high
    assert found.population_high > 100
    apart = measure_sensitivity({"plain": dict(enumerate([[1.0]] * 9)), "rude": dict(enumerate([[1e9]] * 9))})
    assert apart.low == apart.high == apart.spread_sd == pytest.approx(1e9 / math.sqrt(2))
    json.dumps(apart.to_dict(), allow_nan=False)


def test_one_answer_that_differs_is_no_spread():
    alike = dict(enumerate([[1.0]] * 100))
    found = measure_sensitivity({"plain": alike, "rude": {**alike, 0: [0.0]}, "terse": alike})
    assert (found.spread_sd, found.low) == (0.0, 0.0)
    assert 0 < found.high < 0.05
    assert found.p_value > 0.05


def test_questions_without_an_answer_in_some_way_are_left_out_of_all():
    answers = answers_of(drawn(np.random.default_rng(0), [0.7, 0.5], questions=6))
    answers["way 0"]["q0"] = []
    del answers["way 1"]["q5"]
    found = measure_sensitivity(answers)
    assert (found.num_questions, found.left_out) == (4, 2)
    assert found.variants[0].score.num_questions == 4


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, "0 say nothing of a spread"),
        ({"plain": {"a": [1], "b": [0]}}, "1 say nothing of a spread"),
        ({"plain": {"a": [1]}, "rude": {"a": [0]}}, "questions: 1 independent"),
        ({"plain": {"a": [1], "b": [1]}, "rude": {"c": [0], "d": [0]}}, "questions: 0 independent"),
        ({"plain": {"a": [1], "b": [math.nan]}, "rude": {"a": [0], "b": [0]}}, "not finite"),
    ],
)
def test_what_says_nothing_is_refused(answers, message):
    with pytest.raises(R1Error, match=message):
        measure_sensitivity(answers)


def test_one_cluster_is_refused():
    answers = answers_of(drawn(np.random.default_rng(0), [0.7, 0.5], questions=6))
    with pytest.raises(R1Error, match="1 independent"):
        measure_sensitivity(answers, clusters=dict.fromkeys(answers["way 0"], "all"))


def test_two_spreads_differ_where_they_do_and_not_between_copies():
    rng = np.random.default_rng(6)
    wide, even = answers_of(drawn(rng, [0.8, 0.7, 0.3])), answers_of(drawn(rng, [0.6] * 3))
    found = compare_sensitivity(wide, even)
    assert found.low < -float(np.std([0.8, 0.7, 0.3], ddof=1)) < found.high < 0
    assert found.difference == pytest.approx(found.second - found.first)
    back = compare_sensitivity(even, wide)
    assert (back.low, back.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    same = compare_sensitivity(wide, wide)
    assert (same.difference, same.low) == (0.0, pytest.approx(-same.high))
    assert same.high > 0


def test_only_what_was_asked_alike_is_compared():
    answers = answers_of(drawn(np.random.default_rng(0), [0.7, 0.5], questions=8))
    with pytest.raises(R1Error, match="'way 1', 'way 2' are not in both"):
        compare_sensitivity(answers, {"way 0": answers["way 0"], "way 2": answers["way 1"]})
    fewer = {way: {name: own[name] for name in list(own)[:5]} for way, own in answers.items()}
    found = compare_sensitivity(answers, fewer)
    assert (found.num_questions, found.left_out) == (5, 3)
    assert found.difference == 0.0


def test_many_ways_and_few_questions_can_be_measured():
    cells = drawn(np.random.default_rng(0), [0.6] * 40, questions=3, samples=1)
    found = measure_sensitivity(answers_of(cells))
    assert 0 <= found.low <= found.spread_sd <= found.high <= 0.51
    assert 0 <= found.p_value <= 1


def test_the_same_answers_give_the_same_numbers_in_any_order():
    answers = answers_of(drawn(np.random.default_rng(0), [0.7, 0.5, 0.6], questions=12))
    turned = {way: dict(reversed(own.items())) for way, own in answers.items()}
    first, second = measure_sensitivity(answers), measure_sensitivity(turned)
    for name in ("spread_sd", "low", "high", "p_value", "worst"):
        assert getattr(first, name) == pytest.approx(getattr(second, name))
