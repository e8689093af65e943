"""Work that may never end, or eat all memory, done in processes that can be killed.

Nothing here uses signals or timers of the calling process, so a pool works in any thread and any rank. Processes start
with the first request, are replaced when killed, and end with the process that owns them, however that ends.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from trl_r1.redaction import without_secrets


logger = logging.getLogger(__name__)

START_SECONDS = 120.0  # an import from a slow network disk
FIRST_TRY = 0.1  # share of the processor time a request may use before the others had their turn
LEAST_TRY = 0.1  # seconds of it; a fresh worker needs half of that for its first answer
LEAST_SHARE = 0.25  # of it that a request must have had, for its overrun to be its own doing
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


class _NurseryError(OSError):
    """The process that forks workers did not start, or went away."""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What became of one request.

    Args:
        content (`dict[str, Any]` or `None`):
            The worker's answer; `None` when it gave none.
        failure (`str` or `None`):
            Why there is no answer: `"overrun"` (the request used up its processor time or crashed the worker twice:
            the request's doing), or `"starved"`, `"deadline"`, `"killed"`, `"unavailable"` (not its doing).
        progress (`str` or `None`):
            Last stage the worker reported before it ended.
        seconds (`float`):
            Wall time of the request, over all its tries.
    """

    content: dict[str, Any] | None
    failure: Literal["overrun", "starved", "deadline", "killed", "unavailable"] | None = None
    progress: str | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Task:
    index: int
    request: dict[str, Any]
    cpu_seconds: float
    attempts: int = 0  # in which no budget ran out
    tried: bool = False  # ... and a first try did run out of its budget
    started: float = 0.0
    expires: float = 0.0
    seconds: float = 0.0
    progress: str | None = None


@dataclass(eq=False, slots=True)
class _Worker:
    pid: int
    connection: Connection


