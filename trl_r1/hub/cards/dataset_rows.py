"""What the rows of a data set say about it: columns, groups, lengths of thoughts and answers, one example."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trl_r1.chat_template import ParsedCompletion, ThinkParser
from trl_r1.hub.cards.markdown import cut_middle, fenced
from trl_r1.stage_record import is_language


MOST_GROUPS: Final = 12  # values a column may have for its rows to be counted by them
LONGEST_GROUP: Final = 40  # letters of such a value; longer ones are texts
EXAMPLE_LENGTH: Final = 4000  # letters; the first row that is no longer is shown whole
NO_GROUPS: Final = frozenset(  # the texts themselves, and what tells one sample of a question from another
    {"messages", "prompt", "completion", "problem", "solution", "answer", "response", "chosen", "rejected", "prefill"}
    | {"sample_index", "teacher", "temperature", "top_p", "sample_seed", "question_sha256", "rewritten_by"}
    | {"completion_tokens", "reasoning_tokens", "answer_tokens"}
)
_WORD: Final = re.compile(r"[぀-ヿ㐀-鿿豈-﫿]|[^\s぀-ヿ㐀-鿿豈-﫿]+")
_TYPES: Final = {bool: "true or false", int: "integer", float: "number", str: "text", type(None): "none"}


@dataclass(slots=True)
class Lengths:
    """Words of thoughts and answers, summed up: runs between spaces, and each Chinese or Japanese character."""

    rows: int = 0  # with thoughts
    reasoning: int = 0
    answer: int = 0

    def add(self, parsed: ParsedCompletion) -> None:
        """Count one response."""
        self.rows += 1
        self.reasoning += len(_WORD.findall(parsed.reasoning or ""))
        self.answer += len(_WORD.findall(parsed.answer or ""))

    def merge(self, other: Lengths) -> None:
        """Add what another counted."""
        self.rows += other.rows
        self.reasoning += other.reasoning
        self.answer += other.answer

    @property
    def mean_reasoning(self) -> float | None:
        """Mean words of the thoughts, over the rows that have some."""
        return self.reasoning / self.rows if self.rows else None

    @property
    def mean_answer(self) -> float | None:
        """Mean words of the answers of those rows."""
        return self.answer / self.rows if self.rows else None


@dataclass(slots=True)
class Group:
    """Rows with one value of a column."""

    rows: int = 0
    lengths: Lengths = field(default_factory=Lengths)


@dataclass(slots=True)
class RowSummary:
    """
    What was counted of the rows of one split. Build it with [`RowSummary.of`].

    Args:
        rows (`int`):
            Number of rows.
        columns (`dict[str, Counter[str]]`):
            Types of each column's values, with how many rows have them.
        groups (`dict[str, dict[Any, Group]]`):
            Rows by value, of the columns with few values.
        constants (`dict[str, set[Any]]`):
            The different values of `teacher` and `temperature`.
        lengths ([`Lengths`]):
            Of all rows.
        example (`Mapping[str, Any]` or `None`):
            The first row short enough to be shown whole, or else the first one.
    """

    rows: int = 0
    columns: dict[str, Counter[str]] = field(default_factory=dict)
    groups: dict[str, dict[Any, Group]] = field(default_factory=dict)
    constants: dict[str, set[Any]] = field(default_factory=lambda: {"teacher": set(), "temperature": set()})
    lengths: Lengths = field(default_factory=Lengths)
    example: Mapping[str, Any] | None = None
    _whole: bool = False  # whether the example is short enough
    _too_many: set[str] = field(default_factory=set)  # columns that are no groups

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> RowSummary:
        """Count rows, each read once."""
        summary, parser = cls(), ThinkParser()
        for row in rows:
            summary._add(row, read_response(row, parser))
        return summary

    def merge(self, other: RowSummary) -> None:
        """Add the rows of another shard or split."""
        self.rows += other.rows
        self.lengths.merge(other.lengths)
        self._too_many |= other._too_many
        for name, types in other.columns.items():
            self.columns.setdefault(name, Counter()).update(types)
        for name, values in other.constants.items():
            self.constants[name] |= values
        for name, groups in other.groups.items():
            for value, group in groups.items():
                mine = self.groups.setdefault(name, {}).setdefault(value, Group())
                mine.rows += group.rows
                mine.lengths.merge(group.lengths)
        if other.example is not None and (self.example is None or (other._whole and not self._whole)):
            self.example, self._whole = other.example, other._whole

    def shown_groups(self) -> dict[str, list[tuple[Any, Group]]]:
        """Columns with few values, each in several rows, and `language`. Numbers in order, others by frequency."""
        return {
            name: sorted(groups.items(), key=_group_order)
            for name, groups in self.groups.items()
            if name not in self._too_many
            and len(groups) <= MOST_GROUPS
            and (name == "language" or 1 < len(groups) <= self.rows / 2)
        }

    def languages(self) -> list[str]:
        """Codes in the `language` column, the most frequent first."""
        groups = dict(self.shown_groups()).get("language", [])
        return [value for value, _ in groups if isinstance(value, str) and is_language(value)]

    def _add(self, row: Mapping[str, Any], parsed: ParsedCompletion | None) -> None:
        self.rows += 1
        if parsed is not None:
            self.lengths.add(parsed)
        if not self._whole:
            self._whole = len(json.dumps(row, ensure_ascii=False, indent=2, default=str)) <= EXAMPLE_LENGTH
            if self._whole or self.example is None:
                self.example = row
        for name, value in row.items():
            self.columns.setdefault(name, Counter())[describe_type(value)] += 1
            if name in self.constants and isinstance(value, (str, int, float, type(None))):
                self.constants[name].add(value)
            self._add_to_group(name, value, parsed)

    def _add_to_group(self, name: str, value: Any, parsed: ParsedCompletion | None) -> None:
        if name in NO_GROUPS or name in self._too_many:
            return
        groups = self.groups.setdefault(name, {})
        few = isinstance(value, (str, int, type(None))) and (value in groups or len(groups) < MOST_GROUPS)
        if not few or (isinstance(value, str) and len(value) > LONGEST_GROUP):
            self._too_many.add(name)
            del self.groups[name]
            return
        group = groups.setdefault(value, Group())
        group.rows += 1
        if parsed is not None:
            group.lengths.add(parsed)


def read_response(row: Mapping[str, Any], parser: ThinkParser) -> ParsedCompletion | None:
    """The parsed response of a row: its last assistant turn, `completion` or `response`; `None` without thoughts."""
    messages, prompt = row.get("messages"), row.get("prompt")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        text, tail = messages[-1].get("content"), ""
    else:
        text, tail = row.get("completion") or row.get("response"), prompt if isinstance(prompt, str) else ""
    if not isinstance(text, str):
        return None
    parsed = parser.parse(text, tail)
    return parsed if parsed.reasoning else None


def describe_type(value: Any) -> str:
    """The type of a value, in words."""
    if isinstance(value, list):
        inner = list(dict.fromkeys(describe_type(item) for item in value))
        return f"list of {' or '.join(inner)}" if inner else "list"
    if isinstance(value, dict):
        return "{" + ", ".join(str(name) for name in value) + "}"
    return _TYPES.get(type(value), type(value).__name__)


def example_block(row: Mapping[str, Any]) -> tuple[str, bool]:
    """A row as a code block that it cannot leave, and whether it is shown whole."""
    text = json.dumps(row, ensure_ascii=False, indent=2, default=str)
    return fenced(cut_middle(text, EXAMPLE_LENGTH), "json"), len(text) <= EXAMPLE_LENGTH


def _group_order(item: tuple[Any, Group]) -> tuple[float, int, str]:
    value, group = item
    return (value if isinstance(value, int) else float("inf")), -group.rows, str(value)
