"""Repairs: hidden tests decide, for real and in the sandbox, and nothing a patch does can vote on itself."""

import re
import time

import pytest

from trl_r1.errors import DataError
from trl_r1.verifiers import Verdict
from trl_r1.verifiers import repair as module
from trl_r1.verifiers.repair import check_tasks, verify_repair, verify_repair_batch
from trl_r1.verifiers.repair_task import RepairTask, RepairTest
from trl_r1.verifiers.sandbox import Limits


STATS = '''def mean(values):
    """Return the mean, 0.0 for no values."""
    if not values:
        return 0.0
    return sum(values) / (len(values) + 1)


def spread(values):
    return max(values) - min(values)
'''
TEXT = "from stats import mean\n\n\ndef report(values):\n    return f'mean {mean(values):.1f}'\n"
RIGHT = (
    "--- a/stats.py\n+++ b/stats.py\n@@ -4,2 +4,2 @@\n         return 0.0\n"
    "-    return sum(values) / (len(values) + 1)\n+    return sum(values) / len(values)\n"
)


def call(name, arguments, expected, broken):
    return RepairTest(name=name, broken=broken, function=name, arguments=arguments, expected=expected)


def code(text, broken, name="asserts"):
    return RepairTest(name=name, broken=broken, code=text)


CALLS = (
    call("stats.mean", "([1, 2],)", "1.5", True),
    call("text.report", "([2, 4],)", "'mean 3.0'", True),
    call("stats.mean", "([],)", "0.0", False),
    call("stats.spread", "([1, 5],)", "4", False),
)
TASK = RepairTask(files={"stats.py": STATS, "text.py": TEXT}, description="mean is off", tests=CALLS, patch=RIGHT)
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=2.0, memory_bytes=256 * 1024**2, output_bytes=100_000)


def whole(body, path="stats.py"):
    """A completion that replaces a file."""
    return f"<think> hm </think>\n```python {path}\n{body}\n```"


def with_mean(body):
    return whole(f"{body}\n\n\ndef spread(values):\n    return max(values) - min(values)")


@pytest.fixture(autouse=True)
def empty_cache():
    module._cache.clear()


class TestVerdict:
    def test_right(self):
        judgement = verify_repair(f"<think> one off </think>\n```diff\n{RIGHT}```", TASK)
        assert judgement.verdict is Verdict.CORRECT
        assert (judgement.fixed, judgement.broken, judgement.spoilt, judgement.credit) == (2, 2, 0, 1.0)
        assert judgement.reason == "passes all 4 tests"

    def test_only_what_follows_the_thoughts_counts(self):
        thought = f"<think>\n{RIGHT}\n</think> I leave it as it is."
        assert verify_repair(thought, TASK).decided_by == "patch"
        assert verify_repair(f"<think>\n{RIGHT}", TASK).reason == "no answer after the thoughts"

    def test_the_symptom_is_not_the_cause(self):
        special = "def mean(values):\n    return 1.5 if values == [1, 2] else 0.0"
        judgement = verify_repair(with_mean(special), TASK, run_all=True)
        assert judgement.verdict is Verdict.WRONG
        assert (judgement.fixed, judgement.spoilt, judgement.credit) == (1, 0, 0.5)
        assert judgement.reason == "test 'text.report' still fails: another result"

    def test_a_spoilt_test_costs_everything(self):
        judgement = verify_repair(whole("def mean(values):\n    return sum(values) / len(values)"), TASK, run_all=True)
        assert judgement.verdict is Verdict.WRONG
        assert (judgement.fixed, judgement.spoilt, judgement.credit) == (2, 2, 0.0)
        assert "worked before" in judgement.reason

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("def mean(values):\n    return", "another result"),
            ("def mean(values) return 1", "SyntaxError"),
            ("import nothing_like_this", "No module named"),
            ("mean = 3", "TypeError"),
            ("def other(values):\n    return 1.5", "AttributeError"),
            ("def mean(values):\n    raise SystemExit(0)", "SystemExit"),
            ("raise SystemExit(0)", "SystemExit"),
            ("import os\n\n\ndef mean(values):\n    os._exit(0)", "closed the session|exit code 0"),
            (
                "class Yes(float):\n    __eq__ = lambda a, b: True\n\n\ndef mean(v):\n    return Yes()",
                "another result",
            ),
            ("class Yes:\n    def __eq__(a, b): return True\n\n\ndef mean(values):\n    return Yes()", "TypeError"),
            ("def mean(values):\n    while True: pass", "processor time|no answer within"),
            ("while True: pass", "processor time|no answer within"),
            ("def mean(values):\n    return mean(values)", "RecursionError"),
            ("def mean(values):\n    return 'x' * 10**6", "larger|more than"),
            ("def mean(values):\n    return [0] * 10**9", "MemoryError"),
        ],
    )
    def test_whatever_a_patch_does_is_wrong_at_worst(self, body, reason):
        judgement = verify_repair(with_mean(body), TASK, limits=LIMITS)
        assert judgement.verdict is Verdict.WRONG
        assert re.search(reason, judgement.reason), judgement.reason

    @pytest.mark.parametrize(("arguments", "found"), [("([98765, 98765.5],)", False), ("([98765.25],)", True)])
    def test_expectations_are_nowhere_in_the_process_of_the_patch(self, arguments, found):
        # It looks through every container the interpreter knows and every frame up the stack for the expected value,
        # and returns it if it is there. In the arguments it is found, so the search works.
        spy = (
            "import gc, sys\n\n\ndef mean(values):\n"
            "    wanted = sum([98765, 0.25])\n"
            "    places = [o for o in gc.get_objects() if type(o) in (list, tuple) and wanted in o]\n"
            "    frame = sys._getframe().f_back\n"
            "    while frame:\n"
            "        places += [v for v in frame.f_locals.values() if type(v) is float and v == wanted]\n"
            "        frame = frame.f_back\n"
            "    return wanted if places else -1.0\n"
        )
        test = call("stats.mean", arguments, "98765.25", True)
        task = RepairTask(files={"stats.py": STATS}, description="", tests=(test,))
        assert (verify_repair(whole(spy), task).verdict is Verdict.CORRECT) is found

    def test_reasons_tell_no_expected_value(self):
        secret = call("stats.mean", "([7],)", "123454321", True)
        task = RepairTask(
            files={"stats.py": STATS},
            description="",
            tests=(secret, code("from stats import mean\nassert mean([7]) == 123454321, 123454321", True)),
        )
        assert "123454321" not in verify_repair(RIGHT, task, run_all=True).reason


