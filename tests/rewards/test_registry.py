"""From names in a recipe to rewards, and what is said when they are wrong."""

import asyncio
import inspect
import os
import pickle
import subprocess
import sys

import pytest
import torch

from trl_r1.errors import RewardError
from trl_r1.rewards import accuracy_reward, build_rewards, check_reward_specs, probe_rewards, reward_names


ROW = {"prompt": "user : what ? assistant :", "problem": "what ?", "solution": "9", "language": "en"}
USER_FILE = """
import asyncio


def half(completions, **kwargs):
    return [0.5] * len(completions)


def scaled(completions, scale=1.0, **kwargs):
    return [scale] * len(completions)


def get_constant(value):
    def constant(completions, **kwargs):
        return [value] * len(completions)
    return constant


class Counting:
    def __init__(self, start=0):
        self.start = start

    def __call__(self, completions, **kwargs):
        return list(range(self.start, self.start + len(completions)))


async def slow(completions, solution, **kwargs):
    await asyncio.sleep(0)
    return [float(len(gold)) for gold in solution]


def raises(completions, **kwargs):
    return [1 / 0 for _ in completions]


NUMBER = 3
"""


@pytest.fixture
def user_file(tmp_path):
    path = tmp_path / "my_rewards.py"
    path.write_text(USER_FILE)
    return str(path)


def test_names_of_ours_and_of_trl_with_parameters():
    specs = [
        "accuracy_reward",
        {"get_language_consistency_reward": {"target_language": "en"}},
        "think_format_reward",
        {"get_soft_overlong_punishment": {"max_completion_len": 8, "soft_punish_cache": 4}},
    ]
    assert check_reward_specs(specs) == []
    rewards = build_rewards(specs)
    assert [reward.name for reward in rewards] == [
        "accuracy_reward",
        "language_consistency_reward",
        "think_format_reward",
        "soft_overlong_punishment_reward",
    ]
    assert rewards[1].parameters == {"target_language": "en"}
    assert rewards[1](["<think> fine </think> 1"]) == [1.0]
    assert rewards[3](["x"], completion_ids=[list(range(6))]) == [-0.5]


def test_trls_accuracy_reward_does_not_shadow_ours():
    assert build_rewards(["accuracy_reward"])[0].function is accuracy_reward
    assert reward_names().count("accuracy_reward") == 1
    assert "build_reward" not in reward_names()


def test_dotted_paths_files_classes_and_python_functions(user_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside_the_recipe.py").write_text(USER_FILE)
    rewards = build_rewards(
        [
            "trl_r1.rewards.format.format_reward",
            f"{user_file}:half",
            {"my_rewards.py:scaled": {"scale": 2}},
            {f"{user_file}:get_constant": {"value": 3}},
            {f"{user_file}:Counting": {"start": 4}},
            "beside_the_recipe.half",
            lambda completions, **kwargs: [None for _ in completions],
        ]
    )
    assert [reward(["x", "y"]) for reward in rewards] == [
        [0.0, 0.0],
        [0.5, 0.5],
        [2.0, 2.0],
        [3.0, 3.0],
        [4.0, 5.0],
        [0.5, 0.5],
        [None, None],
    ]
    assert [reward.name for reward in rewards[1:6]] == ["half", "scaled", "constant", "Counting", "half_2"]


def test_an_asynchronous_reward_stays_one(user_file):
    from trl.trainer.utils import is_async_callable

    (reward,) = build_rewards([f"{user_file}:slow"])
    assert is_async_callable(reward)
    assert asyncio.run(reward(["x", "y"], solution=["1", "22"])) == [1.0, 2.0]
    probe_rewards([reward], ROW)
    assert not is_async_callable(build_rewards(["format_reward"])[0])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("acuracy_reward", "did you mean accuracy_reward"),
        ("zzz", "use one of accuracy_reward"),
        ({"get_language_consistency_reward": {"target_langage": "en"}}, "did you mean target_language"),
        ({"format_reward": {"strict": True}}, "has no parameter 'strict'"),
        ("get_preference_reward", "missing a required argument: 'model_name_or_path'"),
        ("no_such_package.reward", "cannot import no_such_package"),
        ("trl_r1.rewards.format.format_rewards", "did you mean format_reward"),
        ("os.path.sep", "it is a str, not a function"),
        ("nowhere.py:reward", "there is no file 'nowhere.py'"),
        ({"a": {}, "b": {}}, "neither a name nor a name with its parameters"),
        ({"accuracy_reward": 3}, "neither a name nor a name with its parameters"),
        (7, "neither a name nor a name with its parameters"),
        ("", "neither a name nor a name with its parameters"),
    ],
)
def test_a_wrong_name_is_one_line_in_both_ways(spec, message):
    (problem,) = check_reward_specs([spec])
    assert message in problem
    assert problem.startswith("reward_funcs: ")
    assert "\n" not in problem
    with pytest.raises(RewardError) as caught:
        build_rewards([spec])
    assert str(caught.value) == problem


def test_all_wrong_names_at_once_and_no_list():
    assert len(check_reward_specs(["acuracy_reward", "format_reward", "formt_reward"])) == 2
    assert "is not a list" in check_reward_specs("accuracy_reward")[0]
    assert "is not a list" in check_reward_specs(None)[0]


