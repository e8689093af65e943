"""One reward a type: who gets which rows, what comes back where, and what is refused."""

import asyncio
import pickle

import pytest
from trl.trainer.utils import is_async_callable

from trl_r1.errors import RewardError
from trl_r1.rewards import build_rewards, check_reward_specs, get_routed_reward


COMPLETIONS = [f"<think> t </think> {text}" for text in ("2", "(B)", "3", "(C)")]
TYPES = ["reasoning", "choice", None, "choice"]
SOLUTIONS = ["2", "B", "4", "B"]


def spy(seen, value):
    """A reward that remembers its batch and logs a column and a number."""

    def reward(completions, prompts, extra, trainer_state, log_extra, log_metric, **kwargs):
        seen.append({"prompts": prompts, "extra": extra, "state": trainer_state, "types": kwargs["reward_type"]})
        log_extra("seen", [f"{value}:{prompt}" for prompt in prompts])
        log_metric("rows", len(prompts))
        return [value] * len(completions)

    return reward


async def slow(completions, **kwargs):
    await asyncio.sleep(0)
    return [5.0] * len(completions)


def test_each_row_is_judged_by_the_reward_of_its_type():
    reward = get_routed_reward({"reasoning": "accuracy_reward", "choice": "get_choice_reward"})
    assert reward(COMPLETIONS, solution=SOLUTIONS, reward_type=TYPES) == [1.0, 1.0, 0.0, 0.0]
    assert reward(COMPLETIONS[:1], solution=["2"]) == [1.0]  # no types: reasoning


def test_a_reward_sees_its_rows_only_and_logs_come_back_in_place():
    first, second, columns, metrics, state = [], [], {}, [], object()
    reward = get_routed_reward({"a": spy(first, 1.0), "b": spy(second, 2.0), "c": None})
    scores = reward(
        list("wxyz"),
        prompts=[10, 11, 12, 13],
        extra=[[1], [2], [3], [4]],
        reward_type=["b", "a", "c", "b"],
        trainer_state=state,
        log_extra=columns.__setitem__,
        log_metric=lambda *entry: metrics.append(entry),
    )
    assert scores == [2.0, 1.0, None, 2.0]
    assert first == [{"prompts": [11], "extra": [[2]], "state": state, "types": ["a"]}]
    assert second == [{"prompts": [10, 13], "extra": [[1], [4]], "state": state, "types": ["b", "b"]}]
    assert columns == {"seen": ["2.0:10", "1.0:11", None, "2.0:13"]}
    assert metrics == [("rows", 1), ("rows", 2)]


def test_a_reward_without_rows_is_not_called():
    seen = []
    reward = get_routed_reward({"a": spy(seen, 1.0), "b": "format_reward"})
    assert reward(["<think> t </think> 1"], reward_type=["b"]) == [1.0]
    assert seen == []


def test_asynchronous_rewards_run_beside_the_others():
    reward = get_routed_reward({"a": slow, "b": "format_reward", "c": slow})
    assert is_async_callable(reward)
    (checked,) = build_rewards([reward])
    assert is_async_callable(checked)
    completions = ["x", "<think> t </think> 1", "y"]
    assert asyncio.run(checked(completions, reward_type=["a", "b", "c"])) == [5.0, 1.0, 5.0]
    assert not is_async_callable(get_routed_reward({"b": "format_reward"}))


def test_an_unknown_type_is_an_error_at_load_and_in_a_batch():
    (reward,) = build_rewards([{"get_routed_reward": {"routes": {"choice": "get_choice_reward"}}}])
    with pytest.raises(RewardError, match="reward_type: 'choise' has no route; did you mean 'choice'"):
        reward.check_rows([{"reward_type": "choise", "solution": "A"}])
    with pytest.raises(RewardError, match="'reasoning' has no route"):
        reward.check_rows([{"solution": "A"}])
    with pytest.raises(RewardError, match="has no route"):
        reward(["x"], reward_type=["zzz"], solution=["A"])


