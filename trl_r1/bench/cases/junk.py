"""Text that no reward may pay for, choke on or take long over."""

from __future__ import annotations

import random
from typing import Any, Final

from trl_r1.bench.case import DEFAULT_PROMPT, Case, Want, single
from trl_r1.chat_template import ANSWER_OPEN, THINK_CLOSE, THINK_OPEN


LARGE: Final = 100_000  # characters


def _noise(seed: int) -> str:
    """Characters of many scripts, no two texts of a training run alike."""
    drawn = random.Random(seed)
    ranges = [(0x20, 0x7E), (0x4E00, 0x9FA5), (0x400, 0x4FF), (0x2200, 0x22FF), (0x1F300, 0x1F5FF)]
    return "".join(chr(drawn.randint(*drawn.choice(ranges))) for _ in range(LARGE))


# Name, completion, and what it is there for. None holds thoughts that are closed, nor an answer.
JUNK: Final[list[tuple[str, str, str]]] = [
    ("empty", "", "a policy that says nothing"),
    ("blank", " \n\t \n", "whitespace only"),
    ("invisible", "\u200b\u200d\ufeff\u2060" * 50, "zero-width characters only"),
    ("dots", "." * 500, "a policy that has collapsed to one token"),
    ("one_character_100kB", "a" * LARGE, "100 kB of one letter, where quadratic matching shows"),
    ("noise_100kB", _noise(0), "100 kB of random characters"),
    ("spaces_100kB", " " * LARGE + "x", "100 kB of spaces, where trailing-space patterns backtrack"),
    ("newlines_100kB", "\n" * LARGE, "100 kB of empty lines"),
    ("digits_100kB", "7" * LARGE, "a number longer than Python turns into an integer"),
    ("open_tags", THINK_OPEN * 5000, "thoughts opened 5,000 times"),
    ("unclosed_answer", f"{THINK_OPEN} {ANSWER_OPEN} " * 2000, "answers opened in thoughts that never close"),
    ("brackets_deep", "[" * 50_000, "nesting deeper than any stack"),
    ("braces_deep", "{" * 50_000 + "}" * 10, "braces that almost never close"),
    ("boxes_unclosed", r"\boxed{" * 5000, "boxes inside boxes, none closed"),
    ("dollars", "$" * 50_001, "mathematics that opens and closes 25,000 times, then opens"),
    ("fences", "```\n" * 10_001, "code fences, an odd number"),
    ("latex_deep", r"\frac{1}{" * 3000, "fractions inside fractions"),
    ("control_characters", "\x00\x01\x1b[2J\x07" * 200, "control characters and terminal codes"),
    ("right_to_left", "\u202e\u202d\u2066" + "seven" * 20, "marks that turn the direction of reading"),
    ("format_strings", "{0.__class__} %s%n ${HOME} {{" * 20, "text that a careless formatter would expand"),
    ("repeated_sentence", "The answer is the answer. " * 2000, "a loop of one sentence"),
    ("emoji_joined", "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 2000, "joined emoji"),
    ("combining_marks", "a" + "\u0301" * 20_000, "one letter under 20,000 accents"),
]


def junk_cases(
    kind: str, want: Want, *, prompt: str = DEFAULT_PROMPT, closed: Want | None = None, **columns: Any
) -> list[Case]:
    """
    Cases of junk for a kind of reward.

    Args:
        kind (`str`):
            First part of the cases' names.
        want ([`Want`]):
            What junk must get.
        prompt (`str`, *optional*):
            What was asked.
        closed ([`Want`], *optional*):
            What it must get as the answer after honest thoughts; by default `want`.
        columns (`Any`):
            The row's columns.
    """
    cases = [
        single(f"{kind}/junk_{name}", text, want, f"junk: {why}", prompt=prompt, **columns) for name, text, why in JUNK
    ]
    cases += [
        single(
            f"{kind}/junk_answer_{name}",
            f"{THINK_OPEN} I think about it. {THINK_CLOSE} {text}",
            closed or want,
            f"junk after the thoughts: {why}",
            prompt=prompt,
            **columns,
        )
        for name, text, why in JUNK
        if THINK_OPEN not in text
    ]
    return cases