class TestCode:
    ASSERTS = "from stats import mean\n\nassert mean([1, 2]) == 1.5\nassert mean([]) == 0.0\n"
    RAISES = (
        "import stats\n\ntry:\n    stats.spread([])\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError\n"
    )

    def task(self, *tests):
        return RepairTask(files={"stats.py": STATS}, description="", tests=tests)

    def test_asserts_decide(self):
        task = self.task(code(self.ASSERTS, True), code(self.RAISES, False))
        assert check_tasks([task]) == [None]
        assert verify_repair(RIGHT, task).verdict is Verdict.CORRECT
        judgement = verify_repair(with_mean("def mean(values):\n    return 1.5"), task)
        assert judgement.reason == "test 'asserts' still fails: an assertion fails"

    def test_swallowed_failures_count(self):
        careless = "from stats import mean\n\ntry:\n    mean([1, 2])\nexcept Exception:\n    pass\n"
        task = self.task(code(self.ASSERTS, True), code(careless, False))
        judgement = verify_repair(
            with_mean("import os\n\n\ndef mean(values):\n    os._exit(1)"),
            self.task(code(careless, True)),
            limits=LIMITS,
        )
        assert judgement.verdict is Verdict.WRONG
        assert verify_repair(RIGHT, task).verdict is Verdict.CORRECT

    def test_a_patch_cannot_change_the_tests_process(self):
        cheat = (
            "import builtins, sys\n\nbuiltins.AssertionError = ZeroDivisionError\nsys.modules['main'] = None\n"
            "sys.exit = None\n\n\ndef mean(values):\n    return -1.0"
        )
        assert verify_repair(with_mean(cheat), self.task(code(self.ASSERTS, True))).verdict is Verdict.WRONG

    def test_packages(self):
        files = {"pkg/__init__.py": "", "pkg/core.py": "def one():\n    return 2\n"}
        tests = (code("from pkg.core import one\nassert one() == 1", True), call("pkg.core.one", "()", "1", True))
        task = RepairTask(files=files, description="", tests=tests)
        patch = "--- pkg/core.py\n+++ pkg/core.py\n@@ -2 +2 @@\n-    return 2\n+    return 1\n"
        assert verify_repair(patch, task).verdict is Verdict.CORRECT


