"""Run the hidden tests of a repair in the sandbox, one result a test. Every comparison is made here, outside."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trl_r1.verifiers.code_comparison import values_equal
from trl_r1.verifiers.repair_task import RepairTask, RepairTest, own_modules, python_files, tests_in_order
from trl_r1.verifiers.sandbox import Limits, Outcome, Sandbox, Session


TASK_SECONDS = 60.0  # for all tests of one patch
TOLERANCE = 1e-9  # of floats: a repair may sum in another order


@dataclass(frozen=True, slots=True)
class Result:
    """What one test found: passed, failed, or (`None`) a fault that is not the patch's."""

    passed: bool | None
    reason: str = ""
    decided_by: str = "tests"


class Repository:
    """
    The patched files in a process of their own; in a new one after the old broke.

    Args:
        sandbox ([`~trl_r1.verifiers.sandbox.Sandbox`]):
            Where they run.
        files (`Mapping[str, str]`):
            Text by path.
        limits ([`~trl_r1.verifiers.sandbox.Limits`]):
            Of the process.
    """

    def __init__(self, sandbox: Sandbox, files: Mapping[str, str], limits: Limits) -> None:
        self.sandbox, self.limits = sandbox, limits
        self._files = python_files(files)
        self._session: Session | None = None

    def call(self, function: str, arguments: Sequence[Any], keywords: Mapping[str, Any] | None = None) -> Outcome:
        """Call `"module.function"`."""
        module = function.rpartition(".")[0]
        outcome = self._load(module) if self._session is None else Outcome()
        if outcome.failure is None:
            assert self._session is not None
            outcome = self._session.call(function, arguments, keywords)
        if outcome.failure not in (None, "exception"):
            self.close()
        return outcome

    def _load(self, module: str) -> Outcome:
        self._session = self.sandbox.session(self.limits)
        outcome = self._session.load(self._files, main=module)
        if outcome.failure:
            self.close()
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._session is not None:
            self._session.close()
        self._session = None


def run_tests(task: RepairTask, repository: Repository, stop: float) -> Iterator[tuple[RepairTest, Result]]:
    """
    Run the tests of a task, lazily: close the iterator to run no further one.

    Args:
        task ([`~trl_r1.verifiers.repair_task.RepairTask`]):
            The tests, and which modules are the repository's.
        repository (`Repository`):
            The patched files.
        stop (`float`):
            Moment, on `time.monotonic`, after which no test is run.

    Yields:
        `tuple[RepairTest, Result]`: the broken tests first.

    Raises:
        `OSError`: the sandbox has no process to give.
    """
    started = time.monotonic()
    for test in tests_in_order(task.tests):
        if time.monotonic() > stop:
            yield test, Result(None, "not run before the deadline of the batch", "fault")
        elif time.monotonic() - started > TASK_SECONDS:
            yield test, Result(False, f"the tests take longer than {TASK_SECONDS:g} s together", "overrun")
        elif test.code:
            yield test, _run_code(test, own_modules(task.files), repository)
        else:
            yield test, _run_call(test, repository)


def _run_call(test: RepairTest, repository: Repository) -> Result:
    arguments, expected = test.read_call()
    outcome = repository.call(test.function, arguments)
    if outcome.failure:
        return _failed(outcome)
    return Result(True) if values_equal(outcome.value, expected, TOLERANCE) else Result(False, "another result")


def _run_code(test: RepairTest, modules: Collection[str], repository: Repository) -> Result:
    """Run trusted code that asserts, in a process that never sees a line of the patch."""
    broke: list[Result] = []  # what the code might swallow

    def ask(function: str, arguments: list[Any], keywords: dict[str, Any]) -> Outcome:
        outcome = repository.call(function, arguments, keywords)
        if outcome.failure not in (None, "exception"):
            broke.append(_failed(outcome))
        return outcome

    proxies = {module: names for module, names in test.proxies().items() if module in modules}
    with repository.sandbox.session(repository.limits) as session:
        outcome = session.load({"main": test.code}, proxies=proxies, on_call=ask)
    if broke:
        return broke[0]
    if outcome.failure in (None, "fault"):
        return _failed(outcome) if outcome.failure else Result(True)
    if outcome.failure == "exception":
        # Not its message, which may tell what was expected.
        name = outcome.exception
        return Result(False, "an assertion fails" if name == "AssertionError" else f"it ends in {name}")
    return Result(False, f"its results are too much for the test: {outcome.detail}", "overrun")


def _failed(outcome: Outcome) -> Result:
    """What a failure of the patch's process says about the patch."""
    if outcome.failure == "fault":
        return Result(None, f"the sandbox failed: {outcome.detail}", "fault")
    overrun = outcome.failure in ("timeout", "memory", "output")
    return Result(False, outcome.detail or str(outcome.failure), "overrun" if overrun else "tests")
