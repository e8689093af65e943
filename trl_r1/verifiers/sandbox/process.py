"""The near end of one isolated process: frames in lockstep, and what became of the process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import Any

from trl_r1.verifiers.sandbox.inside import wire
from trl_r1.verifiers.sandbox.outcome import Failure, Limits, Outcome
from trl_r1.verifiers.sandbox.servers import Child, ServerGoneError, Servers


_READY = wire.frame(["ready"])
_READY_SECONDS = 30.0  # for a process to shut its doors, on a machine that swaps
_EXIT_SECONDS = 0.2  # between closing the session and being gone


class BrokenError(Exception):
    """The process is of no more use. Carries what the caller is told."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.outcome = Outcome(failure=failure, detail=detail)


class Process:
    """
    A forked child and the way to speak to it.

    Args:
        servers ([`Servers`]):
            Who forks it.
        limits ([`Limits`]):
            What it may use.
        stdin (`bytes`):
            What its program will find on standard input.

    Raises:
        [`ServerGoneError`]: no server could fork.
        [`SandboxError`]: none starts.
    """

    def __init__(self, servers: Servers, limits: Limits, stdin: bytes = b"") -> None:
        self.exit_code: int | None = None
        self._servers = servers
        self._limits = limits
        self._ready = False
        with contextlib.ExitStack() as undo:
            self._socket, theirs = socket.socketpair()
            undo.callback(self._socket.close)
            self._stdin, self._stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
            undo.callback(self._close_files)
            self.write_stdin(stdin)
            with theirs:
                descriptors = [theirs.fileno(), self._stdin, self._stdout]
                self._child: Child | None = servers.fork(limits, descriptors)
            undo.pop_all()

    def write_stdin(self, data: bytes) -> None:
        """Lay out what its program will find on standard input."""
        os.pwrite(self._stdin, data, 0)

    def read_stdout(self) -> bytes:
        """What its program has written, up to one byte more than allowed."""
        return os.pread(self._stdout, self._limits.output_bytes + 1, 0)

    def ask(self, data: bytes, seconds: float) -> list[Any]:
        """
        Send one frame and take one back.

        Args:
            data (`bytes`):
                A frame.
            seconds (`float`):
                How long both may take. Shutting the doors, before the first, does not count.

        Returns:
            `list`: a message of one of the known forms.

        Raises:
            [`BrokenError`]: the process ended, overran, or said what it should not.
            [`ServerGoneError`]: not the process's doing.
        """
        if not self._ready:
            self._expect_ready()
        self.expect_silence()
        deadline = time.monotonic() + seconds
        self._send(data, deadline)
        return self._receive(deadline)

    def expect_silence(self) -> None:
        """
        Make sure that nothing waits to be read, so that no answer can be laid ready before its question.

        Raises:
            [`BrokenError`]: something does.
        """
        self._socket.settimeout(0)
        try:
            spoke = bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            spoke = False
        if spoke:  # an empty answer means that it ended, which the next request will tell
            raise BrokenError("protocol", "it spoke without being asked")

    def end(self) -> None:
        """Kill the process, unless it has ended. What it wrote can still be read."""
        self._socket.close()
        child, self._child = self._child, None
        if child is not None:
            try:
                child.server.end(child)
            except ServerGoneError:
                self._servers.discard(child.server)

    def close(self) -> None:
        """End it, and let go of its files."""
        self.end()
        self._close_files()

    def _expect_ready(self) -> None:
        """Before any code runs, the process says that all doors are shut; else the fault is ours."""
        try:
            self._ready = self._read(len(_READY), time.monotonic() + _READY_SECONDS) == _READY
        except BrokenError as broken:
            raise ServerGoneError(f"no process to run in: {broken}") from None
        if not self._ready:
            raise ServerGoneError("its process is out of order")

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        try:
            while view:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                view = view[self._socket.send(view) :]
        except TimeoutError:
            raise self._overrun() from None
        except OSError:
            raise self._autopsy() from None

    def _receive(self, deadline: float) -> list[Any]:
        (size,) = wire.HEADER.unpack(self._read(wire.HEADER.size, deadline))
        if size > self._limits.output_bytes:
            raise BrokenError("output", f"a reply of more than {self._limits.output_bytes} bytes")
        try:
            return _checked(wire.decode(self._read(size, deadline)))
        except wire.WireError as error:
            raise BrokenError("protocol", str(error)) from None

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._overrun()
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(min(size - len(data), 1 << 20))
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            if not piece:
                raise self._autopsy()
            data += piece
        return bytes(data)

    def _overrun(self) -> BrokenError:
        return BrokenError("timeout", f"no answer within {self._limits.wall_seconds:g} s")

    def _autopsy(self) -> BrokenError:
        """What ended the process, or closed its side of the session."""
        child, self._child = self._child, None
        assert child is not None
        try:
            end = child.server.end(child, _EXIT_SECONDS)
        except ServerGoneError:
            self._servers.discard(child.server)
            raise
        code = int(end["code"])
        if end["killed"]:
            return BrokenError("died", "it closed the session")
        if code >= 0:
            self.exit_code = code
            return BrokenError("died", f"exit code {code}")
        used_up = end["cpu"] >= self._limits.cpu_seconds
        if -code == signal.SIGXCPU or (-code == signal.SIGKILL and used_up):
            return BrokenError("timeout", f"{self._limits.cpu_seconds:g} s of processor time used up")
        if -code == signal.SIGKILL:
            return BrokenError("memory", "killed by the system, which ran out of memory")
        return BrokenError("died", f"killed by {signal.Signals(-code).name}")

    def _close_files(self) -> None:
        for descriptor in (self._stdin, self._stdout):
            if descriptor >= 0:
                os.close(descriptor)
        self._stdin = self._stdout = -1


def _checked(message: Any) -> list[Any]:
    """One of the messages a process may send, or a protocol error."""
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
