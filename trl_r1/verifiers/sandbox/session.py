"""One isolated process, spoken to in lockstep."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from trl_r1.verifiers.sandbox.inside import wire
from trl_r1.verifiers.sandbox.outcome import Failure, Limits, Outcome
from trl_r1.verifiers.sandbox.servers import Child, ServerGoneError, Servers


OnCall = Callable[[str, list[Any], dict[str, Any]], Outcome]
_READY = wire.frame(["ready"])
_READY_SECONDS = 30.0  # for a process to shut its doors, on a machine that swaps
_EXIT_SECONDS = 0.2  # between closing the session and being gone


class _BrokenError(Exception):
    """The session is over. Carries what the caller is told."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Session:
    """
    A fresh isolated process for one candidate; made by [`Sandbox.session`] and used as a context manager.

    Requests are answered one at a time. Once the process is gone (`"timeout"`, `"died"`, `"protocol"`, ...), every
    further request gets the same outcome.
    """

    def __init__(self, servers: Servers, limits: Limits) -> None:
        self._servers = servers
        self._limits = limits
        self._child: Child | None = None
        self._socket: socket.socket | None = None
        self._stdin = self._stdout = -1
        self._fresh = True
        self._over: Outcome | None = None
        self._program_input = b""
        self._exit_code: int | None = None
        self._on_call: OnCall | None = None
        self._offered: set[str] = set()
        self._open()

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
        os.pwrite(self._stdin, self._program_input, 0)
        outcome = self._request(["program", source], None)
        if outcome.failure == "died" and self._exit_code == 0:
            outcome = Outcome()
        if outcome.failure != "fault":
            outcome = self._with_output(outcome)
        self.close()
        return outcome

    def close(self) -> None:
        """End the process."""
        self._end()
        self._close_files()
        if self._over is None:
            self._over = Outcome(failure="fault", detail="the session is closed")

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._stdin, self._stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
            with theirs:
                self._child = self._servers.fork(self._limits, [theirs.fileno(), self._stdin, self._stdout])
        except BaseException:
            ours.close()
            self._close_files()
            raise
        self._socket = ours

    def _request(self, message: list[Any], on_call: OnCall | None) -> Outcome:
        if self._over is not None:
            return self._over
        data = wire.frame(message)
        try:
            outcome = self._converse(data, on_call)
        except _BrokenError as broken:
            outcome = broken.outcome
            self._over = outcome
            self._end()
        except ServerGoneError as error:
            outcome = self._again(message, on_call, error)
        self._fresh = False
        return outcome

    def _again(self, message: list[Any], on_call: OnCall | None, error: ServerGoneError) -> Outcome:
        """The server died under the session: nothing is lost if this was its first request, so ask once more."""
        fresh, self._fresh = self._fresh, False
        self._end()
        self._close_files()
        if fresh:
            try:
                self._open()
                os.pwrite(self._stdin, self._program_input, 0)
            except ServerGoneError as second:
                error = second
            else:
                return self._request(message, on_call)
        self._over = Outcome(failure="fault", detail=f"the sandbox server is gone: {error}")
        return self._over

    def _converse(self, data: bytes, on_call: OnCall | None) -> Outcome:
        """Send a request and take its reply, answering the calls that come between."""
        left = self._limits.wall_seconds
        if self._fresh:
            self._expect_ready()
        while True:
            self._expect_silence()
            started = time.monotonic()
            self._send(data, started + left)
            kind, *rest = self._receive(started + left)
            left -= time.monotonic() - started
            if kind == "call":
                if on_call is None or rest[0] not in self._offered:
                    raise _BrokenError(Outcome(failure="protocol", detail="it called what it was not offered"))
                data = _answer(on_call(*rest))
            else:
                if kind != "exit":  # after which the process writes no more, but may have ended
                    self._expect_silence()
                return _outcome(kind, rest)

    def _send(self, data: bytes, deadline: float) -> None:
        assert self._socket is not None
        view = memoryview(data)
        try:
            while view:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                view = view[self._socket.send(view) :]
        except TimeoutError:
            raise _BrokenError(self._overrun()) from None
        except OSError:
            raise _BrokenError(self._autopsy()) from None

    def _receive(self, deadline: float) -> list[Any]:
        (size,) = wire.HEADER.unpack(self._read(wire.HEADER.size, deadline))
        if size > self._limits.output_bytes:
            raise _BrokenError(
                Outcome(failure="output", detail=f"a reply of more than {self._limits.output_bytes} bytes")
            )
        try:
            return _checked(wire.decode(self._read(size, deadline)))
        except wire.WireError as error:
            raise _BrokenError(Outcome(failure="protocol", detail=str(error))) from None

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._socket is not None
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _BrokenError(self._overrun())
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(min(size - len(data), 1 << 20))
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            if not piece:
                raise _BrokenError(self._autopsy())
            data += piece
        return bytes(data)

    def _expect_ready(self) -> None:
        """Before any code runs, the process says that all doors are shut; else the fault is ours."""
        try:
            if self._read(len(_READY), time.monotonic() + _READY_SECONDS) == _READY:
                return
        except _BrokenError as broken:
            raise ServerGoneError(f"no process to run in: {broken}") from None
        raise ServerGoneError("its process is out of order")

    def _expect_silence(self) -> None:
        """Whoever speaks out of turn is out, so that no answer can be laid ready before its question."""
        assert self._socket is not None
        self._socket.settimeout(None)
        try:
            if not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                return  # it ended; the next request will tell
        except OSError:
            return
        raise _BrokenError(Outcome(failure="protocol", detail="it spoke without being asked"))

    def _overrun(self) -> Outcome:
        return Outcome(failure="timeout", detail=f"no answer within {self._limits.wall_seconds:g} s")

    def _autopsy(self) -> Outcome:
        """What ended the process, or closed its side of the session."""
        child, self._child = self._child, None
        assert child is not None
        end = child.server.end(child, _EXIT_SECONDS)
        code = int(end["code"])
        if end["killed"]:
            return Outcome(failure="died", detail="it closed the session")
        if code >= 0:
            self._exit_code = code
            return Outcome(failure="died", detail=f"exit code {code}")
        name = signal.Signals(-code).name
        if -code == signal.SIGXCPU or (-code == signal.SIGKILL and end["cpu"] >= self._limits.cpu_seconds):
            return Outcome(failure="timeout", detail=f"{self._limits.cpu_seconds:g} s of processor time used up")
        if -code == signal.SIGKILL:
            return Outcome(failure="memory", detail="killed by the system, which ran out of memory")
        return Outcome(failure="died", detail=f"killed by {name}")

    def _with_output(self, outcome: Outcome) -> Outcome:
        limit = self._limits.output_bytes
        written = os.pread(self._stdout, limit + 1, 0)
        if len(written) > limit:
            return Outcome(failure="output", detail=f"more than {limit} bytes of output")
        return replace(outcome, value=written.decode("utf-8", "replace"))

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        child, self._child = self._child, None
        if child is not None:
            try:
                child.server.end(child)
            except ServerGoneError:
                self._servers.discard(child.server)

    def _close_files(self) -> None:
        for descriptor in (self._stdin, self._stdout):
            if descriptor >= 0:
                os.close(descriptor)
        self._stdin = self._stdout = -1


