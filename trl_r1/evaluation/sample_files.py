"""The file of an evaluation's answers: one row a sample, with its verdict, its reason and every metric's value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from trl_r1.data.parquet_files import read_rows
from trl_r1.errors import DataError
from trl_r1.generation.jobs.files import whole_file


COLUMNS: Final = (
    ("question", pa.int64()),  # number within the suite
    ("sample", pa.int64()),
    ("question_id", pa.string()),  # the data set's own, or a hash of the problem: pairs two evaluations
    ("cluster", pa.string()),  # questions that are not independent of one another share it
    ("variant", pa.string()),  # name of the prompt variant
    ("group", pa.string()),
    ("problem", pa.string()),
    ("solution", pa.string()),
    ("prefill", pa.string()),
    ("text", pa.string()),
    ("reasoning", pa.string()),
    ("answer", pa.string()),
    ("answer_key", pa.string()),  # normal form of the value answered, for votes; null where none was given
    ("defects", pa.list_(pa.string())),
    ("verdict", pa.string()),
    ("reason", pa.string()),
    ("decided_by", pa.string()),
    ("finish_reason", pa.string()),
    ("num_tokens", pa.int64()),
    ("seed", pa.int64()),
)


def write_samples(path: str | Path, rows: Sequence[dict[str, Any]]) -> None:
    """
    Write answers as parquet, whole or not at all.

    Args:
        path (`str` or `Path`):
            File to write.
        rows (`Sequence[dict]`):
            With the columns of `COLUMNS` (a missing one is null) and `metrics`, a mapping of names to values.
    """
    path = Path(path)
    kinds = {name: _kind_of([row["metrics"].get(name) for row in rows]) for name in _metric_names(rows)}
    metrics = [("metrics", pa.struct(list(kinds.items())))] if kinds else []
    schema = pa.schema([*COLUMNS, *metrics])
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [{name: row.get(name) for name in schema.names} | _metrics_of(row, kinds) for row in rows]
    with whole_file(path) as partial:
        pq.write_table(pa.Table.from_pylist(plain, schema=schema), partial, compression="zstd")


def read_samples(path: str | Path) -> Iterator[dict[str, Any]]:
    """
    The rows of a file of answers, in order. Older files of JSON lines are read too.

    Raises:
        [`DataError`]: when the file cannot be read.
    """
    try:
        for row in read_rows(path):
            yield {"metrics": {}, **row}
    except DataError as error:
        raise DataError(f"{error}: these should be an evaluation's answers") from error


def _metrics_of(row: dict[str, Any], kinds: dict[str, pa.DataType]) -> dict[str, Any]:
    """The column of values, each of its metric's kind: yes and no are numbers where others are."""
    values = {name: row["metrics"].get(name) for name in kinds}
    plain = {
        name: float(value) if value is not None and kinds[name] == pa.float64() else value
        for name, value in values.items()
    }
    return {"metrics": plain} if kinds else {}


def _metric_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["metrics"]))


def _kind_of(values: Sequence[Any]) -> pa.DataType:
    """Yes or no where every value is; a number otherwise."""
    given = [value for value in values if value is not None]
    return pa.bool_() if given and all(isinstance(value, bool) for value in given) else pa.float64()
