"""One run at a time in an output folder, also when an earlier run was killed outright."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from trl_r1.errors import PipelineError


LOCK_NAME = ".run.lock"
POLL_SECONDS = 0.2

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[int]:
    """
    Hold a folder's lock.

    The lock is the operating system's, on an open file that the stages inherit. It goes when its last holder ends, so
    no crash leaves a stale one; and when a runner was killed outright while a stage lived on, the next run waits for
    that stage instead of starting a second one in the same folder.

    Yields:
        `int`: file descriptor for the stages to inherit.

    Raises:
        [`PipelineError`]: when another run holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("a+", encoding="utf-8") as stream:
        _acquire(stream, folder)
        stream.seek(0)
        stream.truncate()
        json.dump({"pid": os.getpid()}, stream)
        stream.flush()
        try:
            yield stream.fileno()
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)


def _acquire(stream: IO[str], folder: Path) -> None:
    """Take the lock, waiting only for stages whose runner is gone."""
    told = False
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _read_pid(stream)
            if pid is None or _is_alive(pid):
                raise PipelineError(
                    f"{folder}: another run (process {pid}) is at work there; wait for it or choose another output_dir"
                ) from None
            if not told:
                logger.warning("%s: waiting for a stage that a killed run left behind to end", folder)
                told = True
            time.sleep(POLL_SECONDS)
        else:
            return


def _read_pid(stream: IO[str]) -> int | None:
    stream.seek(0)
    try:
        return int(json.load(stream)["pid"])
    except (ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