def _checked(message: Any) -> list[Any]:
    """One of the messages a child may send, or a protocol error."""
    if type(message) is list and message:
        kind, *rest = message
        shape = tuple(map(type, rest))
        if (
            (kind == "value" and len(rest) == 1)
            or (kind == "output" and not rest)
            or (kind == "exit" and shape == (int,))
            or (kind == "raise" and shape == (str, str))
            or (kind == "call" and shape == (str, list, dict) and all(type(name) is str for name in rest[2]))
        ):
            return message
    raise wire.WireError("a message of no known form")


def _outcome(kind: str, rest: list[Any]) -> Outcome:
    if kind == "value":
        return Outcome(rest[0])
    if kind == "output":
        return Outcome(failure="output", detail="a reply larger than allowed")
    if kind == "exit":
        return Outcome() if rest[0] == 0 else Outcome(failure="died", detail=f"exit code {rest[0]}")
    name, text = rest[0][:100], rest[1][:500]
    failure: Failure = "memory" if name == "MemoryError" else "exception"
    return Outcome(failure=failure, detail=f"{name}: {text}" if text else name, exception=name)


def _answer(outcome: Outcome) -> bytes:
    """What a proxy inside gets: the value, or an exception to raise."""
    if outcome.failure is None:
        return wire.frame(["value", outcome.value])
    text = outcome.detail.removeprefix(f"{outcome.exception}: ")
    return wire.frame(["raise", outcome.exception or outcome.failure, text])
