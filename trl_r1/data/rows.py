"""Checks and bookkeeping every loader shares: columns, dropped rows and why, fingerprints, files of rows."""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trl_r1.errors import DataError
from trl_r1.stage_record import DataSource


if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

REASONING = "reasoning"  # the reward_type of rows that a gold answer decides; what a row without the column is
READ_AT_ONCE = 256  # rows: one decoding for all of them, and long chains of thought still fit into memory


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptData:
    """
    Rows ready for a trainer, and where they came from.

    Args:
        dataset ([`~datasets.Dataset`]):
            The rows.
        sources (`list[DataSource]`):
            One entry a dataset read, with what was dropped and why, as `stage.json` holds it.
    """

    dataset: Dataset
    sources: list[DataSource]


def is_main_process() -> bool:
    """Whether this is the launcher's first process, which alone tells what all of them find."""
    return int(os.environ.get("RANK", "0")) == 0


def check_column(dataset: Dataset, column: str, field: str, source: str) -> None:
    """
    Check that a dataset has a column.

    Args:
        dataset ([`~datasets.Dataset`]):
            The rows.
        column (`str`):
            Column wanted.
        field (`str`):
            Field of the recipe that names it, for the message.
        source (`str`):
            The dataset's name, for the message.

    Raises:
        [`DataError`]: naming the column, those present and the nearest.
    """
    present = list(dataset.column_names)
    if column in present:
        return
    near = difflib.get_close_matches(column, present, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(
        f"{field}: {source!r} has no column {column!r}; {hint}it has {', '.join(present) or 'none'}; "
        f"set {field} to one of them"
    )


def check_batch(rows: int, needed: int, what: str = "rows a batch") -> None:
    """
    Check that a dataset fills one batch. A smaller one would train on nothing, or on the same rows twice.

    Args:
        rows (`int`):
            Usable rows.
        needed (`int`):
            Distinct rows a batch takes.
        what (`str`, *optional*):
            What the batch is made of, for the message.

    Raises:
        [`DataError`]: when `rows` is less than `needed`.
    """
    if rows < needed:
        raise DataError(
            f"dataset: {rows} usable rows are fewer than the {needed} {what}; give more data or a smaller batch"
        )


def count_dropped(reasons: Sequence[str | None], source: str) -> dict[str, int]:
    """
    Count and log why rows are dropped.

    Args:
        reasons (`Sequence[str | None]`):
            One entry a row; `None` keeps it.
        source (`str`):
            The dataset's name, for the messages.

    Returns:
        `dict[str, int]`: dropped rows by reason, the most frequent first.

    Raises:
        [`DataError`]: when there was no row, or none is left.
    """
    if not reasons:
        raise DataError(f"dataset: {source!r} is empty; give a dataset with rows")
    dropped = dict(Counter(reason for reason in reasons if reason is not None).most_common())
    total = sum(dropped.values())
    counts = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
    if total == len(reasons):
        raise DataError(f"dataset: none of the {total} rows of {source!r} can be used ({counts}); mend the data")
    if dropped and is_main_process():
        logger.warning("%s: dropped %d of %d rows: %s", source, total, len(reasons), counts)
    return dropped


def keep_rows(dataset: Dataset, reasons: Sequence[str | None], source: str) -> tuple[Dataset, dict[str, int]]:
    """
    Drop the rows that have a reason to be dropped, counted as in [`count_dropped`].

    Returns:
        `tuple[Dataset, dict[str, int]]`: the rows kept, and dropped rows by reason.
    """
    dropped = count_dropped(reasons, source)
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    return (dataset.select(kept) if dropped else dataset), dropped


def set_column(dataset: Dataset, name: str, values: list[Any]) -> Dataset:
    """The dataset with a column set, whether or not it had one of that name."""
    if name in dataset.column_names:
        dataset = dataset.remove_columns(name)
    return dataset.add_column(name, values)


def fingerprint_rows(dataset: Dataset) -> str:
    """
    SHA-256 of what the rows say: column names and values, in row order.

    `datasets`' own fingerprint depends on where the files lie, so that a copy of a dataset would seem another one.
    """
    digest = hashlib.sha256()
    encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
    names = dataset.column_names
    for batch in dataset.iter(READ_AT_ONCE):
        for values in zip(*(batch[name] for name in names), strict=True):
            digest.update(encode(dict(zip(names, values, strict=True))).encode())
            digest.update(b"\n")
    return digest.hexdigest()


def first_rows(parts: Sequence[Dataset], limit: int | None) -> list[Dataset]:
    """The first rows of each part, in proportion, `limit` in all; everything when there is no limit."""
    total = sum(len(part) for part in parts)
    if limit is None or limit >= total:
        return list(parts)
    ends, cut, seen = [], [], 0
    for part in parts:
        seen += len(part)
        ends.append(round(limit * seen / total))
    for part, start, end in zip(parts, [0, *ends], ends, strict=False):
        cut.append(part.select(range(end - start)))
    return cut


def join_parts(parts: Sequence[Dataset], order_by: str | None = None) -> Dataset:
    """
    One dataset of several; a column that one of them lacks is `None` there.

    With `order_by` the rows are in the order of that column, if the parts have it, and the column is left out.

    Raises:
        [`DataError`]: when a column has different types in two of them.
    """
    from datasets import concatenate_datasets

    try:
        joined = concatenate_datasets([part for part in parts if len(part)])
    except ValueError as error:
        raise DataError(f"datasets: they cannot be joined ({error}); give their columns the same types") from error
    if order_by is None or order_by not in joined.column_names:
        return joined
    order = np.argsort(np.asarray(joined.with_format("numpy")[order_by][:]), kind="stable")
    return joined.remove_columns(order_by).select(order)


def map_rows(dataset: Dataset, function: Callable[[dict[str, Any]], Any]) -> list[Any]:
    """`function` of every row, in order. In memory and uncached, so that nothing stale is ever read."""
    return [function(row) for row in dataset]


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """
    Write rows as JSON lines, so that a reader sees the old file or the whole new one.

    Args:
        path (`str` or `Path`):
            File to write; its folder is made.
        rows (`Iterable[Mapping[str, Any]]`):
            The rows.

    Returns:
        `int`: Rows written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    written = 0
    try:
        with partial.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return written


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """
    Read a file of JSON lines.

    Raises:
        [`DataError`]: naming the line that is no JSON object, or the file when there is none.
    """
    rows = []
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a mark
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a file of JSON lines") from error
    lines = text.removesuffix("\n").split("\n") if text else []  # other line breaks may stand within a row's text
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {number} is no JSON ({error.msg}); write the file again") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number} is no JSON object; write the file again")
        rows.append(row)
    return rows
