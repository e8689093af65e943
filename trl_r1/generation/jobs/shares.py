"""The processes of a job: who they are, what each says of itself, and whether one is gone.

They share a folder and nothing else. No process group is formed, so none can time out while a batch takes long, and a
job may go on with another number of processes than it began with.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import R1Error
from trl_r1.generation.jobs.locking import LAUNCHER_VARIABLE, is_alive


FOLDER: Final = "processes"
BEAT_SECONDS: Final = 2.0  # how often a process shows that it lives
SILENT_SECONDS: Final = 120.0  # after which a process elsewhere counts as gone
LEAVING_SECONDS: Final = 60.0  # that the first process waits for others to end before it deletes what they share
ABSENT_SECONDS: Final = 900.0  # after which one that never came counts as missing


def rank_and_world(environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """
    This process's number and the number of all, as torchrun and accelerate set them.

    Args:
        environment (`Mapping[str, str]`, *optional*):
            By default the process's own.

    Raises:
        [`R1Error`]: when the variables are no numbers, or contradict each other.
    """
    values = os.environ if environment is None else environment
    rank, world = values.get("RANK", "0"), values.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise R1Error(
            f"RANK, WORLD_SIZE: {rank!r} and {world!r} are no process and number of processes; "
            "set both, from 0 to WORLD_SIZE - 1, or neither"
        )
    return int(rank), int(world)


@dataclass(slots=True)
class ShareStatus:
    """
    What a process says of its share.

    Args:
        rank, pid (`int`), host (`str`):
            Who it is.
        launch (`str`, *optional*):
            Which launch it belongs to, where that is known.
        made (`dict[str, list[int]]`):
            By step, samples and tokens it has made in this launch: another process may be a step behind.
        failed (`dict[str, dict[str, Any]]`):
            By step, what it could not make: `{"count", "total", "reasons"}`.
        ended (`bool`):
            Whether it has ended, well or not.
        begun (`str`), seconds, cpu_seconds (`float`):
            When it first began (ISO 8601, UTC) and what it has taken, launches that were killed included.
    """

    rank: int
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    launch: str | None = field(default_factory=lambda: launch_of(os.environ))
    made: dict[str, list[int]] = field(default_factory=dict)
    failed: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: bool = False
    begun: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def launch_of(environment: Mapping[str, str]) -> str | None:
    """A name of the launch, the same in all its processes: they have one parent, when they are on one machine."""
    alone = environment.get("LOCAL_WORLD_SIZE") == environment.get("WORLD_SIZE")
    return f"{socket.gethostname()}:{os.getppid()}" if LAUNCHER_VARIABLE in environment and alone else None


class Share:
    """
    This process's part in a job's folder: shows that it lives, and sees whether the others do.

    Args:
        folder (`Path`):
            The job's.
        rank, world_size (`int`):
            This process, and the number of all.
    """

    def __init__(self, folder: Path, rank: int, world_size: int) -> None:
        self.folder, self.rank, self.world_size = folder / FOLDER, rank, world_size
        self.status = ShareStatus(rank=rank)
        self.earlier = _read_status(self._path(rank))  # of the launch before, which was killed or failed
        if self.earlier is not None:
            self.status.begun = self.earlier.begun
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self._launcher = os.getppid() if LAUNCHER_VARIABLE in os.environ else None
        self._stop = threading.Event()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._born = self._tell()
        threading.Thread(target=self._beat, name="trl_r1 heartbeat", daemon=True).start()
        atexit.register(self.end)

    @property
    def ended(self) -> bool:
        """Whether this process has ended its part."""
        return self._stop.is_set()

    def tell(self) -> None:
        """Write down what this process has done."""
        if not self._stop.is_set():
            with contextlib.suppress(FileNotFoundError):  # the first process has finished the job with what is there
                self._tell()

    def end(self) -> None:
        """Say that this process has ended."""
        if not self._stop.is_set():
            self._stop.set()
            self.status.ended = True
            with contextlib.suppress(OSError):  # the folder of a finished job is gone
                self._tell()

    def wait_for_others(self, limit: float = LEAVING_SECONDS) -> None:
        """Wait until the other processes have ended, or are gone; at most `limit` seconds."""
        started = time.monotonic()
        for rank in (rank for rank in range(self.world_size) if rank != self.rank):
            while (waited := time.monotonic() - started) < limit and self.why_gone(rank, waited) is None:
                time.sleep(wait_interval(waited))

    def check_launcher(self) -> None:
        """
        Stop when nobody is left to hear of the result.

        Raises:
            [`R1Error`]: when the launcher that started this process was killed.
        """
        if self._launcher is not None and os.getppid() != self._launcher:
            raise R1Error(f"process {self.rank}: its launcher is gone; the same command goes on from what is saved")

    def statuses(self) -> list[ShareStatus]:
        """What each process that was heard of in this launch says, this one included."""
        return [status for rank in range(self.world_size) if (status := self.status_of(rank)) is not None]

    def status_of(self, rank: int) -> ShareStatus | None:
        """What a process says, or `None` where it has said nothing since this one began."""
        path = self._path(rank)
        try:
            said = path.stat().st_mtime
        except OSError:
            return None
        status = _read_status(path)
        if status is None:
            return None
        if self.status.launch is not None:
            return status if status.launch == self.status.launch else None
        return status if said >= self._born else None  # one of a launch before this is silent

    def why_gone(self, rank: int, waited: float) -> str | None:
        """
        Why nothing more is to be expected of a process, or `None`.

        Args:
            rank (`int`):
                The process.
            waited (`float`):
                Seconds this one has waited for it.
        """
        status = self.status_of(rank)
        if status is None:
            return "never came" if waited > ABSENT_SECONDS else None
        silent = self._silence(rank)
        if status.ended:
            return "has ended"
        if status.host == self.status.host and not is_alive(status.pid) and silent > 2 * BEAT_SECONDS:
            return "was killed"
        return f"was last heard of {silent:.0f} s ago" if silent > SILENT_SECONDS else None

    def _silence(self, rank: int) -> float:
        """Seconds since a process showed that it lives, by the clock of the file system that both write to."""
        try:
            return max(0.0, self._path(self.rank).stat().st_mtime - self._path(rank).stat().st_mtime)
        except OSError:
            return 0.0

    def _path(self, rank: int) -> Path:
        return self.folder / f"{rank}.json"

    def _tell(self) -> float:
        """Write the status in one go. Returns when, by the file system's clock. Not to disk: it is of no use later."""
        path, earlier = self._path(self.rank), self.earlier or ShareStatus(rank=self.rank)
        self.status.seconds = round(earlier.seconds + time.perf_counter() - self._wall, 2)
        self.status.cpu_seconds = round(earlier.cpu_seconds + time.process_time() - self._cpu, 2)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
        partial.write_text(json.dumps(dataclasses.asdict(self.status)), encoding="utf-8")
        partial.replace(path)
        return path.stat().st_mtime

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                self._tell()
            except OSError:  # the folder of a finished job is gone
                return


def _read_status(path: Path) -> ShareStatus | None:
    try:
        return ShareStatus(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


_SHARES: dict[tuple[int, Path], Share] = {}  # of this process


def share_of(folder: Path, rank: int, world_size: int) -> Share:
    """This process's share of a folder; the same one for all steps."""
    key = (os.getpid(), folder.resolve())
    found = _SHARES.get(key)
    if (
        found is None
        or (found.rank, found.world_size) != (rank, world_size)
        or not found.folder.is_dir()
        or found.ended
    ):
        if found is not None:
            found.end()
        found = _SHARES[key] = Share(folder, rank, world_size)
    return found


def end_share(folder: Path) -> None:
    """Say that this process has ended, should it have begun."""
    share = _SHARES.get((os.getpid(), folder.resolve()))
    if share is not None:
        share.end()


def earlier_launches(folder: Path) -> ShareStatus | None:
    """What launches of a job before this one had taken, of this process; `None` for the first launch."""
    share = _SHARES.get((os.getpid(), folder.resolve()))
    return share.earlier if share else None


def wait_interval(waited: float) -> float:
    """Seconds until looking again: often at first, seldom in a long wait."""
    return min(2.0, 0.05 + waited / 50)
