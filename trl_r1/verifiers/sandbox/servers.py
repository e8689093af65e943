"""Fork servers, started when first asked for, replaced when gone, ended with the process that owns them."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import asdict, dataclass
from typing import Any

from trl_r1.verifiers.sandbox import isolation as isolations
from trl_r1.verifiers.sandbox.outcome import Isolation, Limits, SandboxError


logger = logging.getLogger(__name__)

START_SECONDS = 60.0  # an interpreter on a slow network disk
_ANSWER_SECONDS = 30.0  # to fork or to end a child, on a machine that swaps


class ServerGoneError(OSError):
    """A fork server ended, or does not answer."""


@dataclass(slots=True)
class Child:
    """A forked process, as its server knows it."""

    server: Server
    pid: int


class Server:
    """
    One fork server.

    Args:
        isolation (`str`):
            A resolved mode.

    Raises:
        [`SandboxError`]: it does not start.
    """

    def __init__(self, isolation: Isolation) -> None:
        self.children = 0
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        told = isolations.instructions(isolation)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        said = os.memfd_create("stderr")
        try:
            with theirs:
                self._process = subprocess.Popen(
                    isolations.command(isolation, theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={} if isolation == "bubblewrap" else isolations.environment(),  # bwrap's could be read inside
                    cwd="/",
                    start_new_session=True,
                )
            self._await_start(told)
        except (OSError, SandboxError) as error:
            text = os.pread(said, 2000, 0).decode(errors="replace").strip()
            self.stop()
            raise SandboxError(f"{isolation} does not start: {text.splitlines()[-1] if text else error}") from error
        finally:
            os.close(said)

    def _await_start(self, instructions: dict[str, Any]) -> None:
        self._control.settimeout(START_SECONDS)
        self._control.send(json.dumps(instructions).encode())
        if not self._control.recv(4096):
            raise ServerGoneError("it ended at once")
        self._control.settimeout(_ANSWER_SECONDS)

    def fork(self, limits: Limits, descriptors: list[int]) -> Child:
        """
        Start a child that holds `descriptors` and nothing else.

        Raises:
            [`ServerGoneError`]: the server is no more, or cannot fork.
        """
        reply = self._ask({"operation": "fork", "limits": asdict(limits)}, descriptors)
        if "pid" not in reply:
            raise ServerGoneError(f"cannot fork: {reply.get('error')}")
        self.children += 1
        return Child(self, int(reply["pid"]))

    def end(self, child: Child, patience: float = 0.0) -> dict[str, Any]:
        """
        Kill a child unless it has ended.

        Args:
            child ([`Child`]):
                One of this server's.
            patience (`float`):
                Seconds it may take to end by itself: its files close a little before it has an exit code.

        Returns:
            `dict[str, Any]`: `code` (exit code, or minus the signal), `killed` (it was running), `cpu` (seconds).

        Raises:
            [`ServerGoneError`]: the server is no more, and its children neither.
        """
        self.children -= 1
        stop = time.monotonic() + patience
        while True:
            kill = time.monotonic() >= stop
            reply = self._ask({"operation": "end", "pid": child.pid, "kill": kill}, [])
            if "running" not in reply:
                return reply
            time.sleep(0.001)

    def _ask(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        with self._lock:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
                answer = self._control.recv(4096)
                if not answer:
                    raise ConnectionError("the fork server ended")
            except BaseException as error:
                self._control.close()  # an answer that comes later must not be taken for the next one's
                if isinstance(error, OSError):
                    raise ServerGoneError(str(error)) from error
                raise
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def stop(self) -> None:
        """End the server and its children."""
        self._control.close()  # it kills its children and ends
        if self._process is None:
            return
        if self._owner != os.getpid():
            self._process.returncode = 0  # not this process's child
            return
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Servers:
    """
    Up to `size` fork servers of one mode; sessions go to the one with the fewest.

    Args:
        isolation (`str`):
            A mode, resolved with the first session.
        size (`int`):
            Most servers.
    """

    def __init__(self, isolation: Isolation, size: int) -> None:
        self.isolation: Isolation = isolation
        self.size = size
        self._lock = threading.Lock()
        self._running: list[Server] = []
        _ALL.add(self)

    def fork(self, limits: Limits, descriptors: list[int]) -> Child:
        """
        A child on the least busy server, which is started or replaced when need be.

        Raises:
            [`ServerGoneError`]: a server and its replacement both failed.
            [`SandboxError`]: none starts.
        """
        for last in (False, True):
            server = self._pick()
            try:
                return server.fork(limits, descriptors)
            except ServerGoneError as error:
                logger.warning("a sandbox server is replaced: %s", error)
                self.discard(server)
                if last:
                    raise
        raise AssertionError("unreachable")

    def _pick(self) -> Server:
        with self._lock:
            idle = min(self._running, key=lambda server: server.children, default=None)
            if idle is None or (idle.children and len(self._running) < self.size):
                idle = self._start()
                self._running.append(idle)
            return idle

    def _start(self) -> Server:
        """A server of the mode asked for, or of the first that works."""
        if not sys.platform.startswith("linux"):
            raise SandboxError(f"the sandbox needs Linux, and this is {sys.platform}")
        modes: tuple[Isolation, ...] = ("bubblewrap", "landlock") if self.isolation == "auto" else (self.isolation,)
        reasons = []
        for mode in modes:
            try:
                server = Server(mode)
            except SandboxError as error:
                reasons.append(str(error))
                continue
            self.isolation = mode
            return server
        unsafe = "or pass isolation='unsafe_local' to run code with all your rights"
        raise SandboxError(
            f"code cannot be isolated here: {'; '.join(reasons)}. To mend it, {isolations.INSTALL}, {unsafe}"
        )

    def discard(self, server: Server) -> None:
        """Forget a server that is gone."""
        with self._lock:
            if server in self._running:
                self._running.remove(server)
        server.stop()

    def close(self) -> None:
        """End all servers. The next session starts them again."""
        with self._lock:
            running, self._running = self._running, []
        for server in running:
            server.stop()

    def forget(self) -> None:
        """In a forked child: the servers are the parent's, leave them alone and start none until asked."""
        self._lock = threading.Lock()
        running, self._running = self._running, []
        for server in running:
            server.stop()


_ALL: weakref.WeakSet[Servers] = weakref.WeakSet()


def _forget_all() -> None:
    for servers in list(_ALL):
        servers.forget()


def _close_all() -> None:
    for servers in list(_ALL):
        servers.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
