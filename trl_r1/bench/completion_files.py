"""Read files of completions: JSON lines, TRL's completion logs (Parquet), and the samples of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trl_r1.chat_template import THINK_OPEN, completion_text
from trl_r1.errors import DataError


PARQUET_PATTERN: Final = "completions_*.parquet"  # as TRL names its logs
_COMPLETION_FIELDS: Final = ("completion", "text")  # `text` in the samples of an evaluation
_PROMPT_FIELDS: Final = ("prompt", "problem")


@dataclass(frozen=True, slots=True)
class CompletionRow:
    """
    A completion to score.

    Args:
        place (`str`):
            File and line it was read from, for messages.
        prompt, completion (`str` or `list[dict[str, Any]]`):
            Text, or messages.
        columns (`dict[str, Any]`):
            Everything else the row holds.
    """

    place: str
    prompt: str | list[dict[str, Any]]
    completion: str | list[dict[str, Any]]
    columns: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A row that cannot be scored, and why."""

    place: str
    reason: str


def read_completions(path: str | Path) -> tuple[list[CompletionRow], list[MalformedRow]]:
    """
    Read a file, or a folder of TRL's completion logs.

    A row holds `completion` (or `text`), `prompt` (or `problem`) and any columns; or `messages` that end with the
    assistant's.

    Args:
        path (`str` or `Path`):
            A `.jsonl` or `.parquet` file, or a folder with `completions_*.parquet`.

    Returns:
        `tuple[list[CompletionRow], list[MalformedRow]]`: rows in order, and the ones that cannot be used.

    Raises:
        [`DataError`]: when there is no such file, it cannot be read, or it holds no row.
    """
    rows: list[CompletionRow] = []
    malformed: list[MalformedRow] = []
    for place, content in _raw_rows(Path(path)):
        row = content if isinstance(content, str) else _row_of(place, content)
        if isinstance(row, str):
            malformed.append(MalformedRow(place, row))
        else:
            rows.append(row)
    if not rows and not malformed:
        raise DataError(f"{path}: it holds no rows; give a file of completions")
    return rows, malformed


def _raw_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """Each row with its place; a text in its stead says why there is none."""
    if path.is_dir():
        files = sorted(path.glob(PARQUET_PATTERN)) or sorted((path / "completions").glob(PARQUET_PATTERN))
        if not files:
            raise DataError(f"{path}: it holds no {PARQUET_PATTERN}; give a file, or train with log_completions: true")
        for file in files:
            yield from _parquet_rows(file)
    elif not path.is_file():
        raise DataError(f"{path}: there is no such file")
    elif path.suffix == ".parquet":
        yield from _parquet_rows(path)
    else:
        yield from _json_rows(path)


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import read_table

    try:
        rows = read_table(path).to_pylist()
    except (ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: it is no Parquet file ({str(error).splitlines()[0]})") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path.name} row {number}", row


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", _parse_line(line)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: it is no UTF-8 text ({error.reason} at byte {error.start})") from error


def _parse_line(line: str) -> Mapping[str, Any] | str:
    try:
        content = json.loads(line)
    except ValueError as error:
        return f"no JSON ({error})"
    except RecursionError:
        return "no JSON (nested too deep)"
    return content if isinstance(content, dict) else f"it is a {type(content).__name__}, not an object of columns"


def _row_of(place: str, content: Mapping[str, Any]) -> CompletionRow | str:
    """The row, or why there is none."""
    columns = dict(content)
    messages = columns.pop("messages", None)
    if messages is not None and not any(name in columns for name in _COMPLETION_FIELDS):
        if not _are_messages(messages) or messages[-1].get("role") != "assistant":
            return "messages: they are no list of messages that ends with the assistant's"
        columns |= {"prompt": messages[:-1], "completion": messages[-1:]}
    completion, name = _take(columns, _COMPLETION_FIELDS)
    if name is None:
        return f"it has no completion; columns: {', '.join(columns) or 'none'}"
    prompt, asked = _take(columns, _PROMPT_FIELDS)
    for field, value in ((name, completion), (asked, prompt)):
        if field is not None and not isinstance(value, str) and not _are_messages(value):
            return f"{field}: {str(value)[:40]!r} is neither text nor a list of messages"
    prompt = "" if prompt is None else prompt
    columns.setdefault("problem", prompt if isinstance(prompt, str) else completion_text(prompt[-1:]))
    if isinstance(prompt, str) and prompt.rstrip().endswith(THINK_OPEN):
        columns.setdefault("prompt_tail", THINK_OPEN)
    return CompletionRow(place, prompt, completion, columns)


def _take(columns: dict[str, Any], names: Sequence[str]) -> tuple[Any, str | None]:
    """The first of some columns that the row has, and its name; it is taken out of the row, but for a problem."""
    for name in names:
        if columns.get(name) is not None:
            return (columns[name] if name == "problem" else columns.pop(name)), name
    return None, None


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "role" in item for item in value)
