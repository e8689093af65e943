"""Numbers that prove two values different: floating-point evaluation, trusted only where it cannot err by much.

Nothing here proves equality.
"""

from __future__ import annotations

import cmath
import math
import zlib
from fractions import Fraction
from typing import Any

from trl_r1.verifiers.answers.exact import IMAGINARY, PI, E, Generator, Sum, Value


TRUSTED_GAP = 1e-6  # relative to the largest intermediate result; rounding errs by about 1e-13 of it
_POINTS = ((0.31, 0.43), (1.17, 1.61))  # variables take values in these ranges: below and above one

_FUNCTIONS = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "ln": cmath.log,
    "abs": lambda z: complex(abs(z)),
}


class _DoubtfulError(ArithmeticError):
    """Rounding may have spoilt the number."""


def numbers_differ(left: Value, right: Value) -> bool:
    """
    Whether numbers prove that two values differ.

    Both are evaluated where their variables are below one and where they are above, and must differ at both places: an
    identity that holds on one side of one only is computer algebra's business.
    """
    if not left.has_variable and not right.has_variable:
        return _differ_at(left, right, _POINTS[0])
    return all(_differ_at(left, right, place) for place in _POINTS)


def evaluate(value: Value, place: tuple[float, float] = _POINTS[0]) -> complex | None:
    """The value as a number, or `None` where rounding may have spoilt it."""
    try:
        return _Evaluator(place).value(value)
    except (ArithmeticError, ValueError):
        return None


def _differ_at(left: Value, right: Value, place: tuple[float, float]) -> bool:
    first, second = evaluate(left, place), evaluate(right, place)
    if first is None or second is None:
        return False
    gap, scale = abs(first - second), max(abs(first), abs(second), 1e-30)
    return math.isfinite(gap) and gap > TRUSTED_GAP * scale


class _Evaluator:
    """Values of generators at one place."""

    def __init__(self, place: tuple[float, float]) -> None:
        self.place = place

    def value(self, value: Value) -> complex:
        return self._quotient(value.numerator, value.denominator)

    def _quotient(self, numerator: Any, denominator: Any) -> complex:
        return self._sum(numerator) / self._sum(denominator)

    def _sum(self, terms: Sum) -> complex:
        total, size = 0j, 0.0
        for term, factor in terms.items():
            product = complex(float(factor))
            for generator, exponent in term:
                product *= self._generator(generator) ** float(exponent)
            total += product
            size += abs(product)
        if abs(total) < TRUSTED_GAP * size:
            raise _DoubtfulError  # the terms cancel: what is left of them may be rounding
        return total

    def _generator(self, generator: Generator) -> complex:
        if generator == IMAGINARY:
            return 1j
        if generator == PI:
            return complex(math.pi)
        if generator == E:
            return complex(math.e)
        kind, name = generator[0], generator[1]
        if kind == "prime":
            return complex(int(str(name)))
        if kind == "variable":
            low, high = self.place
            return complex(low + (high - low) * (zlib.crc32(str(name).encode()) % 9973) / 9973)
        if kind == "sum":
            return self._keyed(name)
        if kind == "power":
            exponent = self._sum({generator[2]: Fraction(1)})  # type: ignore[dict-item]
            if abs(exponent) > 50:
                raise _DoubtfulError
            return self._generator(name) ** exponent  # type: ignore[arg-type]
        if kind == "function" and str(name) in _FUNCTIONS:
            argument = self._keyed(generator[2])
            if abs(argument) > 1e6:
                raise _DoubtfulError
            result = complex(_FUNCTIONS[str(name)](argument))
            if abs(result) > 1e6:
                raise _DoubtfulError
            return result
        raise _DoubtfulError

    def _keyed(self, key: Any) -> complex:
        numerator, denominator = key
        return self._quotient(dict(numerator), dict(denominator))