def test_wrong_values_and_broken_modules(user_file, tmp_path):
    with pytest.raises(RewardError, match=r"get_language_consistency_reward: language: 'xx' is unknown"):
        build_rewards([{"get_language_consistency_reward": {"target_language": "xx"}}])
    with pytest.raises(RewardError, match="there is no 'haf' there; did you mean half"):
        build_rewards([f"{user_file}:haf"])
    with pytest.raises(RewardError, match="it is a int, not a function"):
        build_rewards([f"{user_file}:NUMBER"])
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_thing_at_all")
    with pytest.raises(RewardError, match=r"does not run \(ModuleNotFoundError"):
        build_rewards([f"{broken}:reward"])


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([1.0], "returned 1 values for 2 completions"),
        ([1.0, 2.0, 3.0], "returned 3 values for 2 completions"),
        (["1", 2.0], "returned '1' (str) for completion 0"),
        ([1.0, float("nan")], "returned nan (float) for completion 1"),
        ([float("inf"), 1.0], "returned inf (float) for completion 0"),
        ([[1.0], 1.0], "returned [1.0] (list) for completion 0"),
        (None, "returned None (NoneType); return a list"),
        (1.0, "returned 1.0 (float); return a list"),
        ({"a": 1, "b": 2}, "(dict); return a list"),
        ("ab", "returned 'ab' (str); return a list"),
        (torch.tensor([1.0, float("nan")]), "returned nan (float) for completion 1"),
    ],
)
def test_a_reward_that_breaks_its_contract(output, message):
    def reward(completions, **kwargs):
        return output

    with pytest.raises(RewardError) as caught:
        build_rewards([reward])[0](["x", "y"])
    assert message in str(caught.value)
    assert str(caught.value).startswith("reward 'reward' ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("output", [[1, None], [True, None], torch.tensor([1.0, 0.5]), (torch.tensor(1.0), None)])
def test_what_is_allowed_becomes_floats(output):
    def reward(completions, **kwargs):
        return output

    values = build_rewards([reward])[0](["x", "y"])
    assert values[0] == 1.0
    assert {type(value) for value in values} <= {float, type(None)}


def test_a_reward_that_raises_says_where(user_file):
    (reward,) = build_rewards([f"{user_file}:raises"])
    with pytest.raises(RewardError, match=r"reward 'raises' raised ZeroDivisionError: .* \(my_rewards.py, line \d+\)"):
        reward(["x"])


@pytest.mark.parametrize("prompt", ["text", [{"role": "user", "content": "what ?"}]])
def test_probe_calls_as_the_trainer_does(prompt):
    seen = {}

    def reward(prompts, completions, completion_ids, solution, trainer_state, log_extra, log_metric, **kwargs):
        seen.update(locals())
        log_metric("x", 1.0)
        return [0.0] * len(prompts)

    rewards = build_rewards(["accuracy_reward", "format_reward", "get_language_consistency_reward", reward])
    probe_rewards(rewards, ROW | {"prompt": prompt})
    assert len(seen["completions"]) == len(seen["completion_ids"]) == len(seen["solution"]) == 2
    assert isinstance(seen["completions"][0], str) is isinstance(prompt, str)
    assert seen["trainer_state"].global_step == 0


def test_probe_finds_the_broken_one_and_loads_no_model(user_file):
    with pytest.raises(RewardError, match="reward 'raises' raised"):
        probe_rewards(build_rewards(["format_reward", f"{user_file}:raises"]), ROW)
    with pytest.raises(RewardError, match="accuracy_reward needs the column 'solution'"):
        probe_rewards(build_rewards(["accuracy_reward"]), {"prompt": "x"})
    probe_rewards(build_rewards([{"get_preference_reward": {"model_name_or_path": "no/such/model"}}]), ROW)


def test_rewards_reach_another_process(user_file):
    specs = [
        "accuracy_reward",
        {"get_language_consistency_reward": {"target_language": "en"}},
        {f"{user_file}:get_constant": {"value": 3}},
        {"get_preference_reward": {"model_name_or_path": "somewhere"}},
        {f"{user_file}:get_constant": {"value": 4}},
    ]
    data = pickle.dumps(build_rewards(specs))
    program = (
        "import pickle, sys\n"
        "rewards = pickle.loads(sys.stdin.buffer.read())\n"
        "text = ['<think> fine </think> 9']\n"
        "print([reward.name for reward in rewards], rewards[0](text, solution=['9']), rewards[1](text), "
        "rewards[2](text), rewards[4](text))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True, env=os.environ)
    assert done.stdout.decode().strip() == (
        "['accuracy_reward', 'language_consistency_reward', 'constant', 'helpful_preference_reward', 'constant_2'] "
        "[1.0] [1.0] [3.0] [4.0]"
    )


def test_all_rewards_named_take_trls_arguments():
    for reward in build_rewards(["accuracy_reward", "format_reward", "get_language_consistency_reward"]):
        parameters = inspect.signature(reward.function).parameters
        assert any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
