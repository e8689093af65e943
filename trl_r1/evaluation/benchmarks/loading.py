"""From a benchmark to questions: rows read from the Hub, from local files or made, each turned into one form."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.mixture import RawSource, load_source
from trl_r1.data.rows import count_dropped
from trl_r1.errors import DataError, R1Error
from trl_r1.evaluation.benchmarks.benchmark import Benchmark
from trl_r1.evaluation.benchmarks.makers import MAKERS
from trl_r1.evaluation.benchmarks.readers import Reader, UnusableRowError, find_reader
from trl_r1.stage_record import DataSource


if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

LOADERS: Final = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


def load_benchmark(
    benchmark: Benchmark, *, data_files: str | Path | None = None, max_rows: int | None = None, seed: int = 0
) -> tuple[Dataset, DataSource]:
    """
    A benchmark's questions, all in one form.

    Args:
        benchmark ([`Benchmark`]):
            Which.
        data_files (`str` or `Path`, *optional*):
            Rows in the Hub's form on this machine, instead: a parquet, JSON-lines or CSV file, or a folder that
            [`~datasets.load_dataset`] reads.
        max_rows (`int`, *optional*):
            The first questions only.
        seed (`int`, *optional*, defaults to `0`):
            Of the order of options, where a reader shuffles them.

    Returns:
        `tuple[Dataset, DataSource]`: questions with `question_id`, `problem`, what judges an answer, and where the
        benchmark names them `group` and `cluster`; and where they are from, with what was left out and why.

    Raises:
        [`DataError`]: when the data cannot be read, lacks a column, or no row can be used.
    """
    if max_rows is not None and max_rows < 1:
        raise DataError(f"max_rows: {max_rows} must be at least 1, or left out for all")
    raw = MAKERS[benchmark.reader](benchmark, max_rows) if benchmark.reader in MAKERS else _read(benchmark, data_files)
    if benchmark.reader in MAKERS and data_files is not None:
        raise DataError(f"data_files: {benchmark.name} makes its questions; leave it out")
    reader = find_reader(benchmark.reader)
    _check_columns(raw.dataset, reader, benchmark)
    rows, reasons = _convert(raw.dataset, reader, benchmark, seed)
    dropped = count_dropped(reasons, raw.name)
    found = len(reasons)
    if benchmark.reader not in MAKERS and benchmark.num_questions not in (None, found) and data_files is None:
        logger.warning("%s has %d rows, and was known with %d", benchmark.name, found, benchmark.num_questions)
    if max_rows is not None and max_rows < len(rows):
        dropped = {**dropped, "beyond_max_rows": len(rows) - max_rows}
        rows = rows[:max_rows]
    return _dataset(rows), raw.describe(len(rows), dropped)


def _read(benchmark: Benchmark, data_files: str | Path | None) -> RawSource:
    if data_files is None:
        if benchmark.hub_id is None:
            raise DataError(f"benchmarks.{benchmark.name}: it names no data set; give data_files")
        options = {"name": benchmark.config, "revision": benchmark.revision}
        given = {name: value for name, value in options.items() if value is not None}
        return load_source(benchmark.hub_id, benchmark.split, **given)
    path = Path(data_files)
    if path.is_dir():
        return load_source(str(path), benchmark.split)
    if not path.is_file():
        raise DataError(f"data_files: there is no {str(path)!r}; give a parquet or JSON-lines file, or a folder")
    loader = LOADERS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
    if loader is None:
        raise DataError(f"data_files: {path.name!r} is none of {', '.join(LOADERS)}; convert it")
    raw = load_source(loader, "train", data_files=str(path))
    return RawSource(name=str(path), split=benchmark.split, dataset=raw.dataset)


def _check_columns(dataset: Dataset, reader: Reader, benchmark: Benchmark) -> None:
    needed: dict[str, str | None] = {name: benchmark.columns.get(name, own) for name, own in reader.columns.items()}
    needed |= {"group_by": benchmark.group_by, "cluster_by": benchmark.cluster_by}
    missing = {name: column for name, column in needed.items() if column and column not in dataset.column_names}
    if missing:
        wanted = ", ".join(f"{column!r} ({name})" for name, column in missing.items())
        raise DataError(
            f"benchmarks.{benchmark.name}: the data has no column {wanted}, only {', '.join(dataset.column_names)}; "
            "set columns"
        )


def _convert(
    dataset: Dataset, reader: Reader, benchmark: Benchmark, seed: int
) -> tuple[list[dict[str, Any]], list[str | None]]:
    rows: list[dict[str, Any]] = []
    reasons: list[str | None] = []
    for number, raw in enumerate(dataset):
        try:
            row = reader.read(raw, benchmark.columns, random.Random(f"{seed}:{number}"))
        except UnusableRowError as error:
            reasons.append(str(error))
            continue
        except R1Error:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"benchmarks.{benchmark.name}: row {number} is not as reader {benchmark.reader!r} takes it "
                f"({type(error).__name__}: {error}); mend the row, or the reader"
            ) from error
        reasons.append(None)
        rows.append({"question_id": str(number), **row, **_labels(raw, benchmark)})
    return rows, reasons


def _labels(raw: Mapping[str, Any], benchmark: Benchmark) -> dict[str, str | None]:
    group, cluster = benchmark.group_by, benchmark.cluster_by
    labels: dict[str, str | None] = {"group": str(raw[group])} if group else {}
    return {**labels, "cluster": None if raw[cluster] is None else str(raw[cluster])} if cluster else labels


def _dataset(rows: list[dict[str, Any]]) -> Dataset:
    from datasets import Dataset

    names = dict.fromkeys(name for row in rows for name in row)
    return Dataset.from_list([{name: row.get(name) for name in names} for row in rows])
