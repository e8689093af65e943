r"""Find the one answer a completion gives: its last box, its answer block, or one plain final statement.

The required format is `\boxed{}` (or an answer block that holds a value). What else is accepted is what cannot be
taken for anything but a final answer, and it is listed in [`extract_answer`].
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trl_r1.chat_template import ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, Defect, ParsedCompletion, ThinkParser
from trl_r1.verifiers.answers.normalise import TEXT_COMMAND, list_connectives_as_commas


MAX_ANSWER_CHARS = 400  # a longer answer is not one value, and computer algebra on it is not bounded
MAX_UNBOXED_CHARS = 100

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}\\]|[{}]")
_JOINED = re.compile(r"[\s$]*(?:[,;]|,?\s*(?:\\text\{\s*)?(?:and|or|和|或)(?:\s*\})?)[\s$]*")
_PROSE = re.compile(r"[A-Za-z]{2,}:?[^\S\n]+[A-Za-z0-9]|[\u4e00-\u9fff]{4,}|\n")
_STATEMENT = re.compile(
    r"(?:^|(?<=[.!?。！？]))[ \t]{0,4}"
    r"(?:(?:so|thus|hence|therefore|then|and so|finally|因此|所以|故|综上)[,，]?\s*)?"
    r"(?:(?:the|my|our)\s+)?(?:(?:final|correct|最终|最后)\s*)?(?:answer|答案)\s*(?:is|[:：=]|是|为)[:：]?\s*|^####",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_ENDS = re.compile(r"[.!?](?=\s)|[。！？]|\n")


@dataclass(frozen=True, slots=True)
class Extracted:
    """The one value a completion answers with; `text` is `None` when there is none, and `missing` says why."""

    text: str | None
    boxed: bool = False
    missing: str = ""


def gradable_answer(parsed: ParsedCompletion) -> str | None:
    """
    The text of a parsed completion that may be graded.

    Args:
        parsed ([`~trl_r1.chat_template.ParsedCompletion`]):
            The completion.

    Returns:
        `str` or `None`: its answer; `None` where there is none, or more than one answer block: that is guessing.
    """
    return None if Defect.ANSWER_REPEATED in parsed.defects else parsed.answer


def graded_text(completion_or_answer: str) -> str | None:
    """
    The text that may be graded: a completion's answer, never its reasoning.

    Where a think or answer tag occurs, the text is a completion and [`~trl_r1.chat_template.ThinkParser`] says what
    its answer is (`None`: it has none, or several). Without tags the text is taken to be the answer itself.
    """
    if any(tag in completion_or_answer for tag in (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN)):
        return gradable_answer(ThinkParser().parse(completion_or_answer))
    return completion_or_answer


@dataclass(frozen=True, slots=True)
class _Box:
    start: int  # of the command
    inside: int
    end: int  # of the content


def last_box(text: str) -> str | None:
    r"""
    Content of the last `\boxed{}`, or `None` where there is none or it is not closed. Linear in the length.

    Of nested boxes the innermost counts. Boxes joined by a comma, `and` or `or` are one answer, a list.
    """
    boxes, unclosed = _find_boxes(text)
    if not boxes or any(start > boxes[-1].end for start in unclosed):
        return None
    contents: list[str] = []
    follower: _Box | None = None
    for box, innermost in _outermost(boxes):
        if follower is not None and not _JOINED.fullmatch(text, box.end + 1, follower.start):
            break
        contents.insert(0, text[innermost.inside : innermost.end].strip())
        follower = box
        if len(contents) > MAX_ANSWER_CHARS:
            break
    return ", ".join(contents)


def _find_boxes(text: str) -> tuple[list[_Box], list[int]]:
    """Balanced boxes in the order they close, and where boxes begin that never close."""
    opened: list[tuple[int, int, bool]] = []
    boxes = []
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}" and opened:
            start, inside, is_box = opened.pop()
            if is_box:
                boxes.append(_Box(start, inside, match.start()))
        elif token == "{" or len(token) > 2:  # not an escaped brace
            opened.append((match.start(), match.end(), token != "{"))
    return boxes, [start for start, _, is_box in opened if is_box]


def _outermost(boxes: list[_Box]) -> list[tuple[_Box, _Box]]:
    """Boxes inside no other, the last one first, each with the innermost box in it."""
    found: list[tuple[_Box, _Box]] = []
    for box in reversed(boxes):  # a box closes after those inside it
        if not found or box.end < found[-1][0].start:
            found.append((box, box))
        elif box.start > found[-1][1].start:
            found[-1] = (found[-1][0], box)
    return found


def extract_answer(completion_or_answer: str) -> Extracted:
    r"""
    Find the one value a completion answers with.

    In the text after the thoughts, the first of these that is there:

    1. the last `\boxed{}`, if it is closed;
    2. the whole text, where it is one short value: `7`, `$7$`, `**7**`, an answer block's content;
    3. what follows the only `The answer is`, `Answer:`, `答案是` or `####`, where that starts a sentence, and the
       value ends the text.

    A sentence is not searched for numbers, since "I have 7 apples but I do not know" would then answer 7.
    """
    text = (graded_text(completion_or_answer) or "").strip()
    if not text:
        return Extracted(None, missing="no answer")
    if r"\boxed" not in text and r"\fbox" not in text:
        return _unboxed(text)
    boxed = last_box(text)
    if boxed is None:
        return Extracted(None, missing="the box is not closed")
    if not boxed:
        return Extracted(None, missing="the box is empty")
    if len(boxed) > MAX_ANSWER_CHARS:
        return Extracted(None, missing=f"the boxed answer is longer than {MAX_ANSWER_CHARS} characters")
    return Extracted(boxed, boxed=True)


def _unboxed(text: str) -> Extracted:
    statements = list(_STATEMENT.finditer(text.replace("**", "")))
    if len(statements) == 1:
        value = text.replace("**", "")[statements[0].end() :].strip()
        value = value[:-1] if value[-1:] in (".", "。") else value
        if value and len(value) <= MAX_UNBOXED_CHARS and not _SENTENCE_ENDS.search(value):
            return Extracted(value)
    if len(text) <= MAX_UNBOXED_CHARS:
        return Extracted(text.strip("*"))
    return Extracted(None, missing="no boxed answer")


def is_prose(answer: str) -> bool:
    r"""Whether an unboxed answer is a sentence, or several lines, instead of a value."""
    without_commands = re.sub(r"\\[A-Za-z]+", " ", TEXT_COMMAND.sub("", answer))
    return _PROSE.search(list_connectives_as_commas(without_commands)) is not None
