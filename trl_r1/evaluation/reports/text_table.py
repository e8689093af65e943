"""A table of text, and its forms: for a terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """
    A table of text.

    Args:
        title, caption (`str`):
            Above and below it.
        columns (`Sequence[str]`), rows (`Sequence[Sequence[str]]`):
            Headings, and as many cells a row.
        numbers_from (`int`):
            First column that is set to the right.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numbers_from: int = 1

    def to_rich(self) -> Table:
        """For a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title), caption=Text(self.caption), box=box.SIMPLE_HEAD, title_justify="left")
        table.caption_justify = "left"
        for place, heading in enumerate(self.columns):
            side: Literal["left", "right"] = "right" if place >= self.numbers_from else "left"
            table.add_column(Text(heading), justify=side, overflow="fold")  # no number loses its end
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def to_markdown(self) -> str:
        """As Markdown, title and caption included."""
        rule = ["---:" if place >= self.numbers_from else "---" for place in range(len(self.columns))]
        lines = [f"### {_escape(self.title)}", "", _line(map(_escape, self.columns)), _line(rule)]
        lines += [_line(map(_escape, row)) for row in self.rows]
        return "\n".join([*lines, "", _escape(self.caption)] if self.caption else lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    """Names are anybody's: none may end a cell, begin a link or be HTML."""
    for mark in ("\\", "|", "<", "`", "*", "_"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("](", "]\\(").split())


def short(value: float, sign: str = "") -> str:
    """Three digits of a share, one after the point of what is larger; `sign` is `"+"` for differences."""
    return f"{value:{sign}.3f}" if abs(value) <= 1 else f"{value:{sign},.1f}"


def with_intervals(
    value: float,
    over_questions: tuple[float | None, float | None],
    over_samples: tuple[float | None, float | None],
    sign: str = "",
) -> str:
    """A number with the interval over questions in parentheses and that over samples in brackets, where known."""
    text = short(value, sign)
    for (low, high), (left, right) in ((over_questions, "()"), (over_samples, "[]")):
        if low is not None and high is not None:
            text += f" {left}{short(low)} to {short(high)}{right}"
    return text


INTERVALS = (
    "95 % intervals: in parentheses, for other questions of this kind and other samples; in brackets, for these very "
    "questions and other samples, where several answers a question tell."
)
