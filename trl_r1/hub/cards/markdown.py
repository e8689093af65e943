"""Text of records as Markdown that shows it and is not changed by it: names and model output are untrusted."""

from __future__ import annotations

import re
from typing import Any, Final


# Controls, half surrogate pairs, line separators, and marks that reorder the text around them
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_MARKS: Final = re.compile(r"[\\`*{}\[\]|~#$]|(?<![^\W_])_|_(?![^\W_])")  # `_` within a word is no mark
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def visible(text: str) -> str:
    """Text with the characters that one cannot see, and those that turn the reading order, spelled out."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


def one_line(value: Any) -> str:
    """A value as one line of visible text, for what is no Markdown."""
    return " ".join(visible(str(value)).split())


def plain(value: Any) -> str:
    """A value as one line of Markdown that is nothing but text: no marks, no HTML, no links."""
    text = one_line(value)
    text = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], text)
    text = _MARKS.sub(lambda found: "\\" + found[0], text)
    return text.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def inline_code(value: Any) -> str:
    """A value as inline code of one line."""
    text = one_line(value)
    if not text:
        return ""
    mark = "`" * (_longest_run(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{mark}{space}{text}{space}{mark}"


def fenced(text: str, language: str = "") -> str:
    """A text as a code block, between fences longer than any in it."""
    text = visible(text).rstrip("\n")
    mark = "`" * max(3, _longest_run(text) + 1)
    return f"{mark}{language}\n{text}\n{mark}"


def cut_middle(text: str, limit: int) -> str:
    """
    Shorten a text by its middle.

    Args:
        text (`str`):
            Any length.
        limit (`int`):
            Most characters to keep.

    Returns:
        `str`: the text, or its beginning and end with a line between them that counts what is left out.
    """
    if len(text) <= limit:
        return text
    head, tail = text[: limit - limit // 3], text[-(limit // 3) :]
    return f"{head}\n[... {len(text) - limit:,} characters left out ...]\n{tail}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
