"""Find the program in a completion: its last block of Python, never anything in its thoughts.

Nothing here parses the program: a text can be built that brings the parser of the calling process down, so only the
sandbox compiles what a policy wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trl_r1.verifiers.answers.extraction import graded_text


PYTHON_TAGS = frozenset({"python", "python3", "py", "py3"})
MAX_PROGRAM_CHARS = 200_000

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")


@dataclass(frozen=True, slots=True)
class Program:
    """The program of a completion; `text` is `None` when there is none, and `missing` says why."""

    text: str | None
    fenced: bool = False
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    tag: str
    lines: tuple[str, ...]
    closed: bool


def extract_program(completion_or_program: str) -> Program:
    """
    Find the program a completion answers with.

    It is the last fenced block tagged as Python in what follows the thoughts, or else the last block without a tag.
    A text without any fence is the program itself. A block that is never closed was cut off, and then the whole
    answer counts as cut off.

    Args:
        completion_or_program (`str`):
            A completion (recognised by a think or answer tag) or a program, fenced or not.

    Returns:
        `Program`
    """
    text = graded_text(completion_or_program) or ""
    if not text.strip():
        return Program(None, missing="no answer after the thoughts")
    blocks = _blocks(text)
    if not blocks:
        return _checked(text.strip("\n"), fenced=False)
    if not blocks[-1].closed:
        return Program(None, missing="the last code block is not closed")
    chosen = [block for block in blocks if block.tag in PYTHON_TAGS] or [block for block in blocks if not block.tag]
    if not chosen:
        return Program(None, missing=f"no Python code block, only {blocks[-1].tag[:20]}")
    return _checked("\n".join(chosen[-1].lines), fenced=True)


def _checked(text: str, fenced: bool) -> Program:
    if not text.strip():
        return Program(None, missing="the code block is empty")
    if len(text) > MAX_PROGRAM_CHARS:
        return Program(None, missing=f"the program is longer than {MAX_PROGRAM_CHARS} characters")
    return Program(text, fenced)


def _blocks(text: str) -> list[_Block]:
    """Fenced blocks by Markdown's rules: a closing fence has the same sign, is as long, and is hardly indented."""
    blocks: list[_Block] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip())
        if opened is None:
            if fence:
                opened, lines = fence, []
        elif fence and _closes(fence, opened):
            blocks.append(_Block(_tag(opened), tuple(lines), closed=True))
            opened = None
        else:
            indent = len(opened["indent"])
            lines.append(line[indent:] if not line[:indent].strip() else line)
    if opened is not None:
        blocks.append(_Block(_tag(opened), tuple(lines), closed=False))
    return blocks


def _closes(fence: re.Match[str], opened: re.Match[str]) -> bool:
    return (
        fence["fence"][0] == opened["fence"][0]
        and len(fence["fence"]) >= len(opened["fence"])
        and not fence["info"].strip()
        and len(fence["indent"]) <= len(opened["indent"]) + 3  # further in, it is a line of the program's docstring
    )


def _tag(opened: re.Match[str]) -> str:
    words = opened["info"].strip().lower().split()
    return words[0].strip("{}.") if words else ""
