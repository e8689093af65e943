r"""What LaTeX commands in an answer stand for: `\frac`, `\sqrt`, `\binom`, logarithms and rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from trl_r1.verifiers.answers.exact import PI, E, TooLargeError, UnreadableError, Value, from_generator, from_rational
from trl_r1.verifiers.answers.powers import logarithm, power, root_power


if TYPE_CHECKING:
    from trl_r1.verifiers.answers.formula_reader import Reader


MAX_FACTORIAL = 3_000


def fraction(reader: Reader) -> Value:
    """Both groups of a fraction."""
    return reader.quotient(reader.group(), reader.group())


def root(reader: Reader) -> Value:
    """A root, of a degree given in brackets or the square root. Odd roots of negative numbers are real."""
    degree = Fraction(2)
    if reader.take("["):
        found = reader.nested(reader.sum).rational
        reader.expect("]")
        if found is None or found.denominator != 1 or not 2 <= found <= 100:
            raise UnreadableError("a root of unusual degree")
        degree = found
    radicand = reader.group()
    number = radicand.rational
    if number is not None and number < 0 and degree % 2:
        return reader.undone(-root_power(-radicand, 1 / degree))
    return reader.undone(root_power(radicand, 1 / degree) if radicand.numerator else radicand, radicand)


def binomial(reader: Reader) -> Value:
    """A binomial coefficient of whole numbers."""
    top, bottom = reader.group().rational, reader.group().rational
    if top is None or bottom is None or top.denominator != 1 or bottom.denominator != 1 or bottom < 0 or top < 0:
        raise UnreadableError("a binomial coefficient of no numbers")
    if top > MAX_FACTORIAL:
        raise TooLargeError
    return reader.undone(from_rational(math.comb(int(top), int(bottom))))


def natural_logarithm(reader: Reader) -> Value:
    """The natural logarithm of what follows."""
    return reader.undone(logarithm(reader.argument()))


def any_logarithm(reader: Reader) -> Value:
    """A logarithm to a base; without one it is to ten, as Math-Verify reads it."""
    base = logarithm(reader.group() if reader.take("_") else from_rational(10))
    return reader.undone(logarithm(reader.argument()) / base)


def exponential(reader: Reader) -> Value:
    """The exponential function of what follows."""
    return power(from_generator(E), reader.argument())


def floor(reader: Reader) -> Value:
    """The floor of a rational number."""
    return _rounded(reader, math.floor, r"\rfloor")


def ceiling(reader: Reader) -> Value:
    """The ceiling of a rational number."""
    return _rounded(reader, math.ceil, r"\rceil")


def _rounded(reader: Reader, function: Callable[[Fraction], int], closing: str) -> Value:
    number = reader.nested(reader.sum).rational
    reader.expect(closing)
    if number is None:
        raise UnreadableError("only a number is rounded here")
    return reader.undone(from_rational(function(number)))


def factorial(value: Value) -> int:
    """The factorial of a whole number."""
    number = value.rational
    if number is None or number.denominator != 1 or number < 0:
        raise UnreadableError("a factorial of no whole number")
    if number > MAX_FACTORIAL:
        raise TooLargeError
    return math.factorial(int(number))


COMMANDS: dict[str, Callable[[Reader], Value]] = {
    r"\frac": fraction,
    r"\sqrt": root,
    r"\binom": binomial,
    r"\ln": natural_logarithm,
    r"\log": any_logarithm,
    r"\exp": exponential,
    r"\lfloor": floor,
    r"\lceil": ceiling,
    r"\pi": lambda reader: from_generator(PI),
}
