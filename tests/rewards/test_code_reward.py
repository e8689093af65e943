"""The code reward, through TRL's reward contract."""

import json
import pickle

import pytest

from trl_r1.errors import RewardError
from trl_r1.rewards import build_rewards, check_reward_specs
from trl_r1.rewards.code import get_code_reward
from trl_r1.verifiers import code
from trl_r1.verifiers.sandbox import Limits, SandboxError


TESTS = {"function": "square", "inputs": [[1], [2], [-3]], "outputs": [1, 4, 9]}
RIGHT = "<think> x times x </think>\n```python\ndef square(x): return x * x\n```"
HALF = "<think> twice </think>\n```python\ndef square(x): return 2 * x if x > 1 else 1\n```"
WRONG = "<think> hm </think>\n```python\ndef square(x): return x\n```"
ENDLESS = "<think> hm </think>\n```python\ndef square(x):\n    while True: pass\n```"
LIMITS = {"cpu_seconds": 1, "wall_seconds": 2}


def test_all_tests_must_pass():
    reward = get_code_reward()
    assert reward([RIGHT, HALF, WRONG, "", "no code"], tests=[TESTS] * 5) == [1.0, 0.0, 0.0, 0.0, 0.0]
    messages = [[{"role": "assistant", "content": text}] for text in (RIGHT, WRONG)]
    assert reward(messages, tests=[json.dumps(TESTS)] * 2) == [1.0, 0.0]


def test_partial_credit_is_the_share_of_tests():
    reward = get_code_reward(partial_credit=True, limits=LIMITS)
    assert reward([RIGHT, HALF, WRONG, "", ENDLESS], tests=[TESTS] * 5) == [1.0, 2 / 3, 1 / 3, 0.0, 0.0]


def test_code_in_the_thoughts_or_cut_off_earns_nothing():
    completions = [
        "<think>\n```python\ndef square(x): return x * x\n```\n</think> as above",
        "<think>\n```python\ndef square(x): return x * x\n```",
        "```python\ndef square(x): return x * x\n```",  # no thoughts: loose text may be the thinking itself
        "<think> x </think>\n```python\ndef square(x): return x * x",
    ]
    assert get_code_reward()(completions, tests=[TESTS] * 4) == [0.0] * 4
    prefilled = "x times x </think>\n```python\ndef square(x): return x * x\n```"
    assert get_code_reward()([prefilled], tests=[TESTS], prompt_tail=["<think>\n"]) == [1.0]


def test_rows_without_tests_or_with_unusable_ones_are_not_scored():
    nothing = dict.fromkeys(TESTS)  # how Arrow keeps a missing mapping
    unusable = {"function": "square", "inputs": [[1]], "outputs": []}
    rows = [None, nothing, unusable, TESTS]
    assert get_code_reward()([RIGHT] * 4, tests=rows) == [None, None, None, 1.0]


def test_columns_are_configurable():
    assert get_code_reward("verification_info")([RIGHT], verification_info=[TESTS]) == [1.0]
    prompt = 'def square(x):\n    """Square x."""\n'
    check = "def check(candidate):\n    assert candidate(3) == 9\n"
    reward = get_code_reward(["test", "entry_point", "prompt"])
    columns = {"test": [check, None], "entry_point": ["square", None]}
    assert reward([RIGHT, RIGHT], prompts=[prompt, "What is 2 + 2?"], **columns) == [1.0, None]
    with pytest.raises(RewardError, match="no column 'tests'; name theirs with tests_column"):
        get_code_reward()([RIGHT], solution=["4"])


def test_tolerance_and_limits():
    tests = {"function": "square", "inputs": [[1]], "outputs": [1.0000001]}
    assert get_code_reward()([RIGHT], tests=[tests]) == [0.0]
    assert get_code_reward(tolerance=1e-6)([RIGHT], tests=[tests]) == [1.0]
    assert (
        get_code_reward(limits=Limits(wall_seconds=2.0)).limits == get_code_reward(limits={"wall_seconds": 2.0}).limits
    )


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"isolation": "docker"}, "isolation: 'docker' is unknown"),
        ({"limits": {"seconds": 3}}, "limits: .* does not fit"),
        ({"limits": {"wall_seconds": 0}}, "wall_seconds is 0"),
    ],
)
def test_unknown_parameters_are_refused(parameters, problem):
    with pytest.raises(ValueError, match=problem):
        get_code_reward(**parameters)
    with pytest.raises(RewardError, match=problem):
        build_rewards([{"get_code_reward": parameters}])


def test_it_logs_reasons_and_counts():
    columns, metrics = {}, {}
    completions, tests = [RIGHT, WRONG, ENDLESS, RIGHT], [TESTS, TESTS, TESTS, None]
    reward = get_code_reward(limits=LIMITS)
    reward(completions, tests=tests, log_extra=columns.__setitem__, log_metric=metrics.__setitem__)
    reasons = columns["code_verdict"]
    assert reasons[:2] == ["passes all 3 tests", "test 2 of 3: the returned value differs"]
    assert reasons[2].startswith("test 1 of 3: timeout: ")
    assert reasons[3] == ""
    slowest = metrics.pop("code/slowest_seconds")
    metrics.pop("code/cached")  # whatever this process judged before
    assert metrics == pytest.approx({"code/passed": 1 / 3, "code/overrun": 1 / 3, "code/undecidable": 0.0})
    assert slowest > 0.5
    reward(completions, tests=tests, log_metric=metrics.__setitem__)
    assert metrics["code/cached"] == pytest.approx(2 / 3)  # an overrun may be the machine's fault: judged again


def test_it_pickles_and_is_named_in_a_recipe():
    spec = {"get_code_reward": {"partial_credit": True, "limits": LIMITS}}
    assert check_reward_specs([spec]) == []
    [reward] = build_rewards([spec])
    assert reward.name == "code_reward"
    assert pickle.loads(pickle.dumps(reward))([HALF], tests=[TESTS]) == [2 / 3]


def test_the_probe_before_training_finds_that_nothing_can_be_isolated(monkeypatch):
    def refuse(*args, **kwargs):
        raise SandboxError("isolation: none works here")

    monkeypatch.setattr("trl_r1.verifiers.sandbox.Sandbox.session", refuse)
    code.check_sandbox.cache_clear()
    [reward] = build_rewards(["get_code_reward"])
    with pytest.raises(SandboxError):
        reward.probe({"prompt": "Square x.", "tests": TESTS})
    code.check_sandbox.cache_clear()
