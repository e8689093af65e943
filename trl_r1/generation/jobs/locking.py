"""One process a share of a job: a second launch in the same folder is refused, one that was killed blocks nobody."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import IO, Any, Final

from trl_r1.errors import R1Error


PATIENCE: Final = 3.0  # seconds; a process that was killed outright takes a moment to be gone
POLL_SECONDS: Final = 0.1
LAUNCHER_VARIABLE: Final = "TORCHELASTIC_RUN_ID"  # set by torchrun, which accelerate uses too

# By process and file: the lock belongs to the process, and closing any other handle of the file would give it up.
_HELD: dict[tuple[int, Path], IO[str]] = {}

logger = logging.getLogger(__name__)


def hold_share(folder: Path, rank: int) -> None:
    """
    Take this process's share of the work in a folder, until it ends. Taking it twice changes nothing.

    The lock is the operating system's, so that no crash leaves a stale one. When a launcher was killed outright while
    a process it had started lives on, this waits for that one, which stops after its batch.

    Args:
        folder (`Path`):
            The job's, made if needed.
        rank (`int`):
            The share.

    Raises:
        [`R1Error`]: when another launch holds it.
    """
    key = (os.getpid(), (folder / f".lock-{rank}").resolve())
    if key in _HELD and _same_file(_HELD[key], key[1]):
        return
    stream = _lock(key[1], folder)
    while not _same_file(stream, key[1]):  # whoever held it finished the job and deleted the folder meanwhile
        stream.close()
        stream = _lock(key[1], folder)
    stream.seek(0)
    stream.truncate()
    launcher = os.getppid() if LAUNCHER_VARIABLE in os.environ else None
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "launcher": launcher}, stream)
    stream.flush()
    _HELD[key] = stream


def release_shares(folder: Path) -> None:
    """Give up what this process holds of a folder, and of those within."""
    for key in [key for key in _HELD if key[0] == os.getpid() and folder.resolve() in key[1].parents]:
        _HELD.pop(key).close()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs; one that has ended and was not asked for its exit code does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return True


def _lock(path: Path, folder: Path) -> IO[str]:
    """A lock's file, opened and held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a+", encoding="utf-8")
    try:
        _acquire(stream, folder)
    except BaseException:
        stream.close()
        raise
    return stream


def _same_file(stream: IO[str], path: Path) -> bool:
    """Whether a file that was opened is still that of its name: its folder may have been deleted and made again."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except OSError:
        return False


def _acquire(stream: IO[str], folder: Path) -> None:
    """Take the lock, waiting for holders that are about to end."""
    deadline, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = _read_holder(stream)
            if not _is_left_behind(holder):
                if time.monotonic() > deadline:
                    raise R1Error(
                        f"{folder}: another launch (process {holder.get('pid', 'unknown')} on "
                        f"{holder.get('host', 'an unknown machine')}) works there; wait for it or end it, or choose "
                        "another output_dir"
                    ) from None
            elif not told:
                logger.warning("%s: waiting for process %s, whose launcher is gone, to end", folder, holder.get("pid"))
                told = True
            time.sleep(POLL_SECONDS)
        else:
            return


def _read_holder(stream: IO[str]) -> dict[str, Any]:
    stream.seek(0)
    try:
        content = json.load(stream)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_left_behind(holder: dict[str, Any]) -> bool:
    """Whether a lock's holder will end by itself: its launcher is gone, or it is itself about to go."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return False
    launcher = holder.get("launcher")
    return not is_alive(holder["pid"]) or (isinstance(launcher, int) and not is_alive(launcher))
