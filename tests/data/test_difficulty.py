"""One definition of a pass rate."""

import math

import pytest

from trl_r1.data.difficulty import (
    PassCount,
    PassRates,
    count_passes,
    in_band,
    judging_reward,
    pass_rate,
    passes,
    prompt_key,
    read_pass_rates,
)
from trl_r1.errors import DataError


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (["accuracy_reward", "format_reward"], 0),
        (["format_reward", "accuracy_of_code", "accuracy_reward"], 1),
        (["code_reward", "inaccuracy"], 0),
    ],
)
def test_the_judging_reward_is_the_first_accuracy_or_the_first(names, place):
    assert judging_reward(names) == place


@pytest.mark.parametrize(
    ("reward", "expected"), [(1.0, True), (0.999, False), (0.0, False), (1.5, False), (None, None), (math.nan, None)]
)
def test_a_completion_passes_at_exactly_one(reward, expected):
    assert passes(reward) is expected


def test_pass_rate_of_counts():
    assert pass_rate(3, 4) == 0.75
    assert pass_rate(0, 5) == 0.0
    assert pass_rate(0, 0) is None


@pytest.mark.parametrize("counts", [(2, 1), (-1, 3)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(DataError, match=r"num_correct: -?\d of"):
        pass_rate(*counts)


def test_a_band_includes_its_ends():
    assert [in_band(rate, 0.25, 0.75) for rate in (0.2, 0.25, 0.5, 0.75, 0.8)] == [False, True, True, True, False]


def test_unjudged_completions_are_no_samples():
    counts = count_passes(["a", "a", "b", "a"], [1.0, math.nan, None, 0.5])
    assert counts == {"a": PassCount(1, 2), "b": PassCount(0, 0)}


def test_a_newer_count_replaces_an_older_one_unless_it_says_nothing():
    rates = PassRates()
    rates.record({"a": PassCount(0, 8), "b": PassCount(8, 8)}.items())
    then = rates.copy()
    rates.record({"a": PassCount(6, 8), "b": PassCount(0, 0)}.items())
    assert (rates.rate("a"), rates.rate("b"), rates.rate("c")) == (0.75, 1.0, None)
    assert then.rate("a") == 0.0
    assert PassRates.from_dict(rates.to_dict()).to_dict() == {"a": [6, 8], "b": [8, 8]}


def test_keys_of_prompts():
    assert prompt_key("what is 1 plus 1 ?") == prompt_key("what is 1 plus 1 ?") != prompt_key("what is 1 plus 2 ?")
    message = [{"role": "user", "content": "得 几"}]
    assert prompt_key(message) == prompt_key([{"content": "得 几", "role": "user"}]) != prompt_key("得 几")


def test_a_column_of_rates():
    assert read_pass_rates([0, 0.5, None, math.nan, 1.0]) == [0.0, 0.5, None, None, 1.0]
    for wrong in (1.5, -0.1, "0.5", True):
        with pytest.raises(DataError, match="in row 1 is no share; use 0 to 1"):
            read_pass_rates([0.5, wrong])
