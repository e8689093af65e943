"""Words of self-reflection in a chain of thought, as the paper counts them."""

from __future__ import annotations

import re
from typing import Final


# The words whose rise the paper counts, chosen by three experts (DeepSeek-R1, arXiv 2501.12948v2, C.2).
REFLECTIVE_WORDS: Final = frozenset(
    {"wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"}
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")  # numbers too: thoughts of formulas have few other words


def count_reflective(text: str | None) -> tuple[int, int]:
    """Reflective words, and words and numbers, of a text: whole words, whatever their case. Both 0 for `None`."""
    words = _WORD.findall((text or "").casefold())
    return sum(map(REFLECTIVE_WORDS.__contains__, words)), len(words)
