r"""Read a cleaned answer, such as `\frac{1}{2}+\sqrt{3}`, as an exact value.

A reader of what answers look like, not of LaTeX: where two readings are usual (`1/2x`), or a command is
unknown, it gives up and leaves the text to computer algebra.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from trl_r1.verifiers.answers.exact import UndefinedError, UnreadableError, Value, from_rational
from trl_r1.verifiers.answers.formula_reader import Reader


_NAMES = r"sqrt|arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|ln|exp|pi"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4}(?![\d.]))?)|(?P<command>\\[A-Za-z]+)"
    rf"|(?P<name>(?<![A-Za-z])(?:{_NAMES})(?![A-Za-z]))|(?P<letter>[A-Za-z])|(?P<sign>[-+*/^!()\[\]{{}}|_']))"
)
_SPACED_NUMBERS = re.compile(r"(?<!_)\d \.?\d")
_MIXED = re.compile(r"(-?)(\d+) (\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Formula:
    """
    What a text stands for.

    Args:
        value (`Value`):
            Its exact value.
        literal (`bool`):
            Whether it is a number as one writes it down: digits, a decimal, an irreducible fraction, a mixed number,
            or a number times a power of ten, with a sign.
        reducible (`bool`):
            Whether an operation in it gives a rational number and is left undone: `7+5`, `2^{10}`, `\\sqrt{16}`.
    """

    value: Value
    literal: bool
    reducible: bool


@lru_cache(maxsize=4_000)  # a gold answer comes once for every completion of its group
def read_formula(cleaned: str) -> Formula:
    """
    Read a cleaned answer as one value.

    Raises:
        `TooLargeError`: when it has more digits than `exact.MAX_BITS` or too many terms.
        `UndefinedError`: when it stands for no value, such as `7/0`.
        `UnreadableError`: when it is something else; computer algebra may know.
    """
    mixed = _MIXED.fullmatch(cleaned)
    if mixed:
        sign, whole, numerator, denominator = mixed.groups()
        if len(cleaned) > 60 or int(denominator) == 0:
            raise UndefinedError(cleaned)
        number = int(whole) + Fraction(int(numerator), int(denominator))
        return Formula(from_rational(-number if sign else number), True, False)
    if _SPACED_NUMBERS.search(cleaned):
        raise UndefinedError("two numbers side by side")  # algebra would take `3 4` for a product
    reader = Reader(_tokens(cleaned))
    value = reader.read()
    literal = value.rational is not None and (not reader.reducible or reader.scientific) and not reader.other
    return Formula(value, literal, reader.reducible)


def _tokens(cleaned: str) -> list[str]:
    tokens, position = [], 0
    while position < len(cleaned):
        match = _TOKEN.match(cleaned, position)
        if not match:
            if not cleaned[position:].strip():
                break
            raise UnreadableError(f"no formula: {cleaned[position]}")
        name = match.group("name")
        tokens.append("\\" + name if name else match.group().strip())
        position = match.end()
    if not tokens:
        raise UnreadableError("empty")
    return tokens
