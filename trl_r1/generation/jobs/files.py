"""Files of a job that are there whole or not at all, and say which job they belong to."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from trl_r1.errors import DataError


IDENTITY: Final = b"trl_r1.job"  # key in a file's metadata: the job, step and batch it is of
SECONDS: Final = b"trl_r1.seconds"  # wall time that its rows took
PARTIAL: Final = ".partial"


class DamagedFileError(DataError):
    """A file of a batch cannot be read back."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """
    A place to write a file at that takes the name `path` when it is complete and on disk.

    A process killed in between leaves a file that ends in `.partial` and that nobody reads. Its name is no other
    process's, on this machine or another.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk: without, a power cut may undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema, identity: str, seconds: float) -> None:
    """Write a batch's rows as parquet, marked with what they belong to and protected by checksums."""
    marks = {IDENTITY: identity.encode(), SECONDS: f"{seconds:.6f}".encode()}
    table = pa.Table.from_pylist(list(rows), schema=schema.with_metadata(marks))
    with whole_file(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def check_file(path: Path, schema: pa.Schema, identity: str) -> None:
    """
    Check by its footer that a file is whole and of this batch.

    Raises:
        [`DamagedFileError`]: when it cannot be read.
        [`DataError`]: when it is of another job, step or batch, or of other columns.
    """
    try:
        found = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"{path}: cannot be read ({_first_line(error)}); delete it to make it again") from error
    if (found.metadata or {}).get(IDENTITY, b"").decode(errors="replace") != identity:
        raise DataError(f"{path}: is of another job or batch than its place says; delete it to make it again")
    if not found.remove_metadata().equals(schema.remove_metadata()):
        raise DataError(f"{path}: has other columns than this version writes; delete it to make it again")


def read_table(path: Path, schema: pa.Schema, identity: str, columns: list[str] | None = None) -> pa.Table:
    """
    The rows of a batch, their checksums verified.

    Raises:
        [`DataError`]: as [`check_file`], and when a page was changed.
    """
    check_file(path, schema, identity)
    try:
        return pq.read_table(
            path, columns=columns, page_checksum_verification=True, use_threads=False, partitioning=None
        )
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"{path}: cannot be read ({_first_line(error)}); delete it to make it again") from error


def seconds_of(table: pa.Table) -> float:
    """Wall time that a batch's rows took."""
    return float((table.schema.metadata or {}).get(SECONDS, b"0"))


def remove_partials(folder: Path, is_own: Callable[[str], bool]) -> None:
    """Delete what killed processes left half written, where `is_own` of a file's name without its ends."""
    for path in folder.glob(f".*{PARTIAL}"):
        if is_own(path.name.removeprefix(".").partition(".")[0]):
            path.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
