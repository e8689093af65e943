"""One isolated process, spoken to in lockstep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from trl_r1.verifiers.sandbox.inside import wire
from trl_r1.verifiers.sandbox.outcome import Failure, Limits, Outcome
from trl_r1.verifiers.sandbox.process import BrokenError, Process
from trl_r1.verifiers.sandbox.servers import ServerGoneError, Servers


OnCall = Callable[[str, list[Any], dict[str, Any]], Outcome]


class Session:
    """
    A fresh isolated process for one candidate; made by [`Sandbox.session`] and used as a context manager.

    Requests are answered one at a time. Once the process is gone (`"timeout"`, `"died"`, `"protocol"`, ...), every
    further request gets the same outcome.
    """

    def __init__(self, servers: Servers, limits: Limits) -> None:
        self._servers = servers
        self._limits = limits
        self._fresh = True
        self._over: Outcome | None = None
        self._on_call: OnCall | None = None
        self._offered: set[str] = set()
        self._program_input = b""
        self._process = Process(servers, limits)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def load(
        self,
        files: Mapping[str, str],
        main: str = "main",
        proxies: Mapping[str, Sequence[str]] | None = None,
        on_call: OnCall | None = None,
    ) -> Outcome:
        """
        Make modules importable and run one of them.

        Args:
            files (`Mapping[str, str]`):
                Sources by module name (`"stats"`, `"pkg.core"`) or relative path (`"pkg/core.py"`).
            main (`str`):
                The module to run, whose functions [`~Session.call`] calls.
            proxies (`Mapping[str, Sequence[str]]`, *optional*):
                Functions that are the caller's: `{"": ["candidate"]}` puts one into the main module,
                `{"stats": ["mean"]}` makes a module of one. Calling it inside asks `on_call`.
            on_call (`Callable[[str, list, dict], Outcome]`, *optional*):
                Answers a proxy's call, given its dotted name and arguments. A failure is raised inside.

        Returns:
            [`Outcome`]: `value` is `None`.
        """
        self._on_call = on_call or self._on_call
        named = {module: list(functions) for module, functions in (proxies or {}).items()}
        self._offered |= {f"{module}.{name}".lstrip(".") for module, names in named.items() for name in names}
        return self._request(["load", dict(files), main, named], self._on_call)

    def call(
        self,
        function: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        on_call: OnCall | None = None,
    ) -> Outcome:
        """
        Call a function of the loaded code.

        Args:
            function (`str`):
                `"name"` in the main module, or `"module.name"`.
            args (`Sequence[Any]`), kwargs (`Mapping[str, Any]`, *optional*):
                Arguments, plain data.
            on_call (`Callable[[str, list, dict], Outcome]`, *optional*):
                As in [`~Session.load`], for this call.

        Returns:
            [`Outcome`]: what it returned.
        """
        return self._request(["call", function, list(args), dict(kwargs or {})], on_call or self._on_call)

    def run_program(self, source: str, stdin: str = "") -> Outcome:
        """
        Run a whole program as `__main__`, to its end. The session is used up.

        Args:
            source (`str`):
                The program.
            stdin (`str`):
                What it finds on standard input.

        Returns:
            [`Outcome`]: `value` is what it wrote to standard output, whatever else happened. An exit code other than 0
                is a failure (`"died"`).
        """
        if self._over is not None:
            return self._over
        self._program_input = stdin.encode("utf-8", "surrogatepass")
        self._process.write_stdin(self._program_input)
        outcome = self._request(["program", source], None)
        if outcome.failure == "died" and self._process.exit_code == 0:
            outcome = Outcome()
        if outcome.failure != "fault":
            outcome = self._with_output(outcome)
        self.close()
        return outcome

    def close(self) -> None:
        """End the process."""
        self._process.close()
        if self._over is None:
            self._over = Outcome(failure="fault", detail="the session is closed")

    def _with_output(self, outcome: Outcome) -> Outcome:
        written = self._process.read_stdout()
        if len(written) > self._limits.output_bytes:
            return Outcome(failure="output", detail=f"more than {self._limits.output_bytes} bytes of output")
        return replace(outcome, value=written.decode("utf-8", "replace"))

    def _request(self, message: list[Any], on_call: OnCall | None) -> Outcome:
        if self._over is not None:
            return self._over
        try:
            outcome = self._converse(message, on_call)
        except BrokenError as broken:
            self._over = outcome = broken.outcome
            self._process.end()
        except ServerGoneError as error:
            outcome = self._again(message, on_call, error)
        self._fresh = False
        return outcome

    def _again(self, message: list[Any], on_call: OnCall | None, error: ServerGoneError) -> Outcome:
        """The server died under the session: nothing is lost if this was its first request, so ask once more."""
        fresh, self._fresh = self._fresh, False
        self._process.close()
        if fresh:
            try:
                self._process = Process(self._servers, self._limits, self._program_input)
            except ServerGoneError as second:
                error = second
            else:
                return self._request(message, on_call)
        self._over = Outcome(failure="fault", detail=f"the sandbox server is gone: {error}")
        return self._over

    def _converse(self, message: list[Any], on_call: OnCall | None) -> Outcome:
        """Send a request and take its reply, answering the calls that come between."""
        data, left = wire.frame(message), self._limits.wall_seconds
        while True:
            started = time.monotonic()
            kind, *rest = self._process.ask(data, left)
            left -= time.monotonic() - started
            if kind != "call":
                break
            if on_call is None or rest[0] not in self._offered:
                raise BrokenError("protocol", "it called what it was not offered")
            data = _answer(on_call(*rest))
        if kind != "exit":  # after which the process may be gone
            self._process.expect_silence()
        return _outcome(kind, rest)


def _outcome(kind: str, rest: list[Any]) -> Outcome:
    if kind == "value":
        return Outcome(rest[0])
    if kind == "output":
        return Outcome(failure="output", detail="a reply larger than allowed")
    if kind == "exit":
        return Outcome() if rest[0] == 0 else Outcome(failure="died", detail=f"exit code {rest[0]}")
    name, text = _readable(rest[0], 100), _readable(rest[1], 500)
    failure: Failure = "memory" if name == "MemoryError" else "exception"
    return Outcome(failure=failure, detail=f"{name}: {text}" if text else name, exception=name)


def _readable(text: str, most: int) -> str:
    """One line that any file can hold."""
    return " ".join(text[:most].split()).encode("utf-8", "backslashreplace").decode("utf-8")


def _answer(outcome: Outcome) -> bytes:
    """What a proxy inside gets: the value, or an exception to raise."""
    if outcome.failure is None:
        return wire.frame(["value", outcome.value])
    text = outcome.detail.removeprefix(f"{outcome.exception}: ")
    return wire.frame(["raise", outcome.exception or outcome.failure, text])
