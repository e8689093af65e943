"""Patches as completions write them, read and applied without a fault left to chance.

A completion changes files in one of two ways:

- a unified diff, in a block tagged `diff` or `patch`, or bare. Context and removed lines must be in the file as they
  stand in the diff; a hunk may be some lines off, as `patch --fuzz=0` allows. Counts must be right, and every line
  must belong to a hunk;
- whole files, each in a fenced block with its path: the second word after the fence (three backticks, then
  `python stats.py`), or alone on the line above. A single block needs no path where there is a single file.

(`unidiff`, the maintained reader, passes over the last line of `@@ -2 +2 @@`, `-a`, `+b`, `+c` in silence, and applies
nothing, so this one is our own.)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trl_r1.errors import R1Error


MAX_PATCH_CHARS = 100_000
MAX_FILE_CHARS = 200_000
MAX_HUNKS = 200
DIFF_TAGS = frozenset({"diff", "patch", "udiff"})
NO_FILE = "/dev/null"

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")
_PATH = re.compile(r"[\w\-][\w.\-]*(?:/[\w\-][\w.\-]*)*")
_TITLE = re.compile(r"(?:#+ *)?\**`?(?P<path>[\w./\-]+\.\w+)`?:?\**:?")
_HUNK = re.compile(r"@@ -(\d{1,7})(?:,(\d{1,7}))? \+(\d{1,7})(?:,(\d{1,7}))? @@.*")
_GIT_HEADERS = ("diff --git ", "index ", "new file mode ", "deleted file mode ", "old mode ", "new mode ")
_TEST_FILE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py|(?:.*/)?tests?/.*")


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


@dataclass(frozen=True, slots=True)
class _Block:
    info: str  # what stands after the opening fence
    title: str  # the line above it
    text: str


def apply_patch(answer: str, files: Mapping[str, str], protected: Sequence[str] = ()) -> dict[str, str]:
    """
    Apply what a completion answers to a snapshot.

    Args:
        answer (`str`):
            Text after the thoughts: a unified diff, or whole files in fenced blocks.
        files (`Mapping[str, str]`):
            Snapshot, text by relative path.
        protected (`Sequence[str]`, *optional*):
            Paths no patch may touch, besides everything that looks like a test.

    Returns:
        `dict[str, str]`: the new snapshot.

    Raises:
        [`PatchError`]: when there is no patch, or it does not fit, changes nothing, or touches what it may not.

    Example:

    ```python
    >>> apply_patch("--- a/f.py\\n+++ b/f.py\\n@@ -1 +1 @@\\n-x = 1\\n+x = 2\\n", {"f.py": "x = 1\\n"})
    {'f.py': 'x = 2\\n'}
    ```
    """
    if len(answer) > MAX_PATCH_CHARS:
        raise PatchError(f"the patch is longer than {MAX_PATCH_CHARS} characters")
    blocks = list(_fenced_blocks(answer))
    diffs = [block for block in blocks if block.info.split()[:1] and block.info.split()[0].lower() in DIFF_TAGS]
    if diffs or not blocks:
        changes = _changes_by_diff([block.text for block in diffs] or [_bare_diff(answer)], files)
    else:
        changes = _whole_files(blocks, files)
    for path, text in changes.items():
        _check_change(path, text, protected)
    changed = {**files, **changes}
    result = {path: text for path, text in changed.items() if text is not None}
    if result == dict(files):
        raise PatchError("the patch changes nothing")
    return result


def _check_change(path: str, text: str | None, protected: Sequence[str]) -> None:
    shown = repr(path[:60])
    if not _PATH.fullmatch(path) or len(path) > 200:
        raise PatchError(f"{shown} is no path inside the repository")
    if path in protected or _TEST_FILE.fullmatch(path):
        raise PatchError(f"{shown} is a test, which no patch may touch")
    if text is not None and len(text) > MAX_FILE_CHARS:
        raise PatchError(f"{shown} becomes longer than {MAX_FILE_CHARS} characters")


# ------------------------------------------------------------------------------------------------- finding it


def _fenced_blocks(answer: str) -> Iterator[_Block]:
    """Fenced blocks; a fence further in than the opening one is part of the content."""
    opened: re.Match[str] | None = None
    title = above = ""
    lines: list[str] = []
    for line in answer.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip())
        if opened is None:
            if fence:
                opened, title, lines = fence, above, []
            elif line.strip():
                above = line.strip()
        elif fence and _closes(fence, opened):
            indent = len(opened["indent"])
            text = "".join((line[indent:] if not line[:indent].strip() else line) + "\n" for line in lines)
            yield _Block(opened["info"].strip(), title, text)
            opened, above = None, ""
        else:
            lines.append(line)
    if opened is not None:
        raise PatchError("the last block is not closed")


def _closes(fence: re.Match[str], opened: re.Match[str]) -> bool:
    same = fence["fence"][0] == opened["fence"][0] and len(fence["fence"]) >= len(opened["fence"])
    return same and not fence["info"].strip() and len(fence["indent"]) <= len(opened["indent"])


def _bare_diff(answer: str) -> str:
    """The diff in a text without blocks: from its first header on."""
    lines = answer.split("\n")
    for index, (line, after) in enumerate(itertools.pairwise(lines)):
        if line.startswith("diff --git ") or (line.startswith("--- ") and after.startswith("+++ ")):
            return "\n".join(lines[index:])
    raise PatchError("no patch: neither a unified diff nor a block with a file")


def _whole_files(blocks: Sequence[_Block], files: Mapping[str, str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for block in blocks:
        words = block.info.split()
        title = _TITLE.fullmatch(block.title)
        if len(words) > 1:
            found[words[1]] = block.text
        elif title:
            found[title["path"]] = block.text
        elif len(blocks) == 1 and len(files) == 1:
            found[next(iter(files))] = block.text
    if not found:
        raise PatchError("no block says which file it is; write its path after the fence, as in ```python stats.py")
    return found


# ------------------------------------------------------------------------------------------------- reading a diff


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


# ------------------------------------------------------------------------------------------------- applying a diff


def _changes_by_diff(texts: Sequence[str], files: Mapping[str, str]) -> dict[str, str | None]:
    """New text of each changed file, `None` for a deleted one."""
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
