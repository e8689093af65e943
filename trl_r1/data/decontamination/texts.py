"""What is searched of a row: the problem it asks, and every trace that may quote one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.errors import DataError


PROBLEM_COLUMNS: Final = ("problem", "question", "prompt", "query", "instruction", "input")
TRACE_COLUMNS: Final = (
    *("messages", "completion", "reasoning", "solution", "response", "generations", "text", "chosen", "rejected"),
    *("output", "thinking", "answer", "conversations", "worked_solution", "generated_solution"),
)

_ROLES: Final = frozenset(("role", "from"))  # of a message; the second is ShareGPT's
_THOUGHTS: Final = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True, slots=True)
class Field:
    """A text of a row."""

    name: str  # column, with the message's role where it is a chat
    text: str
    is_problem: bool


def searched_columns(present: Sequence[str], prompt_column: str, extra: Sequence[str] = ()) -> list[str]:
    """
    The columns of a data set that are searched: the problem's, those of the usual names in any capitals, and `extra`.

    Raises:
        [`DataError`]: when none is there, or one of `extra` is not.
    """
    if missing := [name for name in extra if name not in present]:
        raise DataError(f"trace_columns: there is no column {missing[0]!r}; the data have {', '.join(present)}")
    usual = (*PROBLEM_COLUMNS, *TRACE_COLUMNS)
    by_rank = sorted((name for name in present if name.lower() in usual), key=lambda name: usual.index(name.lower()))
    found = [name for name in dict.fromkeys((prompt_column, *by_rank, *extra)) if name in present]
    if not found:
        raise DataError(
            f"dataset_prompt_column: there is no column {prompt_column!r} and none of the usual names; the data have "
            f"{', '.join(present)}"
        )
    return found


def row_fields(row: Mapping[str, Any], columns: Sequence[str], prompt_column: str) -> Iterator[Field]:
    """The texts of a row, one at a time: what a user asks is a problem, all else may quote one."""
    for column in columns:
        value = row.get(column)
        if isinstance(value, str):
            yield Field(column, value, column == prompt_column or column.lower() in PROBLEM_COLUMNS)
        else:
            yield from _nested_fields(column, value)


def _nested_fields(column: str, value: Any) -> Iterator[Field]:
    """The texts within a list or a struct: messages by their role, whatever else as it is."""
    if isinstance(value, str):
        yield Field(column, value, False)
    elif isinstance(value, Mapping) and not _ROLES.isdisjoint(value):
        role = str(value.get("role") or value.get("from"))
        yield Field(f"{column}/{role}", message_text(value), role in ("user", "human"))
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _nested_fields(column, item)


def message_text(message: Mapping[str, Any]) -> str:
    """What a message says: its content, the text parts of one with pictures, and its reasoning."""
    content = message.get("content") if message.get("content") is not None else message.get("value")
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    texts += [message.get(name) for name in _THOUGHTS]
    return "\n".join(text for text in texts if isinstance(text, str))
