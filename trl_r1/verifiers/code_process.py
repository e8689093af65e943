"""A process of the sandbox with `code_inside.py` in it, and what its failures say about the program."""

from __future__ import annotations

import marshal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from trl_r1.verifiers.sandbox import Limits, Outcome, Sandbox, Session


Step = tuple[str, list[Any]]  # a function of code_inside.py and its arguments


@dataclass(frozen=True, slots=True)
class Result:
    """What one test found: passed, failed, or (`None`) a fault that is not the program's."""

    passed: bool | None
    reason: str = ""
    decided_by: Literal["tests", "overrun", "fault"] = "tests"


PASSED = Result(True)


class Waiting(Protocol):
    """Answers the calls that come from inside, and knows how long it took."""

    seconds: float

    def __call__(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Outcome: ...


class Process:
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

    def __enter__(self) -> Process:
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
                return failed(outcome)
        for name in self._functions:
            defined = self.call("defines", [name])
            if defined.failure:
                return failed(defined)
            if defined.value is not True:
                return Result(False, f"the program defines no function {name}")
        return None

    def call(self, function: str, arguments: list[Any], go_between: Waiting | None = None) -> Outcome:
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


def failed(outcome: Outcome) -> Result:
    """What a failure of the program's process says about the program."""
    if outcome.failure == "fault":
        return Result(None, f"the sandbox failed: {outcome.detail}", "fault")
    if outcome.failure in ("timeout", "memory", "output"):
        return Result(False, f"{outcome.failure}: {outcome.detail}", "overrun")
    return Result(False, outcome.detail or str(outcome.failure))


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
