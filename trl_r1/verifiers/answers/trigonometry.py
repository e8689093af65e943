"""Sines and cosines as exact values: known at the usual angles, of a multiple by the formulas for sums."""

from __future__ import annotations

from fractions import Fraction

from trl_r1.verifiers.answers.exact import ONE, PI, Value, content, from_generator, from_rational
from trl_r1.verifiers.answers.powers import is_usual_angle, sine_of_turns


MAX_MULTIPLE = 6
MAX_PARTS = 3


def trigonometric(name: str, argument: Value) -> Value:
    """
    A function of an angle in radians.

    Args:
        name (`str`):
            `"sin"`, `"cos"`, `"tan"`, `"cot"`, `"sec"` or `"csc"`; another function is left as it is.
        argument ([`~trl_r1.verifiers.answers.exact.Value`]):
            The angle.

    Raises:
        `UndefinedError`: at a pole.
    """
    if name not in ("sin", "cos", "tan", "cot", "sec", "csc"):
        return from_generator(("function", name, argument.key))
    sine, cosine = _sine_and_cosine(argument)
    one = from_rational(1)
    match name:
        case "sin":
            return sine
        case "cos":
            return cosine
        case "tan":
            return sine / cosine
        case "cot":
            return cosine / sine
        case "sec":
            return one / cosine
        case _:
            return one / sine


def _sine_and_cosine(argument: Value) -> tuple[Value, Value]:
    if not argument.numerator:
        return from_rational(0), from_rational(1)
    if set(argument.denominator) != {ONE}:
        return _opaque(argument)
    turns = (argument / from_generator(PI)).rational
    if turns is not None and is_usual_angle(turns):
        return sine_of_turns(turns), sine_of_turns(Fraction(1, 2) - turns)
    if _leading_sign(argument) < 0:
        sine, cosine = _sine_and_cosine(-argument)
        return -sine, cosine
    if 1 < len(argument.numerator) <= MAX_PARTS:
        first_part = _first_term(argument)
        rest = argument - first_part
        return _sum_of_angles(_sine_and_cosine(first_part), _sine_and_cosine(rest))
    multiple = content(argument.numerator).numerator
    if not 1 < multiple <= MAX_MULTIPLE:
        return _opaque(argument)
    part = argument / from_rational(multiple)
    angle = one = _sine_and_cosine(part)
    for _ in range(multiple - 1):
        angle = _sum_of_angles(angle, one)
    return angle


def _sum_of_angles(left: tuple[Value, Value], right: tuple[Value, Value]) -> tuple[Value, Value]:
    return left[0] * right[1] + left[1] * right[0], left[1] * right[1] - left[0] * right[0]


def _opaque(argument: Value) -> tuple[Value, Value]:
    sine, cosine = (from_generator(("function", name, argument.key)) for name in ("sin", "cos"))
    return sine, cosine


def _leading_sign(argument: Value) -> int:
    """A sign that an argument and its negative do not share."""
    (factor,) = _first_term(argument).numerator.values()
    return 1 if factor > 0 else -1


def _first_term(argument: Value) -> Value:
    """One of its terms, the same however it is written."""
    term = min(argument.numerator, key=lambda each: repr(sorted(each, key=repr)))
    return Value({term: argument.numerator[term]}, argument.denominator)
