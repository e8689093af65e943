"""One step of a job: work on numbered batches, whose rows are kept as each is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trl_r1.errors import GenerationError, R1Error
from trl_r1.generation.jobs.files import (
    DamagedFileError,
    check_file,
    read_table,
    remove_partials,
    seconds_of,
    whole_file,
    write_rows,
)
from trl_r1.generation.jobs.locking import hold_share
from trl_r1.generation.jobs.progress import JobProgress
from trl_r1.generation.jobs.shares import share_of, wait_interval
from trl_r1.stage_record import hash_json


if TYPE_CHECKING:
    from datasets import Dataset

Rows = list[dict[str, Any]]

logger = logging.getLogger(__name__)


class BatchStep:
    """
    A step of a job whose results are kept batch by batch, whatever is killed when.

    Batch `i` is the work of process `i % world_size`. A batch is a file of its own that appears whole, so a step goes
    on where it was, with any number of processes, and its rows are those of one undisturbed run. Processes meet in the
    folder only: the first waits for the files of the others.

    Args:
        folder (`Path`):
            The job's folder, which several steps share.
        name (`str`):
            The step's, for its folder, progress and messages, such as `"samples"`.
        schema ([`~pyarrow.Schema`]):
            Columns of its rows.
        batches (`int`):
            How many there are.
        rank, world_size (`int`, *optional*):
            This process, and the number of all; see [`rank_and_world`].
        identity (*optional*):
            What decides the rows beside the job, as JSON has it: a judge's model, a prompt. The results of another
            identity lie in another folder: neither is taken for the other, and none is lost.

    Example:

    ```python
    step = BatchStep(folder, "lengths", pa.schema([("tokens", pa.int64())]), batches=len(job.plan))
    step.run(lambda index: [{"tokens": len(made.token_ids)} for _, made in job.samples(index)])
    step.wait()
    ```
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        schema: pa.Schema,
        batches: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        identity: Any = None,
    ) -> None:
        self.home, self.name, self.schema, self.batches = Path(folder), name, schema, batches
        self.rank, self.world_size = rank, world_size
        self.folder = self.home / (name if identity is None else f"{name}-{hash_json(identity)[:12]}")
        self._identity = hash_json([self._job(), name, identity, batches])
        self._done: set[int] = set()  # known to be there
        self._dataset: Dataset | None = None

    def run(
        self,
        work: Callable[[int], Rows],
        *,
        size: Callable[[int], int] = lambda index: 1,
        tokens: Callable[[Rows], int] = lambda rows: 0,
        progress: bool = False,
        progress_file: Path | None = None,
    ) -> None:
        """
        Do this process's missing batches.

        Args:
            work (`Callable[[int], list[dict]]`):
                Makes the rows of a batch. When it raises [`GenerationError`], the other batches are done all the same.
            size (`Callable[[int], int]`, *optional*):
                Samples of a batch, for the progress.
            tokens (`Callable`, *optional*):
                Tokens in the rows of a batch, for the progress.
            progress (`bool`, *optional*, defaults to `False`):
                Whether the first process shows how far all are.
            progress_file (`Path`, *optional*):
                Where it keeps that for a pipeline's display.

        Raises:
            [`GenerationError`]: at the end, with all that is missing; what was made stays. The first process waits for
                the others before.
            [`R1Error`]: when another launch works in the folder, or the launcher of this one is gone.
            [`DataError`]: when a file in the folder is of another job.
        """
        hold_share(self.home, self.rank)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_partials(self.folder, self._is_own)
        share = share_of(self.home, self.rank, self.world_size)
        status = share.status
        samples_made = tokens_made = 0
        status.made[self.folder.name] = [0, 0]
        status.failed.pop(self.folder.name, None)
        share.tell()
        failures: list[GenerationError] = []
        with self._progress(size, progress, progress_file) as shown:
            for index in self._missing():
                share.check_launcher()
                started = time.perf_counter()
                try:
                    rows = work(index)
                except GenerationError as error:
                    logger.warning("%s: batch %d: %s", self.name, index, error)
                    failures.append(error)
                    continue
                write_rows(self._path(index), rows, self.schema, self._mark(index), time.perf_counter() - started)
                self._done.add(index)
                samples_made, tokens_made = samples_made + size(index), tokens_made + tokens(rows)
                status.made[self.folder.name] = [samples_made, tokens_made]
                share.tell()
                self._show(shown)
            if failures:
                status.failed[self.folder.name] = _describe(failures, sum(map(size, range(self.batches))))
                share.tell()
                logger.warning("%s: what was made is kept; the same command asks for what is missing", self.name)
            if self.rank == 0 and self.world_size > 1:
                self._wait(shown)
            self._show(shown, last=True)
        if failures:
            raise _join([status.failed[self.folder.name]])

    def wait(self) -> None:
        """
        Wait until every batch of every process is there. Only the first process needs to.

        Raises:
            [`GenerationError`]: when a process could not make all of its own, with what all are missing.
            [`R1Error`]: naming a process that is gone, and what it left undone.
        """
        self._wait(None)

    def read(self, index: int) -> Rows:
        """
        The rows of a batch.

        Raises:
            [`DataError`]: when it is not there, damaged or of another job.
        """
        rows: Rows = self._table(index).to_pylist()
        return rows

    def columns(self, index: int, *names: str) -> pa.Table:
        """Some columns of a batch: no more is read. Raises as [`read`]."""
        return self._table(index, list(names))

    def seconds(self) -> float:
        """Wall time that all batches took, of all processes and launches together."""
        return sum(seconds_of(self._table(index, [self.schema.names[0]])) for index in range(self.batches))

    def dataset(self) -> Dataset:
        """
        All rows, batch after batch, memory mapped: as many as fit on the disk.

        Raises:
            [`DataError`]: as [`read`].
        """
        from datasets import Dataset

        if self._dataset is None:
            path = self.folder / "rows.arrow"
            with whole_file(path) as partial, pa.ipc.new_stream(str(partial), self.schema.remove_metadata()) as writer:
                for index in range(self.batches):
                    writer.write_table(self._table(index).replace_schema_metadata(None))
            self._dataset = Dataset.from_file(str(path))
        return self._dataset

    def _job(self) -> Any:
        path = self.home / "job.json"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:08}.parquet"

    def _is_own(self, stem: str) -> bool:
        """Whether a file's name, without its end, is of a batch of this process, or of all."""
        return int(stem) % self.world_size == self.rank if stem.isdecimal() else self.rank == 0

    def _mark(self, index: int) -> str:
        return f"{self._identity}:{index}"

    def _table(self, index: int, columns: list[str] | None = None) -> pa.Table:
        return read_table(self._path(index), self.schema, self._mark(index), columns)

    def _missing(self) -> Iterator[int]:
        """This process's batches that are not there, or not whole."""
        for index in range(self.rank, self.batches, self.world_size):
            if index in self._done:
                continue
            path = self._path(index)
            if not path.exists():
                yield index
                continue
            try:
                check_file(path, self.schema, self._mark(index))
                self._done.add(index)
            except DamagedFileError as error:
                logger.warning("%s; it is made again", str(error).partition(";")[0])
                path.unlink()
                yield index

    def _wait(self, shown: JobProgress | None) -> None:
        share = share_of(self.home, self.rank, self.world_size)
        failed: dict[int, Mapping[str, Any]] = {}
        for rank in range(self.world_size):
            started = time.monotonic()
            for index in range(rank, self.batches, self.world_size):
                while index not in self._done and not self._path(index).exists():
                    waited = time.monotonic() - started
                    status = share.status_of(rank)
                    if status is not None and self.folder.name in status.failed:
                        failed[rank] = status.failed[self.folder.name]
                        break
                    reason = share.why_gone(rank, waited) if rank != self.rank else "has not run its share"
                    if reason is not None and not self._path(index).exists():
                        raise R1Error(self._describe_gone(rank, reason))
                    share.check_launcher()
                    self._show(shown)
                    time.sleep(wait_interval(waited))
                if rank in failed:
                    break
                self._done.add(index)
        if failed:
            raise _join(list(failed.values()))

    def _describe_gone(self, rank: int, reason: str) -> str:
        own = range(rank, self.batches, self.world_size)
        missing = sum(not self._path(index).exists() for index in own)
        return (
            f"process {rank} {reason}, and {missing} of its {len(own)} batches of {self.name} are missing; "
            "the same command goes on from what is saved"
        )

    @contextmanager
    def _progress(self, size: Callable[[int], int], shown: bool, file: Path | None) -> Iterator[JobProgress | None]:
        if self.rank != 0 or not (shown or file):
            yield None
            return
        made, _ = self._made()  # others may have begun already
        there = {path.stem for path in self.folder.glob("*.parquet")}
        before = max(0, sum(size(index) for index in range(self.batches) if f"{index:08}" in there) - made)
        total = sum(map(size, range(self.batches)))
        with JobProgress(self.name, total, before, file=file, shown=shown) as progress:
            yield progress

    def _show(self, shown: JobProgress | None, *, last: bool = False) -> None:
        if shown is None:
            return
        shown.show(*self._made(), last=last)

    def _made(self) -> tuple[int, int]:
        """Samples and tokens of this step that all processes have made in this launch."""
        statuses = share_of(self.home, self.rank, self.world_size).statuses()
        made = [status.made.get(self.folder.name, [0, 0]) for status in statuses]
        return sum(samples for samples, _ in made), sum(tokens for _, tokens in made)


def _describe(failures: list[GenerationError], total: int) -> dict[str, Any]:
    reasons = [reason for error in failures for reason in error.reasons]
    return {"count": sum(error.count for error in failures), "total": total, "reasons": reasons}


def _join(failed: list[Mapping[str, Any]]) -> GenerationError:
    """One error of those of all processes."""
    reasons = [reason for each in failed for reason in each["reasons"]]
    return GenerationError(sum(each["count"] for each in failed), reasons, failed[0]["total"])
