"""Our rewards give the same in a process of their own as in place: values and what they log."""

import pickle
from types import SimpleNamespace

import pytest

from trl_r1 import rewards
from trl_r1.rewards.remote import RewardProcess, RewardProcessError, call_of, why_not_remote


TEXTS = [
    "<think> two and two make four, so it is four </think> \\boxed{4}",
    "<think> two and two make five </think> \\boxed{\\frac{10}{2}}",
    "<think> 二加二等于四 </think> (B)",
    f'<think> {"so it goes on and on and on " * 60} </think> {{"city": "Bern"}}',
    "<think> a function </think>\n```python\ndef double(x): return x + x\n```",
    "<think> so </think>\n```python f.py\ndef add(a, b):\n    return a + b\n```",
    "",
]
ADD = {"name": "t", "broken": True, "function": "f.add", "arguments": "(2, 3)", "expected": "5", "code": ""}
BUG = "def add(a, b):\n    return a - b\n"
TASK = {
    "files": [{"path": "f.py", "text": BUG}],
    "description": "add subtracts",
    "failing_test": "",
    "tests": [ADD],
    "patch": "--- f.py\n+++ f.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b\n",
}
ROWS = len(TEXTS)
BATCH = {
    "prompts": ["What is two plus two?"] * ROWS,
    "completions": TEXTS,
    "completion_ids": [list(range(len(text))) for text in TEXTS],
    "solution": ["4", "5", None, "4", "4", "4", "4"],
    "choice": ["B"] * ROWS,
    "json_schema": ['{"type": "object", "required": ["city"]}'] * ROWS,
    "tests": [{"function": "double", "inputs": [[2], [0]], "outputs": [4, 0]}] * ROWS,
    "repair_task": [TASK] * ROWS,
    "reward_type": ["reasoning"] * 2 + ["choice"] + ["reasoning"] * 4,
}
SPECS = [
    "accuracy_reward",
    "format_reward",
    {"get_language_consistency_reward": {"target_language": "en"}},
    "get_length_reward",
    "get_repetition_reward",
    "get_code_reward",
    "get_repair_reward",
    "get_json_schema_reward",
    {"get_choice_reward": {"solution_column": "choice"}},
    {"get_routed_reward": {"routes": {"reasoning": "accuracy_reward", "choice": "format_reward"}}},
    "think_format_reward",
    lambda: rewards.CheckedReward(rewards.format_reward, {}, None),
]
CHANGING = ("seconds", "cached", "killed")  # what a process remembers, and how fast it is


@pytest.fixture(scope="module")
def built():
    specs = [spec() if callable(spec) else spec for spec in SPECS]
    return rewards.build_rewards(specs)


@pytest.fixture(scope="module")
def process(built):
    found = RewardProcess(built)
    yield found
    found.close()


def same(logged):
    return [entry for entry in logged if not any(word in entry[1][0] for word in CHANGING)]


@pytest.mark.parametrize("index", range(len(SPECS)))
def test_the_same_as_in_place(index, built, process):
    reward = built[index]
    assert why_not_remote(reward) is None
    state = SimpleNamespace(max_steps=0, global_step=0)
    names = ("log_extra", "log_metric", "log_fault")
    batch = BATCH
    if reward.name == "think_format_reward":
        batch = BATCH | {"completions": [[{"role": "assistant", "content": text}] for text in TEXTS]}
    process.start()
    reply = process.ask(call_of(index, pickle.dumps(batch), pickle.dumps(state), names))
    logged = []
    callbacks = {name: lambda *args, name=name: logged.append((name, args, {})) for name in names}
    wanted = reward.function(**batch, trainer_state=state, **callbacks)
    assert reply.get("failure") is None
    assert reply["output"] == wanted
    assert same(reply["logged"]) == same(logged)
    assert len(set(map(str, wanted))) > 1  # else it would show nothing


def test_a_process_that_ended_says_so_and_starts_again(built):
    process = RewardProcess(built[1:2])
    call = call_of(0, pickle.dumps(BATCH), pickle.dumps(None), ())
    with pytest.raises(RewardProcessError, match="ended"):
        process.ask(call)
    process.start()
    first = process.ask(call)["output"]
    process._process.kill()
    process._process.wait()
    with pytest.raises(RewardProcessError, match="exit code -9"):
        process.ask(call)
    process.start()
    assert process.ask(call)["output"] == first
    process.close()
    process.close()
    assert process.pid is None


def test_the_process_has_no_secrets_but_those_a_parameter_names(monkeypatch):
    for name in ("HF_TOKEN", "SOME_API_KEY", "JUDGE_API_KEY"):
        monkeypatch.setenv(name, "canary-" + name)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:word@canary-proxy")  # the way out, with or without a password
    rewards_asked = [
        rewards.CheckedReward(worker_environment, {}, None),
        rewards.CheckedReward(worker_environment, {"api_key_env": "JUDGE_API_KEY"}, None),
    ]
    for given, expected in ((rewards_asked[:1], []), (rewards_asked, ["canary-JUDGE_API_KEY"])):
        process = RewardProcess(given)
        process.start()
        logged = process.ask(call_of(0, pickle.dumps({"completions": ["a"]}), pickle.dumps(None), ["log_extra"]))
        process.close()
        found = logged["logged"][0][1][1]
        assert [value for value in found if value.startswith("canary-")] == expected
        assert "http://me:word@canary-proxy" in found
        assert "/" in "".join(found)  # it did show the rest, such as PATH


def worker_environment(completions, log_extra, **kwargs):
    """Says what it can read of its environment."""
    import os

    log_extra("environment", list(os.environ.values()))
    return [0.0] * len(completions)
