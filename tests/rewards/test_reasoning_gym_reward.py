"""The puzzle reward: a batch as TRL hands it over, rows without a puzzle, checks at load."""

import json
import pickle

import pytest
import reasoning_gym

from trl_r1.errors import R1Error
from trl_r1.rewards import build_rewards, get_reasoning_gym_reward
from trl_r1.verifiers import reasoning_gym as verifier


@pytest.fixture(scope="module")
def puzzle():
    return reasoning_gym.create_dataset("zebra_puzzles", size=1, seed=5)[0]


def test_a_batch(puzzle):
    columns, faults, entry = {}, {}, json.dumps(puzzle)
    completions = [f"<think> t </think> {puzzle['answer']}", "<think> t </think> nobody"] * 2
    scores = get_reasoning_gym_reward()(
        completions,
        entry=[entry, entry, None, "{}"],
        log_extra=columns.__setitem__,
        log_fault=faults.__setitem__,
    )
    assert scores == [1.0, 0.0, None, None]
    assert columns["puzzle"][:3] == ["scored 1", "scored 0", ""]
    assert list(faults) == [3]


def test_rows_are_checked_at_load_and_it_pickles(puzzle):
    (reward,) = build_rewards([{"get_reasoning_gym_reward": {"entry_column": "task"}}])
    problems = reward.check_rows([{"task": json.dumps(puzzle)}, {"task": None}, {"task": puzzle}, {"task": "{}"}])
    assert problems[:2] == [None, None]
    assert problems[2] == "task is a dict; write it with json.dumps"
    assert "no entry of reasoning-gym" in problems[3]
    copy = pickle.loads(pickle.dumps(reward))
    assert copy([f"<think> t </think> {puzzle['answer']}"], task=[json.dumps(puzzle)]) == [1.0]


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(R1Error, match=r"trl_r1\[tasks\]"):
        verifier.verify_puzzles([])
    with pytest.raises(R1Error, match=r"trl_r1\[tasks\]"):
        get_reasoning_gym_reward()
