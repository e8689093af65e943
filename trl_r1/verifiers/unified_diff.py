"""Unified diffs, read and applied without fuzz: what does not fit to the letter is refused with the reason.

A hunk may be some lines off, as `patch --fuzz=0` allows. Counts must be right, and every line must belong to a hunk.
(`unidiff`, the maintained reader, passes over the last line of `@@ -2 +2 @@`, `-a`, `+b`, `+c` in silence, and applies
nothing, so this one is our own.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trl_r1.errors import R1Error


MAX_HUNKS = 200
NO_FILE = "/dev/null"

_HUNK = re.compile(r"@@ -(\d{1,7})(?:,(\d{1,7}))? \+(\d{1,7})(?:,(\d{1,7}))? @@.*")
_GIT_HEADERS = ("diff --git ", "index ", "new file mode ", "deleted file mode ", "old mode ", "new mode ")


class PatchError(R1Error):
    """A patch cannot be applied; the message says why, in one line."""


@dataclass(slots=True)
class _Hunk:
    start: int  # line of the old file, counting from 1
    old: list[str] = field(default_factory=list)  # lines that must be there, with their line ends
    new: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _FileDiff:
    old_path: str
    new_path: str
    hunks: list[_Hunk] = field(default_factory=list)


def changes_by_diff(texts: Sequence[str], files: Mapping[str, str]) -> dict[str, str | None]:
    """
    Apply unified diffs, one after the other.

    Args:
        texts (`Sequence[str]`):
            Diffs, each of any number of files.
        files (`Mapping[str, str]`):
            Text by relative path.

    Returns:
        `dict[str, str | None]`: new text of each changed file, `None` for a deleted one. Paths are not checked.

    Raises:
        [`PatchError`]: naming the line or hunk that is malformed, or does not fit.
    """
    changes: dict[str, str | None] = {}
    for diff in (diff for text in texts for diff in _read_diff(text)):
        current = {path: text for path, text in {**files, **changes}.items() if text is not None}
        path = _path_of(diff, current)
        text = "" if diff.old_path == NO_FILE else current[path]
        changed = _apply_hunks(path, text, diff.hunks)
        if diff.new_path == NO_FILE and changed:
            raise PatchError(f"{path!r} is deleted, but the diff leaves lines of it")
        changes[path] = None if diff.new_path == NO_FILE else changed
    return changes


def _read_diff(text: str) -> list[_FileDiff]:
    """Files and hunks of a unified diff, or an error for the first line that is out of place."""
    lines = text.rstrip("\n").split("\n")
    diffs: list[_FileDiff] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        if not line.strip() or line.startswith(_GIT_HEADERS):
            position += 1
        elif line.startswith("--- ") and position + 1 < len(lines) and lines[position + 1].startswith("+++ "):
            diffs.append(_FileDiff(_header_path(line), _header_path(lines[position + 1])))
            position += 2
        elif diffs and (header := _HUNK.fullmatch(line)):
            if sum(len(diff.hunks) for diff in diffs) >= MAX_HUNKS:
                raise PatchError(f"more than {MAX_HUNKS} hunks")
            position = _read_hunk(lines, position + 1, header, diffs[-1])
        else:
            raise PatchError(f"malformed diff: line {position + 1} ({line[:40]!r}) belongs to no hunk")
    if not any(diff.hunks for diff in diffs):
        raise PatchError("malformed diff: it has no hunk")
    return diffs


def _header_path(line: str) -> str:
    return line[4:].split("\t")[0].strip()


def _read_hunk(lines: Sequence[str], position: int, header: re.Match[str], diff: _FileDiff) -> int:
    """Reads the hunk whose lines begin at `position`, adds it to `diff`, returns the position after it."""
    wanted = tuple(int(count) if count is not None else 1 for count in (header[2], header[4]))
    hunk = _Hunk(int(header[1]))
    last: tuple[list[str], ...] = ()
    while (len(hunk.old), len(hunk.new)) != wanted:
        line = lines[position] if position < len(lines) else ""
        if position >= len(lines) and wanted[0] - len(hunk.old) != wanted[1] - len(hunk.new):
            raise PatchError("malformed diff: the last hunk is shorter than it says")
        sign = line[:1] or " "  # an empty line is an empty context line whose space was cut off, also past the end
        targets = {" ": (hunk.old, hunk.new), "-": (hunk.old,), "+": (hunk.new,)}.get(sign)
        if sign == "\\" and last:
            _cut_line_end(last)
        elif targets is None:
            raise PatchError(f"malformed diff: line {position + 1} ({line[:40]!r}) is no line of a hunk")
        else:
            for target in targets:
                target.append(line[1:] + "\n")
            last = targets
        if len(hunk.old) > wanted[0] or len(hunk.new) > wanted[1]:
            raise PatchError(f"malformed diff: the hunk before line {position + 2} is longer than it says")
        position += 1
    if position < len(lines) and lines[position].startswith("\\") and last:
        _cut_line_end(last)
        position += 1
    diff.hunks.append(hunk)
    return position


def _cut_line_end(targets: tuple[list[str], ...]) -> None:
    """`\\ No newline at end of file`: of the line before."""
    for target in targets:
        target[-1] = target[-1].removesuffix("\n")


def _path_of(diff: _FileDiff, files: Mapping[str, str]) -> str:
    """The file a diff is about: the path of its headers, with or without Git's `a/` and `b/`."""
    old, new = diff.old_path, diff.new_path
    if old == NO_FILE:
        path = new.removeprefix("b/")
        if path in files:
            raise PatchError(f"{path[:60]!r} is said to be new, but exists")
        return path
    if new not in (NO_FILE, old) and new.removeprefix("b/") != old.removeprefix("a/"):
        raise PatchError(f"renaming {old[:60]!r} is not supported")
    path = old if old in files else old.removeprefix("a/")
    if path not in files:
        raise PatchError(f"there is no file {path[:60]!r}")
    return path