def test_rows_are_checked_by_the_reward_of_their_type():
    routes = {"choice": "get_choice_reward", "format": "format_reward", "general": None}
    (reward,) = build_rewards([{"get_routed_reward": {"routes": routes}}])
    rows = [
        {"reward_type": "choice", "solution": "Z"},
        {"reward_type": "general", "solution": "Z"},
        {"reward_type": "format", "solution": "Z"},
        {"reward_type": "choice", "solution": "A"},
    ]
    assert reward.check_rows(rows) == ["'Z' is not a letter of ABCDEFGH", None, None, None]


def test_wrong_routes_are_named_when_the_recipe_is_checked():
    problems = check_reward_specs(
        [{"get_routed_reward": {"routes": {"a": "acuracy_reward", "b": {"get_choice_reward": {"x": 1}}, "c": None}}}]
    )
    assert len(problems) == 2
    assert "did you mean accuracy_reward" in problems[0]
    assert "get_choice_reward has no parameter 'x'" in problems[1]
    with pytest.raises(RewardError, match="did you mean accuracy_reward"):
        get_routed_reward({"a": "acuracy_reward"})
    with pytest.raises(RewardError, match="routes nothing"):
        get_routed_reward({})


def test_the_rewards_inside_are_found_and_it_pickles():
    model = {"get_preference_reward": {"model_name_or_path": "somewhere"}}
    (reward,) = build_rewards([{"get_routed_reward": {"routes": {"reasoning": "accuracy_reward", "helpful": model}}}])
    assert [leaf.name for leaf in reward.leaves()] == ["accuracy_reward", "helpful_preference_reward"]
    assert reward.loads_model
    assert build_rewards(["format_reward"])[0].leaves()[0].name == "format_reward"
    copy = pickle.loads(pickle.dumps(reward))
    assert copy(COMPLETIONS[:1], solution=["2"], reward_type=["reasoning"]) == [1.0]


def test_an_error_inside_costs_its_group_only(tmp_path):
    def broken(completions, **kwargs):
        raise OSError("gone")

    (reward,) = build_rewards([get_routed_reward({"a": "format_reward", "b": broken})])
    with pytest.raises(RewardError, match="reward 'broken' raised OSError: gone"):
        reward(["x", "y"], prompts=["p", "q"], reward_type=["a", "b"])
    reward.isolate(0.9, tmp_path / "errors.jsonl")
    assert reward(["x", "y"], prompts=["p", "q"], reward_type=["a", "b"]) == [0.0, None]
    assert reward.failed_rows == (1,)


def test_gold_answers_and_tests_of_routed_rows_are_checked():
    routes = {"maths": "accuracy_reward", "code": "get_code_reward", "json": "get_json_schema_reward"}
    (reward,) = build_rewards([{"get_routed_reward": {"routes": routes}}])
    good, bad = {"function": "f", "inputs": [[1]], "outputs": [2]}, {"function": "f", "inputs": [[1]], "outputs": []}
    rows = [
        {"reward_type": "maths", "solution": "1/2", "tests": None},
        {"reward_type": "maths", "solution": "word " * 200, "tests": None},
        {"reward_type": "code", "solution": None, "tests": good},
        {"reward_type": "code", "solution": None, "tests": bad},
        {"reward_type": "json", "solution": None, "tests": None, "json_schema": "{"},
    ]
    problems = reward.check_rows(rows)
    assert [problem is None for problem in problems] == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("get_choice_reward", "choice_reward: the rows have no column 'solution'; name theirs with solution_column"),
        ("get_json_schema_reward", "no column 'json_schema'; name theirs with schema_column"),
        ("get_instruction_reward", "no column 'instructions'; name theirs with instructions_column"),
        ("get_reasoning_gym_reward", "no column 'entry'; name theirs with entry_column"),
    ],
)
def test_a_column_that_is_missing_is_named(spec, message):
    with pytest.raises(RewardError, match=message):
        build_rewards([spec])[0](["x"], prompts=["p"])


def test_what_a_verifier_cannot_decide_is_a_fault_even_of_a_whole_group(tmp_path):
    unusable = "word " * 200
    for spec, column in (("accuracy_reward", unusable), ("get_choice_reward", "Z")):
        (reward,) = build_rewards([spec])
        reward.isolate(0.9, tmp_path / "errors.jsonl")
        assert reward(["<think> t </think> 1"] * 2, prompts=["p"] * 2, solution=[column] * 2) == [None, None]
        assert reward.failed_rows == (0, 1)
