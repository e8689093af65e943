"""Are two exact values equal? Proven by their form or an identity, refuted by their form or by numbers, or open."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from trl_r1.verifiers.answers.exact import ONE, PI, Generator, Sum, TooLargeError, Value, add, multiply
from trl_r1.verifiers.answers.numeric import evaluate, numbers_differ


MAX_SQUARED_COSINES = 4
CLEARLY_ZERO = 1e-9

_COSINES: dict[Generator, tuple[str, Fraction]] = {
    ("function", "cos"): ("sin", Fraction(-1)),
    ("function", "cosh"): ("sinh", Fraction(1)),
}
_INDEPENDENT = {"prime", "i", "variable"}


def same_value(left: Value, right: Value) -> bool | None:
    """
    Whether two values are equal.

    Returns:
        `bool` or `None`: `None` when neither equality nor difference is proven here.
    """
    if left.key == right.key:
        return True
    try:
        difference = (left - right).numerator
    except TooLargeError:
        return False if numbers_differ(left, right) else None
    if not difference:
        return True
    generators = {generator for term in difference for generator, _ in term}
    if all(generator[0] in _INDEPENDENT or generator == PI for generator in generators):
        return False
    if numbers_differ(left, right):
        return False
    try:
        return True if _vanishes(difference) else None
    except TooLargeError:
        return None


def _vanishes(terms: Sum) -> bool:
    """Whether a sum is zero by an identity known here."""
    terms = _without_cosine_squares(_without_divisors(terms))
    return not terms or _vanishes_by_squaring(terms)


def _without_divisors(terms: Sum) -> Sum:
    """The sum times what stands below fraction bars in its terms, so that no exponent is negative."""
    lowest: dict[Generator, Fraction] = {}
    for term in terms:
        for generator, exponent in term:
            lowest[generator] = min(lowest.get(generator, Fraction(0)), exponent)
    factor = frozenset((generator, -exponent) for generator, exponent in lowest.items() if exponent < 0)
    return multiply(terms, {factor: Fraction(1)})


def _without_cosine_squares(terms: Sum) -> Sum:
    """The sum with `1 - sin^2` for every `cos^2`, and `1 + sinh^2` for every `cosh^2`."""
    result: Sum = {}
    for term, factor in terms.items():
        piece = {term: factor}
        for generator, exponent in term:
            pairs = int(exponent // 2)
            if generator[:2] in _COSINES and exponent.denominator == 1 and 0 < pairs <= MAX_SQUARED_COSINES:
                rest = term - {(generator, exponent)} | ({(generator, Fraction(1))} if exponent % 2 else frozenset())
                piece = {rest: factor}
                name, sign = _COSINES[generator[:2]]
                sine: Generator = ("function", name, generator[2])
                for _ in range(pairs):
                    piece = multiply(piece, {ONE: Fraction(1), frozenset({(sine, Fraction(2))}): sign})
                piece = _without_cosine_squares(piece)
                break
        result = add(result, piece)
    return result


def _vanishes_by_squaring(terms: Sum) -> bool:
    r"""
    Whether `p + q \sqrt{s}` is zero, for numbers, by $p^2 = q^2 s$.

    The squares prove that it is 0 or $2p$, and these two are far enough apart for floating point to tell.
    """
    for root in {generator for term in terms for generator, exponent in term if _is_square_root(generator, exponent)}:
        marked = (root, Fraction(1, 2))
        without = {term: factor for term, factor in terms.items() if all(each != root for each, _ in term)}
        beside = {term - {marked}: factor for term, factor in terms.items() if marked in term}
        if len(without) + len(beside) < len(terms):
            continue
        p, q = (Value(side, {ONE: Fraction(1)}) for side in (without, beside))
        if any(side.has_variable for side in (p, q, _inside(root))):
            continue
        if (p * p - q * q * _inside(root)).numerator:
            continue
        rest = {term: factor for term, factor in terms.items() if marked in term}
        first, second = evaluate(p), evaluate(Value(rest, {ONE: Fraction(1)}))
        if first is not None and second is not None and abs(first + second) < CLEARLY_ZERO * abs(first):
            return True
    return False


def _is_square_root(generator: Generator, exponent: Fraction) -> bool:
    return generator[0] == "sum" and exponent == Fraction(1, 2)


def _inside(root: Generator) -> Value:
    """The value under a root."""
    key: Any = root[1]
    numerator, denominator = key
    return Value(dict(numerator), dict(denominator))
