"""Exact rational arithmetic on plain numbers: fractions, decimals, percent, mixed numbers, powers, factorials.

It settles most answers at once, and rightly where floating point fails: `1/2004!` is not `1/2006!`, and
`2^-99` is not `2^-98`. Sizes are bounded before anything is computed, so no answer can make it slow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction


MAX_BITS = 40_000  # of a numerator or denominator; 2004! has 19,000
MAX_FACTORIAL = 3_000
MAX_DEPTH = 40

_TOKEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+|[-+*/^!()])")
_MIXED = re.compile(r"(-?)(\d+) ?(?:\\frac\{(\d+)\}\{(\d+)\}|(?<= )(\d+)/(\d+))")
_FRACTION = re.compile(r"\\frac\{([^{}]*)\}\{([^{}]*)\}")
_GROUP_IN_EXPONENT = re.compile(r"\^\{([^{}]*)\}")
_GROUP = re.compile(r"\{([^{}]*)\}")


class TooLargeError(ArithmeticError):
    """The value has more digits than anyone answers with: a tower of powers, a huge factorial."""


class _NotPlainError(ValueError):
    """The text is no plain number; computer algebra may know."""


def evaluate(cleaned: str) -> Fraction | None:
    """
    Value of a cleaned answer, or `None` when it is not a plain number.

    Args:
        cleaned (`str`):
            Answer as [`~trl_r1.verifiers.normalise.clean`] leaves it. A percent sign is not understood here, as
            `50%` may mean 50 or 1/2.

    Raises:
        `TooLargeError`: when the value would exceed `MAX_BITS`.
    """
    mixed = _MIXED.fullmatch(cleaned)
    if mixed:
        sign, whole, *parts = mixed.groups()
        numerator, denominator = (int(part) for part in parts if part is not None)
        if denominator == 0:
            return None
        return (-1 if sign else 1) * (int(whole) + Fraction(numerator, denominator))
    source = _to_infix(cleaned)
    tokens = _TOKEN.findall(source)
    if not tokens or "".join(tokens) != source:
        return None
    try:
        return _Reader(tokens).read()
    except (_NotPlainError, ZeroDivisionError):
        return None


def _to_infix(cleaned: str) -> str:
    r"""Rewrite `\frac{a}{b}` and braces as parentheses, innermost first."""
    while True:
        for pattern, replacement in (
            (_FRACTION, r"((\1)/(\2))"),
            (_GROUP_IN_EXPONENT, r"^(\1)"),
            (_GROUP, r"(\1)"),
        ):
            rewritten = pattern.sub(replacement, cleaned)
            if rewritten != cleaned:
                break
        else:
            return cleaned
        cleaned = rewritten


class _Reader:
    """Recursive descent over tokens; each rule returns the value of what it consumed."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    def read(self) -> Fraction:
        value = self._sum()
        if self.position != len(self.tokens):
            raise _NotPlainError
        return value

    def _next(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next()
        if token not in wanted:
            return ""
        self.position += 1
        return token

    def _sum(self) -> Fraction:
        value = self._product()
        while operator := self._take("+", "-"):
            right = self._product()
            value = _bounded(value + right if operator == "+" else value - right)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while operator := self._take("*", "/"):
            right = self._signed()
            value = _bounded(value * right if operator == "*" else value / right)
        return value

    def _signed(self) -> Fraction:
        return self._nested(lambda: -self._signed() if self._take("-") else self._unsigned())

    def _unsigned(self) -> Fraction:
        self._take("+")
        value = self._factorial()
        return _power(value, self._signed()) if self._take("^") else value

    def _factorial(self) -> Fraction:
        value = self._atom()
        while self._take("!"):
            if value.denominator != 1 or value < 0:
                raise _NotPlainError
            if value > MAX_FACTORIAL:
                raise TooLargeError
            value = Fraction(math.factorial(value.numerator))
        return value

    def _atom(self) -> Fraction:
        if self._take("("):
            value = self._nested(self._sum)
            if not self._take(")"):
                raise _NotPlainError
            return value
        token = self._next()
        if not token or not (token[0].isdigit() or token[0] == "."):
            raise _NotPlainError
        self.position += 1
        return Fraction(token)

    def _nested(self, rule: Callable[[], Fraction]) -> Fraction:
        """Apply a rule that may recurse, within a depth Python's stack bears."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _NotPlainError
        value = rule()
        self.depth -= 1
        return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise _NotPlainError
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size > 1 and abs(exponent) * size > MAX_BITS:
        raise TooLargeError
    # Beyond the size check only -1, 0 and 1 have large exponents, and their powers depend on parity alone.
    reduced = int(exponent) if size > 1 else int(math.copysign(2 - int(exponent) % 2, exponent)) if exponent else 0
    return Fraction(base**reduced)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLargeError
    return value
