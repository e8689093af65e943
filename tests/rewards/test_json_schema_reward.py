"""The JSON-schema reward: one schema or a column of them, rows without, checks at load."""

import json
import pickle

import pytest

from trl_r1.errors import RewardError
from trl_r1.rewards import build_rewards, get_json_schema_reward


CITY = {"type": "object", "required": ["city"]}
GOOD, BAD = ['<think> t </think> {"city": "Bern"}', "<think> t </think> Bern"]


def test_one_schema_for_all():
    reward = get_json_schema_reward(CITY)
    assert reward([GOOD, BAD]) == [1.0, 0.0]
    assert reward([[{"role": "assistant", "content": GOOD}]]) == [1.0]


def test_a_column_of_schemas():
    columns, faults = {}, []
    schemas = [CITY, json.dumps({"type": "array"}), None, "{"]
    scores = get_json_schema_reward()(
        [GOOD] * 4,
        json_schema=schemas,
        log_extra=columns.__setitem__,
        log_fault=lambda row, reason: faults.append(row),
    )
    assert scores == [1.0, 0.0, None, None]
    assert columns["json"][0] == "valid"
    assert "is not of type 'array'" in columns["json"][1]
    assert columns["json"][2] == ""
    assert faults == [3]


def test_unusable_schemas_are_found_at_once_and_at_load():
    with pytest.raises(RewardError, match="schema: no valid schema"):
        get_json_schema_reward({"type": "text"})
    (reward,) = build_rewards([{"get_json_schema_reward": {"schema_column": "shape"}}])
    problems = reward.check_rows([{"shape": "{"}, {"shape": '{"type": "object"}'}, {"shape": None}])
    assert problems[0].startswith("no JSON")
    assert problems[1:] == [None, None]


def test_pickles():
    copy = pickle.loads(pickle.dumps(get_json_schema_reward(CITY)))
    assert copy.__name__ == "json_schema_reward"
    assert copy([GOOD]) == [1.0]
