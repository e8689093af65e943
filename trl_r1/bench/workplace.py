"""Where the bench lets a reward work: a process that can be killed, or a thread that can be left behind.

A reward that never returns is what the bench is there to find, so it must not hang with it. A thread is not enough: a
power of big integers holds the interpreter's lock, and then nothing else runs in the process either.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal, Protocol


Isolation = Literal["process", "thread"]
START_SECONDS = 180.0  # for what comes before the first task: libraries are imported, workers and sandboxes start
Task = Callable[[], Any]
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Overran:
    """What stands in for the result of a task that did not end in time."""


class _Ended:
    """What stands in for the result of a task that ended its process."""

    def __init__(self, code: int | None) -> None:
        self.code = code


OVERRAN = _Overran()


class _Workplace(Protocol):
    def result(self, seconds: float) -> Any:
        """The next task's result, or what stands in for it."""

    def leave(self) -> None:
        """End what is left."""


def default_isolation() -> Isolation:
    """A process where the platform can fork one (a reward need not pickle then), else a thread."""
    return "process" if "fork" in multiprocessing.get_all_start_methods() else "thread"


def work_off(
    tasks: Sequence[Task], warm_up: Task, seconds: float, isolation: Isolation, most_losses: int
) -> Iterator[tuple[Any, str]]:
    """
    Run tasks one after the other, each within a time limit.

    Args:
        tasks (`Sequence[Callable]`):
            Functions without arguments that do not raise. Results of a process must pickle.
        warm_up (`Callable`):
            Run before the tasks, and again after each start; it has [`START_SECONDS`] more.
        seconds (`float`):
            Limit of each task.
        isolation (`str`):
            `"process"` or `"thread"`.
        most_losses (`int`):
            Tasks that may overrun or end their process; then the rest is given up.

    Yields:
        `tuple[Any, str]`: result and `""`, or `None` and why there is none; one a task, in order.
    """
    done = losses = 0
    while done < len(tasks) and losses < most_losses:
        todo = [warm_up, *tasks[done:]]
        place: _Workplace = _Process(todo) if isolation == "process" else _Thread(todo)
        try:
            warmed = place.result(seconds + START_SECONDS)
            if isinstance(warmed, _Overran | _Ended):
                break
            while done < len(tasks):
                result = place.result(seconds)
                done += 1
                if isinstance(result, _Overran | _Ended):
                    losses += 1
                    yield None, _explain(result, seconds)
                    break
                yield result, ""
        finally:
            place.leave()
    for _ in tasks[done:]:
        lost = (
            f"{losses} cases before it overran or ended the process" if losses else "nor did a plain completion return"
        )
        yield None, f"not run: {lost}"


def _explain(result: _Overran | _Ended, seconds: float) -> str:
    if isinstance(result, _Overran):
        return f"it did not return within {seconds:g} s"
    return f"it ended the process (exit code {result.code})"


class _Process:
    """A forked process that works off tasks; killed with all it started."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(tasks, theirs), daemon=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: it only calls the reward
            self._process.start()
        theirs.close()

    def result(self, seconds: float) -> Any:
        try:
            if not self._connection.poll(seconds):
                return OVERRAN
            return self._connection.recv()
        except (EOFError, OSError):  # the latter inside a message
            self._process.join(10)
            return _Ended(self._process.exitcode)

    def leave(self) -> None:
        self._connection.close()
        if self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)  # its own group: see `_work`
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        self._process.join()


def _work(tasks: Sequence[Task], connection: Connection) -> None:
    os.setpgid(0, 0)
    if sys.platform == "linux":  # not to live on, perhaps in an endless loop, when the bench itself is killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for task in tasks:
        connection.send(task())


class _Thread:
    """A thread that works off tasks. One that never ends is left behind; it dies with the process."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(tasks,), daemon=True)
        self._thread.start()

    def _work(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if self._left.is_set():
                return
            self._results.put(task())

    def result(self, seconds: float) -> Any:
        try:
            return self._results.get(timeout=seconds)
        except queue.Empty:
            return OVERRAN

    def leave(self) -> None:
        self._left.set()
