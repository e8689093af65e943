"""Rows as Parquet files with the types a data set has, written as they come."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.rows import read_jsonl
from trl_r1.errors import DataError


if TYPE_CHECKING:
    from datasets import Features

ROWS_A_FILE: Final = 50_000
ROWS_A_GROUP: Final = 1_000  # in memory at once


def write_parquet(
    folder: str | Path, rows: Iterable[Mapping[str, Any]], features: Features, number: int, split: str = "train"
) -> list[Path]:
    """
    Write a split as `train-00000-of-00001.parquet` and so on, in the place of an earlier one.

    A reader finds no half of a file under these names: they are given when all rows are on disk.

    Args:
        folder (`str` or `Path`):
            Where to; made if needed.
        rows (`Iterable[Mapping[str, Any]]`):
            The rows.
        features ([`~datasets.Features`]):
            Their columns and types.
        number (`int`):
            How many there are.
        split (`str`, *optional*, defaults to `"train"`):
            The split's name.

    Returns:
        `list[Path]`: the files.

    Raises:
        [`DataError`]: when a row does not fit the types, or their number is another.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = max(1, -(-number // ROWS_A_FILE))
    names = [f"{split}-{index:05d}-of-{files:05d}.parquet" for index in range(files)]
    partials = [folder / f".{name}.{os.getpid()}.partial" for name in names]
    stream = iter(rows)
    try:
        written = sum(_write_file(partial, itertools.islice(stream, ROWS_A_FILE), features) for partial in partials)
        if written != number or next(stream, None) is not None:
            raise DataError(f"{folder}: {written} rows came where {number} were counted; read the data again")
        for path in folder.glob(f"{split}-*-of-*.parquet"):
            path.unlink()
        return [partial.replace(folder / name) for partial, name in zip(partials, names, strict=True)]
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _write_file(path: Path, rows: Iterable[Mapping[str, Any]], features: Features) -> int:
    import pyarrow
    import pyarrow.parquet

    schema, stream, written = features.arrow_schema, iter(rows), 0
    with path.open("wb") as file:
        with pyarrow.parquet.ParquetWriter(file, schema) as writer:
            while group := list(itertools.islice(stream, ROWS_A_GROUP)):
                try:
                    writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
                except (pyarrow.ArrowException, UnicodeError) as error:
                    raise DataError(
                        f"{path.parent}: rows do not fit their columns ({error}); mend the data"
                    ) from error
                written += len(group)
        file.flush()
        os.fsync(file.fileno())
    return written


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """
    Rows of one file in order: Parquet, or JSON lines where its name ends in `.jsonl`.

    Raises:
        [`DataError`]: when it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if Path(path).suffix == ".jsonl":
        yield from read_jsonl(path)
        return
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file; make it again")
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({error}); make it again") from error
