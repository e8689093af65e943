"""Run a program on its tests in the sandbox, one result a test. Every comparison is made here, outside."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from trl_r1.verifiers.code_comparison import output_difference, values_equal
from trl_r1.verifiers.code_process import PASSED, Process, Result, Step, failed
from trl_r1.verifiers.code_tests import AssertTests, CodeTests, FunctionTests, ProgramTests
from trl_r1.verifiers.sandbox import Limits, Outcome, Sandbox


PROGRAM_SECONDS = 60.0  # for all tests of one program; each of them has its own limits
# What LeetCode has imported before a class `Solution` is read: its starter code names types it never imports.
SOLUTION_NAMES = """
import bisect, collections, functools, heapq, itertools, math, operator, random, re, string
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cache, cmp_to_key, lru_cache, reduce
from heapq import heapify, heappop, heappush
from itertools import accumulate, chain, combinations, permutations, product
from math import ceil, floor, gcd, inf, sqrt
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union
"""


class Clock:
    """
    The time one program and the whole batch may still take.

    Args:
        stop (`float`):
            Moment, on `time.monotonic`, at which the batch ends.
    """

    def __init__(self, stop: float = float("inf")) -> None:
        self._stop = stop
        self._started = time.monotonic()

    def problem(self) -> Result | None:
        """Why no further test may be run, or `None`."""
        now = time.monotonic()
        if now - self._started > PROGRAM_SECONDS:
            return Result(False, f"its tests take longer than {PROGRAM_SECONDS:g} s together", "overrun")
        return Result(None, "not run before the deadline of the batch", "fault") if now >= self._stop else None


def run_tests(
    sandbox: Sandbox, program: str, tests: CodeTests, limits: Limits, tolerance: float | None, clock: Clock
) -> Generator[Result, None, None]:
    """
    Run a program on its tests, lazily: close the iterator to run no further one.

    Args:
        sandbox ([`~trl_r1.verifiers.sandbox.Sandbox`]):
            Where to run it.
        program (`str`):
            Source code.
        tests (`CodeTests`):
            What [`~trl_r1.verifiers.code_tests.read_code_tests`] read.
        limits ([`~trl_r1.verifiers.sandbox.Limits`]):
            Of one test.
        tolerance (`float`, *optional*):
            For numbers in outputs and results; assertions have their own.
        clock (`Clock`):
            Limits of all tests together.

    Yields:
        `Result`: one a test, in order. After one that tells of a fault or of the clock, none may follow.

    Raises:
        `OSError`: the sandbox has no process to give.
    """
    if isinstance(tests, ProgramTests):
        return _run_program(sandbox, program, tests, limits, tolerance, clock)
    if isinstance(tests, FunctionTests):
        return _run_function(sandbox, program, tests, limits, tolerance, clock)
    return _run_assertions(sandbox, program, tests, limits, clock)


def _run_program(
    sandbox: Sandbox, program: str, tests: ProgramTests, limits: Limits, tolerance: float | None, clock: Clock
) -> Generator[Result, None, None]:
    for text, expected in zip(tests.inputs, tests.outputs, strict=True):
        if problem := clock.problem():
            yield problem
            return
        with sandbox.session(limits) as session:
            outcome = session.run_program(program, text)
        if outcome.failure:
            yield failed(outcome)
        else:
            difference = output_difference(outcome.value, expected, tolerance)
            yield Result(False, difference) if difference else PASSED


def _run_function(
    sandbox: Sandbox, program: str, tests: FunctionTests, limits: Limits, tolerance: float | None, clock: Clock
) -> Generator[Result, None, None]:
    steps: list[Step] = [("start", [program, "<program>"])]
    if "class Solution" in program:
        steps.insert(0, ("start", [SOLUTION_NAMES, "<names>"]))
    with Process(sandbox, limits, steps, functions=(tests.function,)) as process:
        for arguments, expected in zip(tests.inputs, tests.outputs, strict=True):
            if problem := clock.problem() or process.problem():
                yield problem
                return
            outcome = process.call("call", [tests.function, [["value", argument] for argument in arguments], {}])
            if outcome.failure:
                yield failed(outcome)
                continue
            kind, value, _ = outcome.value
            accepted = [expected, [expected]] if tests.wrapped else [expected]
            if kind != "value":
                yield Result(False, _describe(kind, value))
            elif any(values_equal(value, wanted, tolerance) for wanted in accepted):
                yield PASSED
            else:
                yield Result(False, "the returned value differs")


def _run_assertions(
    sandbox: Sandbox, program: str, tests: AssertTests, limits: Limits, clock: Clock
) -> Generator[Result, None, None]:
    given: Step = ("start", [tests.given, "<prompt>"])
    steps: list[Step] = [given, ("start", [program, "<program>"])]
    prepare: Step = ("prepare", [tests.given, tests.setup, list(tests.functions)])
    with (
        Process(sandbox, limits, [prepare], proxied=True) as assertions,
        Process(sandbox, limits, steps, functions=tests.functions) as process,
    ):
        for check in tests.checks:
            if problem := assertions.problem():
                yield Result(None, f"the tests do not start: {problem.reason}", "fault")
                return
            if problem := clock.problem() or process.problem():
                yield problem
                return
            go_between = _GoBetween(process, clock)
            yield go_between.judge(assertions.call("check", [check], go_between))


class _GoBetween:
    """Carries the calls of one check to the program, and remembers what the check itself might swallow."""

    def __init__(self, process: Process, clock: Clock) -> None:
        self._process, self._clock = process, clock
        self._calls = 0
        self._verdict: Result | None = None  # decided already: the program broke a limit or returned no data
        self._raised = ""  # what its last call raised
        self.seconds = 0.0

    def __call__(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Outcome:
        """Answer a call of `trl_r1_ask`."""
        self._calls += 1
        started = time.monotonic()
        outcome = self._ask(args)
        self.seconds += time.monotonic() - started
        return outcome

    def _ask(self, args: list[Any]) -> Outcome:
        self._verdict = self._verdict or self._clock.problem() or self._process.problem()
        if self._verdict is None:
            outcome = self._process.call("call", args)
            if outcome.failure:
                self._verdict = failed(outcome)
            elif outcome.value[0] == "opaque":
                self._verdict = Result(False, _describe(*outcome.value[:2]))
            else:
                self._raised = _describe(*outcome.value[:2]) if outcome.value[0] == "raise" else ""
                return outcome
        return Outcome(failure="exception", exception="RuntimeError", detail="the program is not there any more")

    def judge(self, outcome: Outcome) -> Result:
        """What a check that ended with this outcome says about the program."""
        if self._verdict is not None:
            return self._verdict
        if outcome.failure == "fault":
            return failed(outcome)
        if outcome.failure is None and outcome.value:
            return Result(None, f"the tests cannot be run: {outcome.value}", "fault")
        if self._calls == 0:
            what = outcome.detail if outcome.failure else "they never call the program"
            return Result(None, f"the tests do not test it: {what}", "fault")
        if outcome.failure is None:
            return PASSED
        if outcome.failure == "exception":
            # Never the message of the test's own exception, which may tell what was expected.
            if outcome.exception == "AssertionError":
                return Result(False, "an assertion fails")
            return Result(False, self._raised or f"the test cannot use its result ({outcome.exception})")
        return Result(False, f"its results are too much for the test: {outcome.detail}", "overrun")


def _describe(kind: str, value: Any) -> str:
    """Why a result that is no plain value fails."""
    if kind == "opaque":
        return f"it returns an object of type {value}, which is no plain data"
    if kind != "raise":
        return f"it returns an object of type {kind}"
    classes, message = value
    return f"{classes[0]}: {message}" if message else str(classes[0])
