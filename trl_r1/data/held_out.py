"""Questions that a model will be measured on, so that training rows that ask them can be left out."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from datasets import Dataset

# Where a question may stand, best first; a chat's is what its user says.
QUESTION_COLUMNS = ("problem", "question", "prompt", "messages", "conversations", "query", "instruction", "chosen")
READ_AT_ONCE = 1000  # rows

# Around each question of DAPO-Math-17k; our own prompt says how to answer.
_DAPO_BEFORE = re.compile(
    r"^Solve the following math problem step by step\. The last line of your response .*?\n\n", re.DOTALL
)
_DAPO_AFTER = re.compile(r'\n\nRemember to put your answer on its own line after "Answer:"\.\s*$')
_SPACE = re.compile(r"\s+")
_LOOSE_SPACE = re.compile(r"(?<!\w) | (?!\w)")


def bare_question(text: str) -> str:
    """A question without the instruction that DAPO-Math-17k puts around each."""
    return _DAPO_AFTER.sub("", _DAPO_BEFORE.sub("", text))


def question_key(text: str) -> bytes:
    """
    A short hash of a question, the same however it is spaced and whatever letters are capitals.

    Space between two words or digits is kept as one: `1 1 + 1` is not `11 + 1`.
    """
    plain = _SPACE.sub(" ", unicodedata.normalize("NFKC", bare_question(text)).casefold().strip())
    return hashlib.blake2b(_LOOSE_SPACE.sub("", plain).encode(errors="surrogatepass"), digest_size=16).digest()


def question_column(dataset: Dataset, preferred: str | None = None) -> str | None:
    """The column a data set asks its questions in, whatever its capitals; `None` when none is known."""
    if preferred in dataset.column_names:
        return preferred
    by_name = {name.lower(): name for name in reversed(dataset.column_names)}
    return next((by_name[name] for name in QUESTION_COLUMNS if name in by_name), None)


def questions_of(value: Any) -> list[str]:
    """The questions in a cell: its text, or what the user says in a chat, one a turn."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if not isinstance(value, Sequence):
        return []
    turns = [turn for turn in value if isinstance(turn, Mapping)]
    asked = [
        turn.get("content") or turn.get("value")
        for turn in turns
        if (turn.get("role") or turn.get("from")) in ("user", "human")
    ]
    return [text for text in asked if isinstance(text, str) and text.strip()]


def held_out_keys(dataset: Dataset, column: str | None = None) -> set[bytes]:
    """Keys of the questions of held-out rows. Of a chat the first one: later turns may be anybody's."""
    name = question_column(dataset, column)
    return {question_key(found[0]) for found in _asked(dataset, name) if found}


def asks_held_out(dataset: Dataset, keys: Iterable[bytes], column: str | None = None) -> list[bool]:
    """For each row, whether one of its questions is among `keys`."""
    known = frozenset(keys)
    if not known:
        return [False] * len(dataset)
    name = question_column(dataset, column)
    return [any(question_key(text) in known for text in found) for found in _asked(dataset, name)]


def _asked(dataset: Dataset, column: str | None) -> Iterator[list[str]]:
    if column is None:
        yield from ([] for _ in range(len(dataset)))
        return
    for batch in dataset.select_columns([column]).iter(READ_AT_ONCE):
        yield from (questions_of(value) for value in batch[column])
