"""The repair reward in TRL's contract: values, columns, logs, unusable rows."""

import pickle

import pytest
from datasets import Dataset

from trl_r1.errors import RewardError
from trl_r1.rewards import build_rewards, get_repair_reward
from trl_r1.verifiers.repair_task import RepairTask


ADD = "def add(a, b):\n    return a - b\n"
TASK = {
    "files": [{"path": "f.py", "text": ADD}],
    "description": "add subtracts",
    "failing_test": "",
    "tests": [
        {"name": "two", "broken": True, "function": "f.add", "arguments": "(2, 3)", "expected": "5", "code": ""},
        {"name": "one", "broken": True, "function": "f.add", "arguments": "(0, 1)", "expected": "1", "code": ""},
        {"name": "zero", "broken": False, "function": "f.add", "arguments": "(7, 0)", "expected": "7", "code": ""},
    ],
    "patch": "--- f.py\n+++ f.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b\n",
}


def completion(body):
    return f"<think> so </think>\n```python f.py\ndef add(a, b):\n    {body}\n```"


RIGHT, NONE = completion("return a + b"), completion("")
HALF, SPOILT = completion("return 5 if a == 2 else a - b"), completion("return 5 - 4 * (a == 0)")


def score(completions, reward=None, task=TASK, **kwargs):
    return (reward or get_repair_reward())(completions, repair_task=[task] * len(completions), **kwargs)


class TestValues:
    def test_all_or_nothing(self):
        assert score([RIGHT, HALF, SPOILT, NONE, "I give up", ""]) == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    def test_partial_credit(self):
        reward = get_repair_reward(partial_credit=True)
        assert score([RIGHT, HALF, SPOILT, NONE, "I give up"], reward) == [1.0, 0.5, 0.0, 0.0, 0.0]

    def test_messages_and_prefilled_thoughts(self):
        assert score([[{"role": "assistant", "content": RIGHT}]]) == [1.0]
        assert score([RIGHT.removeprefix("<think>")], prompt_tail=["<think>\n"]) == [1.0]
        zero = f"<think> so </think> <answer>\n{TASK['patch']}</answer>"
        assert score([zero], response_format=["r1_zero"]) == [1.0]

    def test_rows_without_a_task_are_not_scored(self):
        reward = get_repair_reward()
        assert reward([RIGHT, RIGHT], repair_task=[None, TASK]) == [None, 1.0]
        broken = {**TASK, "tests": []}
        assert reward([RIGHT, RIGHT], repair_task=[broken, broken]) == [None, None]

    def test_a_task_that_cannot_be_read_is_reported(self):
        faults = []
        reward = get_repair_reward(check_tasks=False)
        assert score([RIGHT], reward, {"files": []}, log_fault=lambda row, reason: faults.append((row, reason))) == [
            None
        ]
        [(row, reason)] = faults
        assert row == 0
        assert reason.startswith("repair task:")

    def test_rows_as_arrow_gives_them_back(self):
        rows = Dataset.from_list([{"repair_task": TASK}, {"repair_task": None}])
        tasks = list(rows["repair_task"])
        assert get_repair_reward()([RIGHT, RIGHT], repair_task=tasks) == [1.0, None]

    def test_logs(self):
        columns, metrics = {}, {}
        score([RIGHT, "<think> a </think> no", SPOILT], log_extra=columns.__setitem__, log_metric=metrics.__setitem__)
        assert columns["repair"][0] == "passes all 3 tests"
        assert columns["repair"][1].startswith("no patch")
        assert metrics["repair/no_patch"] == pytest.approx(1 / 3)
        assert metrics["repair/undecidable"] == metrics["repair/overrun"] == 0.0

    def test_other_column(self):
        assert get_repair_reward(task_column="job")([RIGHT], job=[TASK]) == [1.0]
        with pytest.raises(RewardError, match="no column 'job'"):
            get_repair_reward(task_column="job")([RIGHT], repair_task=[TASK])


class TestMaking:
    def test_pickles_and_is_named(self):
        reward = pickle.loads(pickle.dumps(get_repair_reward(partial_credit=True, limits={"cpu_seconds": 2})))
        assert reward.__name__ == "repair_reward"
        assert reward.limits.cpu_seconds == 2
        assert score([HALF], reward) == [0.5]

    def test_in_a_recipe(self):
        [reward] = build_rewards([{"get_repair_reward": {"partial_credit": True}}])
        assert reward.name == "repair_reward"
        assert reward([HALF], repair_task=[TASK]) == [0.5]

    @pytest.mark.parametrize(
        ("parameters", "reason"), [({"isolation": "none"}, "isolation"), ({"limits": {"seconds": 1}}, "limits")]
    )
    def test_unknown_parameters(self, parameters, reason):
        with pytest.raises(RewardError, match=reason):
            get_repair_reward(**parameters)


class TestCheckRows:
    def test_unusable_rows_are_named(self):
        passing = {**TASK, "tests": [{**TASK["tests"][2], "broken": True}]}
        rows = [{"repair_task": row} for row in (TASK, None, {**TASK, "tests": []}, passing, {**TASK, "patch": "no"})]
        found = get_repair_reward().check_rows(rows)
        assert found[:2] == [None, None]
        assert "nothing to repair" in found[2]
        assert found[3] == "1 of 1 broken tests pass before the repair"
        assert "reference patch" in found[4]
        assert get_repair_reward().check_row(rows[3]) == found[3]

    def test_without_running_them(self):
        passing = {**TASK, "tests": [{**TASK["tests"][2], "broken": True}]}
        assert get_repair_reward(check_tasks=False).check_rows([{"repair_task": passing}]) == [None]

    def test_a_row_reads_as_its_task(self):
        assert RepairTask.from_row(TASK).files == {"f.py": ADD}
