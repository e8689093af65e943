r"""From a completion to the few characters that are compared: find the answer, then strip what LaTeX adds for looks.

Nothing here computes; see `exact.py` for arithmetic. Quoted text, such as the `"cm"` of `12"cm"`, is how a cleaned
answer remembers what stood in `\text{}`, which tells a unit from a product of variables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from trl_r1.chat_template import ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, ThinkParser


MAX_ANSWER_CHARS = 400  # a longer answer is not one value, and computer algebra on it is not bounded
MAX_UNBOXED_CHARS = 100

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}\\]|[{}]")
_PROSE = re.compile(r"[A-Za-z]{2,}:?[^\S\n]+[A-Za-z0-9]|[\u4e00-\u9fff]{4,}|\n")
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}")
_SYMBOLS = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
    | {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ "}
)
_SPACING = re.compile(
    r"\\(?:left|right|bigl|bigr|Bigl|Bigr|displaystyle|limits|qquad|quad)(?![A-Za-z])|\\[;: ,]|~|\s+"
)
_THIN_THOUSANDS = re.compile(r"(?<=\d)\\[,!](?=\d{3}(?!\d))")
_LOOSE_SPACE = re.compile(r"(?<![0-9A-Za-z]) | (?![0-9A-Za-z])")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_CONNECTIVE = re.compile(r'\s*"\s*(?:and|or)\s*"\s*|(?<=[^A-Za-z])(?:and|or)(?=[^A-Za-z])|;')
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_UNIT = re.compile(
    r'(?P<value>.*[\d)}%])\s*(?P<unit>"[^"]+"(?:\^\{?-?\d\}?)?|(?<=\s)[A-Za-z]{2,}(?: [A-Za-z]+)*|\^\{?\\circ ?\}?)'
)


def graded_text(completion_or_answer: str) -> str | None:
    """
    The text that may be graded: a completion's answer, never its reasoning.

    Where a think or answer tag occurs, the text is a completion and [`~trl_r1.chat_template.ThinkParser`] says what
    its answer is (`None`: it has none). Without tags the text is taken to be the answer itself.
    """
    if any(tag in completion_or_answer for tag in (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN)):
        return ThinkParser().parse(completion_or_answer).answer
    return completion_or_answer


def last_box(text: str) -> str | None:
    r"""Content of the last balanced `\boxed{}` (of nested ones the innermost), or `None`. Linear in the length."""
    opened: list[tuple[bool, int]] = []
    found: tuple[int, int] | None = None
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}" and opened:
            is_box, start = opened.pop()
            if is_box and (found is None or start > found[0]):
                found = (start, match.start())
        elif token == "{" or len(token) > 2:  # not an escaped brace
            opened.append((token != "{", match.end()))
    return text[slice(*found)].strip() if found else None


@dataclass(frozen=True, slots=True)
class Extracted:
    """The one value a completion answers with; `text` is `None` when there is none, and `missing` says why."""

    text: str | None
    boxed: bool = False
    missing: str = ""


def extract_answer(completion_or_answer: str) -> Extracted:
    r"""
    Find the one value a completion answers with.

    It is the last balanced `\boxed{}` of the graded text. Without a box, the whole graded text is the answer if it is
    short, as in an answer block; a sentence is not searched for numbers, since "I have 7 apples but I do not know"
    would then answer 7.
    """
    text = (graded_text(completion_or_answer) or "").strip()
    if not text:
        return Extracted(None, missing="no answer")
    boxed = last_box(text)
    if boxed is None:
        if r"\boxed" in text:
            return Extracted(None, missing="the box is not closed")
        return Extracted(text) if len(text) <= MAX_UNBOXED_CHARS else Extracted(None, missing="no boxed answer")
    if not boxed:
        return Extracted(None, missing="the box is empty")
    if len(boxed) > MAX_ANSWER_CHARS:
        return Extracted(None, missing=f"the boxed answer is longer than {MAX_ANSWER_CHARS} characters")
    return Extracted(boxed, boxed=True)


def is_prose(answer: str) -> bool:
    r"""Whether an unboxed answer is a sentence, or several lines, instead of a value."""
    without_commands = re.sub(r"\\[A-Za-z]+", " ", _TEXT_COMMAND.sub("", answer))
    return _PROSE.search(_CONNECTIVE.sub(",", without_commands)) is not None


def strip_delimiters(text: str) -> str:
    """Remove math delimiters around the whole text, and a closing full stop."""
    text = text.strip()
    while True:
        text = text.removesuffix(".").rstrip() if not text.endswith(r"\.") else text
        for opening, closing in _DELIMITERS:
            inner = text[len(opening) : -len(closing)]
            if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
                if opening[0] == "$" and "$" in inner.replace(r"\$", ""):
                    continue  # `$1$ and $2$` opens and closes twice
                text = inner.strip()
                break
        else:
            return text


@lru_cache(maxsize=10_000)  # a gold answer comes once for every completion of its group
def clean(text: str) -> str:
    r"""
    The answer in one spelling: no spacing commands, `\frac{}{}` for all fractions, `"..."` for `\text{...}`.

    A space survives only between letters and digits, so that `2 1/2` does not become `21/2`.
    """
    text = strip_delimiters(text.translate(_SYMBOLS)).replace(r"\$", "").replace("$", "")
    text = _THIN_THOUSANDS.sub("", text).replace("{,}", ",").replace(r"\!", "").replace(r"\%", "%")
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = re.sub(r"\\(?:cdot|times)(?![A-Za-z])", "*", text)
    text = re.sub(r"\\div(?![A-Za-z])", "/", text)
    text = re.sub(r"\\frac\s*(\d)", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}", text)
    text = re.sub(r"\\(?:geq|ge)(?![A-Za-z])", ">=", re.sub(r"\\(?:leq|le)(?![A-Za-z])", "<=", text))
    text = _TEXT_COMMAND.sub(lambda match: f'"{match.group(1).strip()}"', text)
    return strip_delimiters(_LOOSE_SPACE.sub("", _SPACING.sub(" ", text)))


def plain(cleaned: str) -> str:
    """A cleaned answer without quotes: what two answers are compared by, character for character."""
    letter = re.fullmatch(r'"?\(?([A-Z])[.)]?"?', cleaned)  # an option: B, (B), B.
    return letter.group(1) if letter else cleaned.replace('"', "")


def is_words(cleaned: str) -> bool:
    r"""
    Whether a cleaned answer is text (`"east"`, `Tuesday`, Chinese characters) and no formula.

    Computer algebra would read it as a product of letters, equal to any anagram.
    """
    if re.fullmatch(r'"[^"\d]*"', cleaned):
        return True
    bare = cleaned.replace('"', "")
    return re.fullmatch(r"[A-Za-z' -]*[A-Za-z]{4,}[A-Za-z' -]*|[\u4e00-\u9fff]+", bare) is not None


def split_unit(cleaned: str) -> tuple[str, str | None]:
    r"""Split `12"cm"` into `("12", "cm")`; the unit is `None` where there is none."""
    match = _UNIT.fullmatch(cleaned)
    if not match:
        return cleaned, None
    unit = match.group("unit").replace('"', "").strip()
    return match.group("value").strip(), "degree" if "circ" in unit else unit.removesuffix("s").removesuffix(".")


def split_list(cleaned: str) -> list[list[str]]:
    r"""
    The readings of a cleaned answer as a list of values, most likely first.

    `1,234,567` is one number; `100,200` may be one number or two; `3 or 4` is two values and so never equals one.
    """
    braced = cleaned.startswith(r"\{") and cleaned.endswith(r"\}")
    body = cleaned[2:-2] if braced else cleaned
    parts = [part.strip() for part in _CONNECTIVE.split(body)]
    every_comma = [item for part in parts for item in _split_commas(part)]
    if not any(_THOUSANDS.fullmatch(part) for part in parts):
        return [every_comma]
    grouped = [
        item
        for part in parts
        for item in ([part.replace(",", "")] if _THOUSANDS.fullmatch(part) else _split_commas(part))
    ]
    return [every_comma, grouped] if braced else [grouped, every_comma]


def _split_commas(text: str) -> list[str]:
    """Split at the commas outside all brackets."""
    items, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            items.append(text[start:index].strip())
            start = index + 1
    return [item for item in [*items, text[start:].strip()] if item]
