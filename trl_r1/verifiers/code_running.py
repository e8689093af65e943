"""Run a program on its tests in the sandbox, one result a test. Every comparison is made here, outside."""

from __future__ import annotations

import marshal
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from trl_r1.verifiers.code_comparison import output_difference, values_equal
from trl_r1.verifiers.code_tests import AssertTests, CodeTests, FunctionTests, ProgramTests
from trl_r1.verifiers.sandbox import Limits, Outcome, Sandbox, Session


PROGRAM_SECONDS = 60.0  # for all tests of one program; each of them has its own limits

Step = tuple[str, list[Any]]  # a function of code_inside.py and its arguments


@dataclass(frozen=True, slots=True)
class Result:
    """What one test found: passed, failed, or (`None`) a fault that is not the program's."""

    passed: bool | None
    reason: str = ""
    decided_by: Literal["tests", "overrun", "fault"] = "tests"


PASSED = Result(True)


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
            yield _failed(outcome)
        else:
            difference = output_difference(outcome.value, expected, tolerance)
            yield Result(False, difference) if difference else PASSED


def _run_function(
    sandbox: Sandbox, program: str, tests: FunctionTests, limits: Limits, tolerance: float | None, clock: Clock
) -> Generator[Result, None, None]:
    steps: list[Step] = [("start", [program, "<program>"])]
    with _Process(sandbox, limits, steps, functions=(tests.function,)) as process:
        for arguments, expected in zip(tests.inputs, tests.outputs, strict=True):
            if problem := clock.problem() or process.problem():
                yield problem
                return
            outcome = process.call("call", [tests.function, [["value", argument] for argument in arguments], {}])
            if outcome.failure:
                yield _failed(outcome)
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
        _Process(sandbox, limits, [prepare], proxied=True) as assertions,
        _Process(sandbox, limits, steps, functions=tests.functions) as process,
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


class _Process:
    """
    A process with `code_inside.py` in it, started when needed, and again after it broke or used up half its time.

    Args:
        sandbox ([`~trl_r1.verifiers.sandbox.Sandbox`]):
            Where it runs.
        limits ([`~trl_r1.verifiers.sandbox.Limits`]):
            Of the process.
        steps (`Sequence[Step]`):
            Calls that make it ready.
        functions (`Sequence[str]`, *optional*):
            Names that must then be defined.
        proxied (`bool`, *optional*, defaults to `False`):
            Whether code inside may ask for the program's functions.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        steps: Sequence[Step],
        functions: Sequence[str] = (),
        proxied: bool = False,
    ) -> None:
        self._sandbox, self._limits, self._steps = sandbox, limits, steps
        self._functions = list(functions)
        self._proxies = {"": ["trl_r1_ask"]} if proxied else None
        self._session: Session | None = None
        self._seconds = 0.0

    def __enter__(self) -> _Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def problem(self) -> Result | None:
        """Have a process that is ready; why it cannot be had, or `None`."""
        if self._session is not None and self._seconds < self._limits.cpu_seconds / 2:
            return None
        self._close()
        self._session = self._sandbox.session(self._limits)
        problem = self._start()
        if problem:
            self._close()
        return problem

    def _start(self) -> Result | None:
        assert self._session is not None
        outcome = self._session.load({"main": _inside()}, proxies=self._proxies)
        if outcome.failure:
            return Result(None, f"the sandbox does not work: {outcome.detail}", "fault")
        for function, arguments in self._steps:
            outcome = self.call(function, arguments)
            if outcome.failure:
                return _failed(outcome)
        for name in self._functions:
            defined = self.call("defines", [name])
            if defined.failure:
                return _failed(defined)
            if defined.value is not True:
                return Result(False, f"the program defines no function {name}")
        return None

    def call(self, function: str, arguments: list[Any], go_between: _GoBetween | None = None) -> Outcome:
        """Call a function of `code_inside.py`. A process that broke is not used again."""
        assert self._session is not None
        started = time.monotonic()
        outcome = self._session.call(function, arguments, on_call=go_between)
        self._seconds += time.monotonic() - started - (go_between.seconds if go_between else 0.0)
        if outcome.failure is None and function == "call" and not _is_answer(outcome.value):
            outcome = Outcome(failure="protocol", detail="its answer to a call is none")
        if outcome.failure not in (None, "exception"):
            self._close()
        return outcome

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._seconds = None, 0.0


class _GoBetween:
    """Carries the calls of one check to the program, and remembers what the check itself might swallow."""

    def __init__(self, process: _Process, clock: Clock) -> None:
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
                self._verdict = _failed(outcome)
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
            return _failed(outcome)
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


def _failed(outcome: Outcome) -> Result:
    """What a failure of the program's process says about the program."""
    if outcome.failure == "fault":
        return Result(None, f"the sandbox failed: {outcome.detail}", "fault")
    if outcome.failure in ("timeout", "memory", "output"):
        return Result(False, f"{outcome.failure}: {outcome.detail}", "overrun")
    return Result(False, outcome.detail or str(outcome.failure))


def _describe(kind: str, value: Any) -> str:
    """Why a result that is no plain value fails."""
    if kind == "opaque":
        return f"it returns an object of type {value}, which is no plain data"
    if kind != "raise":
        return f"it returns an object of type {kind}"
    classes, message = value
    return f"{classes[0]}: {message}" if message else str(classes[0])


def _is_answer(value: Any) -> bool:
    """Whether the process answered a call as `code_inside.py` does, which a program may have tampered with."""
    match value:
        case ["raise", [[str(), *others], str()], list()]:
            return all(isinstance(name, str) for name in others)
        case ["opaque", str(), list()]:
            return True
        case [str() as kind, _, list()]:
            return kind not in {"raise", "opaque"}
    return False


@lru_cache(maxsize=1)
def _inside() -> str:
    """`code_inside.py`, compiled here once: to compile it in every process takes as long as to fork one."""
    path = Path(__file__).with_name("code_inside.py")
    code = compile(path.read_text(encoding="utf-8"), path.name, "exec", optimize=2)
    return f"import marshal\nexec(marshal.loads({marshal.dumps(code)!r}))"  # the sandbox runs this same interpreter
