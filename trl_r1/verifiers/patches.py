"""Patches as completions write them, read and applied without a fault left to chance.

A completion changes files in one of two ways:

- a unified diff, in a block tagged `diff` or `patch`, or bare, applied as `unified_diff.py` says;
- whole files, each in a fenced block with its path: the second word after the fence (three backticks, then
  `python stats.py`), or alone on the line above. A single block needs no path where there is a single file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trl_r1.verifiers.unified_diff import PatchError, changes_by_diff


MAX_PATCH_CHARS = 100_000
MAX_FILE_CHARS = 200_000
DIFF_TAGS = frozenset({"diff", "patch", "udiff"})

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")
_PATH = re.compile(r"[\w\-][\w.\-]*(?:/[\w\-][\w.\-]*)*")
_TITLE = re.compile(r"(?:#+ *)?\**`?(?P<path>[\w./\-]+\.\w+)`?:?\**:?")
_TEST_FILE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py|(?:.*/)?tests?/.*")


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
        changes = changes_by_diff([block.text for block in diffs] or [_bare_diff(answer)], files)
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