class TestBatch:
    def test_order_and_the_cache(self, monkeypatch):
        ran = []
        original = module._run_job
        monkeypatch.setattr(module, "_run_job", lambda job, *rest: ran.append(job) or original(job, *rest))
        wrong = with_mean("def mean(values):\n    return 0.0")
        written_out = with_mean(STATS[: STATS.index("\n\n\ndef spread")].replace("(len(values) + 1)", "len(values)"))
        pairs = [(wrong, TASK), (RIGHT, TASK), ("nothing", TASK), (written_out, TASK), (wrong, TASK)]
        verdicts = [judgement.reward for judgement in verify_repair_batch(pairs)]
        assert verdicts == [0.0, 1.0, 0.0, 1.0, 0.0]
        assert len(ran) == 2  # the same state is run once, however it was written
        assert [judgement.reward for judgement in verify_repair_batch(pairs)] == verdicts
        assert len(ran) == 2

    def test_overruns_are_not_remembered(self):
        slow = with_mean("def mean(values):\n    while True: pass")
        assert verify_repair(slow, TASK, limits=LIMITS).decided_by == "overrun"
        assert len(module._cache._judgements) == 0

    def test_deadline(self):
        judgement = verify_repair_batch([(RIGHT, TASK)], deadline=0.0)[0]
        assert judgement.verdict is Verdict.UNDECIDABLE
        assert "deadline" in judgement.reason

    def test_a_fault_of_the_sandbox_is_undecidable(self, monkeypatch):
        def broken(self, limits):
            raise OSError("no process to give")

        verify_repair(RIGHT, TASK)
        module._cache.clear()
        monkeypatch.setattr("trl_r1.verifiers.sandbox.Sandbox.session", broken)
        judgement = verify_repair(RIGHT, TASK)
        assert (judgement.verdict, judgement.reward, judgement.credit) == (Verdict.UNDECIDABLE, None, None)

    def test_a_hanging_patch_holds_up_no_other_for_long(self):
        slow = with_mean("def mean(values):\n    while True: pass")
        started = time.monotonic()
        judgements = verify_repair_batch([(slow, TASK), (RIGHT, TASK)], limits=LIMITS)
        assert [judgement.reward for judgement in judgements] == [0.0, 1.0]
        assert time.monotonic() - started < 40


class TestTask:
    def test_round_trip(self):
        assert RepairTask.from_row(TASK.to_row()) == TASK

    def test_checks_find_what_is_wrong(self):
        fixed = RepairTask(
            files={"stats.py": STATS}, description="", tests=(call("stats.mean", "([],)", "0.0", True),)
        )
        spoilt = RepairTask(
            files={"stats.py": STATS}, description="", tests=(CALLS[0], call("stats.mean", "([1],)", "1.0", False))
        )
        useless = RepairTask(
            files=TASK.files, description="", tests=CALLS, patch=RIGHT.replace("len(values)\n", "3\n")
        )
        found = check_tasks([TASK, fixed, spoilt, useless])
        assert found[0] is None
        assert found[1] == "1 of 1 broken tests pass before the repair"
        assert found[2] == "1 tests that should work fail before the repair"
        assert "the reference patch does not repair it" in found[3]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"files": []}, "ends in .py"),
            ({"tests": []}, "nothing to repair"),
            ({"files": None}, "cannot be read"),
            ({"tests": [{"broken": True}]}, "either a function or code"),
            ({"tests": [{"broken": True, "function": "mean"}]}, "no module ''"),
            ({"tests": [{"broken": True, "function": "other.mean"}]}, "no module 'other'"),
            ({"tests": [{"broken": True, "function": "stats.mean", "arguments": "open('x')"}]}, "cannot be read"),
            ({"tests": [{"broken": True, "function": "stats.mean", "arguments": "[1]"}]}, "no tuple"),
            ({"tests": [{"broken": True, "code": "assert True"}]}, "imports nothing of the repository"),
            ({"tests": [{"broken": True, "code": "assert ("}]}, "cannot be read"),
            ({"tests": [{"function": "stats.mean"}]}, "KeyError"),
        ],
    )
    def test_unusable_rows(self, change, reason):
        with pytest.raises(DataError, match=reason):
            RepairTask.from_row({**TASK.to_row(), **change})