class WorkerPool:
    """
    Killable workers that answer JSON requests.

    Args:
        script (`Path`):
            Program of the nursery process, which forks workers on request (see `math_worker.py`).
        size (`int`, *optional*):
            Most workers at a time. Defaults to the cores this process may expect: cores of the machine over processes
            on it (`LOCAL_WORLD_SIZE`), at least 1 and at most 4.
    """

    def __init__(self, script: Path, size: int | None = None) -> None:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.size = size or max(1, min(4, (os.cpu_count() or 1) // processes))
        self.killed = 0  # workers that had to be killed, or died
        self.path_first: list[str] = []  # where workers look for packages before this process's own path
        self._script = script
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._stop_nursery)  # without the lock: a daemon thread may hold it

    def run(
        self, requests: Sequence[dict[str, Any]], *, cpu_seconds: float, deadline: float | None = None
    ) -> list[Reply]:
        """
        Answer requests, in their order. Other threads that call it meanwhile wait for their turn.

        Every request gets a tenth of its processor time first (0.1 s at least), and the whole of it when all had their
        turn. So endless requests, however many, keep nobody waiting, and cost `1.1 * cpu_seconds` each at most. When
        time gets short the second try is shorter too, by the same share for all.

        Args:
            requests (`Sequence[dict[str, Any]]`):
                JSON objects.
            cpu_seconds (`float`):
                Processor time each may use. A worker that cannot spend it within ten times as much wall time is
                killed as `"starved"`.
            deadline (`float`, *optional*):
                Seconds after which the rest is given up, the wait for one's turn included.

        Returns:
            `list[Reply]`: One a request.
        """
        stop = time.monotonic() + (deadline if deadline is not None else float("inf"))
        if not self._lock.acquire(timeout=-1 if deadline is None else max(deadline, 0)):
            return [Reply(None, "deadline") for _ in requests]
        try:
            replies: list[Reply | None] = [None] * len(requests)
            todo = deque(_Task(index, request, _first_try(cpu_seconds)) for index, request in enumerate(requests))
            try:
                self._start_workers(min(len(todo), self.size))
            except _NurseryError as error:
                logger.warning("no verifier process: %s", error)
                return [Reply(None, "unavailable") for _ in requests]
            self._work_off(todo, replies, cpu_seconds, stop)
            return [reply or Reply(None, "unavailable") for reply in replies]
        finally:
            self._lock.release()

    def _work_off(self, todo: deque[_Task], replies: list[Reply | None], cpu_seconds: float, stop: float) -> None:
        busy: dict[_Worker, _Task] = {}
        while (todo or busy) and time.monotonic() < stop:
            while todo and self._idle:
                worker, task = self._idle.pop(), todo.popleft()
                if task.tried:
                    share = 0.8 * (stop - time.monotonic()) * self.size / (len(todo) + len(busy) + 1)
                    task.cpu_seconds = max(_first_try(cpu_seconds), min(cpu_seconds, share))
                task.attempts += 1
                task.progress = None
                task.started = time.monotonic()
                task.expires = task.started + 10 * task.cpu_seconds + 1
                busy[worker] = task
                _send(worker, task.request | {"cpu_seconds": task.cpu_seconds})
            if not busy:
                break  # no worker could be started
            soonest = min(stop, *(task.expires for task in busy.values()))
            ready = wait([worker.connection for worker in busy], max(0.0, min(soonest - time.monotonic(), 3600.0)))
            for worker in [worker for worker in busy if worker.connection in ready]:
                self._read(worker, busy, todo, replies, cpu_seconds)
            now = time.monotonic()
            for worker in [worker for worker, task in busy.items() if task.expires <= now < stop]:
                task = busy.pop(worker)
                self._kill(worker)
                replies[task.index] = _reply(task, None, "starved")
            self._replace(len(busy), len(todo))
        for worker, task in busy.items():
            self._kill(worker)
            replies[task.index] = _reply(task, None, "deadline")
        for task in todo:
            replies[task.index] = Reply(None, "deadline" if time.monotonic() >= stop else "unavailable")

    def _read(
        self,
        worker: _Worker,
        busy: dict[_Worker, _Task],
        todo: deque[_Task],
        replies: list[Reply | None],
        cpu_seconds: float,
    ) -> None:
        """Take one message of a worker, or note that it died."""
        task = busy[worker]
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            del busy[worker]
            self._bury(worker, task, todo, replies, cpu_seconds)
            return
        if "progress" in message:
            task.progress = message["progress"]
            return
        self._idle.append(worker)
        del busy[worker]
        replies[task.index] = _reply(task, message)

    def _bury(
        self,
        worker: _Worker,
        task: _Task,
        todo: deque[_Task],
        replies: list[Reply | None],
        cpu_seconds: float,
    ) -> None:
        """A worker died: try its request again where that may help."""
        ended_by = self._kill(worker)
        if ended_by == signal.SIGPROF:
            if not task.tried and task.cpu_seconds < cpu_seconds:
                task.tried = True
                task.attempts -= 1
                task.seconds += time.monotonic() - task.started
                todo.append(task)
                return
            whole = task.cpu_seconds >= LEAST_SHARE * cpu_seconds
            replies[task.index] = _reply(task, None, "overrun" if whole else "deadline")
        elif task.attempts == 1:
            todo.appendleft(task)  # someone else may have killed it
        else:
            replies[task.index] = _reply(task, None, "overrun" if ended_by in _CRASHES else "killed")

    def _replace(self, busy: int, waiting: int) -> None:
        try:
            self._start_workers(min(self.size, busy + waiting) - busy)
        except _NurseryError as error:
            logger.warning("could not replace a verifier process: %s", error)

    def _start_workers(self, wanted: int) -> None:
        """Have at least `wanted` idle workers."""
        while len(self._idle) < wanted:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                try:
                    reply = self._ask({"operation": "fork"}, theirs.fileno())
                except _NurseryError:
                    self._stop_nursery()  # it died since the last request: its workers did too, start afresh
                    reply = self._ask({"operation": "fork"}, theirs.fileno())
                self._idle.append(_Worker(int(reply["pid"]), Connection(ours.detach())))

    def _ask(self, request: dict[str, Any], *descriptors: int) -> dict[str, Any]:
        """One question to the nursery, which is started if need be."""
        try:
            if self._control is None:
                self._start_nursery()
            assert self._control is not None
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
            return _receive_line(self._control)
        except OSError as error:
            raise _NurseryError(f"{self._script.name}: {error}") from error

    def _start_nursery(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the script's own folder holds a `math.py`, which must not hide the standard library's.
            path = json.dumps([*self.path_first, *sys.path])
            command = [sys.executable, "-P", str(self._script), str(theirs.fileno()), path]
            self._nursery = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=without_secrets(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        ours.settimeout(START_SECONDS)
        self._control = ours
        _receive_line(ours)

    def _kill(self, worker: _Worker) -> int:
        """End a worker. Returns the signal it died of, 0 when unknown."""
        self.killed += 1
        worker.connection.close()
        try:
            # Its parent does it: for nobody else is the process number sure to be still this worker's.
            return int(self._ask({"operation": "end", "pid": worker.pid})["signal"])
        except _NurseryError:
            self._stop_nursery()
            return 0

    def _stop_nursery(self) -> None:
        for worker in self._idle:
            worker.connection.close()
        self._idle.clear()
        if self._control is not None:
            self._control.close()  # it kills its workers and ends
            self._control = None
        if self._nursery is not None:
            try:
                self._nursery.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._nursery.kill()
                self._nursery.wait()
            self._nursery = None

    def close(self) -> None:
        """End all processes. The next request starts them again."""
        with self._lock:
            self._stop_nursery()

    def _forget(self) -> None:
        """In a forked child: the processes are the parent's, leave them alone and start none until asked."""
        self._lock = threading.Lock()
        for worker in self._idle:
            worker.connection.close()
        self._idle = []
        if self._control is not None:
            self._control.close()
        self._control = None
        if self._nursery is not None:
            self._nursery.returncode = 0  # not this process's child
        self._nursery = None


def _first_try(cpu_seconds: float) -> float:
    return min(cpu_seconds, max(FIRST_TRY * cpu_seconds, LEAST_TRY))


def _reply(
    task: _Task,
    content: dict[str, Any] | None,
    failure: Literal["overrun", "starved", "deadline", "killed"] | None = None,
) -> Reply:
    return Reply(content, failure, task.progress, task.seconds + time.monotonic() - task.started)


def _send(worker: _Worker, request: dict[str, Any]) -> None:
    try:
        worker.connection.send_bytes(json.dumps(request).encode())
    except OSError:
        logger.debug("worker %d is gone; reading from it will tell", worker.pid)


def _receive_line(control: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        received = control.recv(4096)
        if not received:
            raise ConnectionError("the process ended; is math-verify installed?")
        data += received
    found: dict[str, Any] = json.loads(data)
    return found