def _apply_hunks(path: str, text: str, hunks: Sequence[_Hunk]) -> str:
    lines = _split_lines(text)
    result: list[str] = []
    done = drift = 0  # lines of the old file dealt with; how far the hunk before was off
    for number, hunk in enumerate(hunks, start=1):
        expected = hunk.start - (1 if hunk.old else 0) + drift
        found = _locate(lines, hunk, expected, done)
        if found is None:
            raise PatchError(f"hunk {number} does not fit {path!r}: no such lines there")
        if hunk.old:
            drift += found - expected
        result += lines[done:found] + hunk.new
        done = found + len(hunk.old)
    return "".join(_ended(result + lines[done:]))


def _locate(lines: Sequence[str], hunk: _Hunk, expected: int, earliest: int) -> int | None:
    """Where a hunk fits, nearest to where it says; `None` if nowhere after the hunk before."""
    if not hunk.old:
        return expected if earliest <= expected <= len(lines) else None
    wanted = [line.rstrip("\n") for line in hunk.old]
    latest = len(lines) - len(wanted)
    nearest = min(max(expected, earliest), latest)
    for distance in range(max(0, latest - earliest + 1)):
        for position in (nearest - distance, nearest + distance):
            if earliest <= position <= latest and _stands_at(lines, wanted, position):
                return position
    return None


def _stands_at(lines: Sequence[str], wanted: Sequence[str], position: int) -> bool:
    return all(lines[position + index].rstrip("\n") == line for index, line in enumerate(wanted))


def _split_lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    pieces = [piece + "\n" for piece in text.split("\n")]
    pieces[-1] = pieces[-1].removesuffix("\n")
    return pieces if pieces[-1] else pieces[:-1]


def _ended(lines: list[str]) -> list[str]:
    """Every line but the last must end: text added after an unended one would run into it."""
    return [line if line.endswith("\n") else line + "\n" for line in lines[:-1]] + lines[-1:]
