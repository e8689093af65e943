r"""
Does a rewritten text still say what the sample said? Signs that it does not, which cost no model.

They cannot prove that every step is there. They catch what a rewriting model does when it goes wrong: it solves the
problem again, shortens a chain to its result, calculates with other numbers, or follows an instruction in the text.
"""

from __future__ import annotations

import re
from typing import Final

from trl_r1.data.filters import count_written_words


MAX_NEW_NUMBERS: Final = 0.1  # share of a rewrite's different numbers; room for one "2 ways" in ten
MIN_KEPT_NUMBERS: Final = 0.5  # of the sample's: R1-Zero repeats and strays, but half of what it calculated matters
MIN_LENGTH: Final = 0.3  # words of the rewrite to one of the sample
MAX_LENGTH: Final = 3.0
SHORT: Final = 30  # words up to which a sample may grow more: a sentence around a bare formula

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_ABOUT_ITSELF = re.compile(
    r"\b(?:rewritten|rewrit(?:e|ing)|rephrased?|the (?:original )?notes|thought process|as (?:requested|instructed)"
    r"|here(?: is|'s) the (?:new|edited|revised|rewritten|solution))\b|(?:改写|重写|重新表述|思考过程|原始笔记)",
    re.IGNORECASE,
)


def numbers_in(text: str) -> set[str]:
    """The different numbers of a text: digits, `1,000` and `1000` the same, `2.50` and `2.5` too."""
    return {_plain(match.group()) for match in _NUMBER.finditer(text)}


def number_problem(original: str, allowed: str, rewritten: str) -> str | None:
    """
    `"new_numbers"` when the rewrite calculates with others, `"lost_numbers"` when it drops too many.

    Args:
        original (`str`):
            The chain of thought as sampled.
        allowed (`str`):
            What else the rewrite may take numbers from: the question and the answer.
        rewritten (`str`):
            The new text.
    """
    there, now = numbers_in(original), numbers_in(rewritten)
    if now and len(now - there - numbers_in(allowed)) / len(now) > MAX_NEW_NUMBERS:
        return "new_numbers"
    return "lost_numbers" if there and len(there & now) / len(there) < MIN_KEPT_NUMBERS else None


def length_problem(original: str, rewritten: str) -> str | None:
    """`"too_short"` or `"too_long"` beside the sample, in words or single Chinese and Japanese characters."""
    before, after = count_written_words(original), count_written_words(rewritten)
    if after < MIN_LENGTH * before:
        return "too_short"
    return "too_long" if after > MAX_LENGTH * max(before, SHORT) else None


def comment_problem(original: str, rewritten: str) -> str | None:
    """`"comments"` when the rewrite speaks of itself in words that the sample does not have."""
    said = {match.group().lower() for match in _ABOUT_ITSELF.finditer(rewritten)}
    return "comments" if said - {match.group().lower() for match in _ABOUT_ITSELF.finditer(original)} else None


def _plain(number: str) -> str:
    whole, dot, part = number.replace(",", "").partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (dot + part if part else "")
