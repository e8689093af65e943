"""Powers, roots and logarithms of exact values: by the primes of numbers, and by the terms of an exponent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from trl_r1.verifiers.answers.exact import (
    IMAGINARY,
    MAX_BITS,
    ONE,
    PI,
    E,
    Generator,
    Sum,
    Term,
    TooLargeError,
    UndefinedError,
    UnreadableError,
    Value,
    bounded,
    collect,
    content,
    from_generator,
    from_rational,
)


MAX_EXPANDED_POWER = 8
MAX_EXPONENT = 10_000
MAX_PRIME = 1_000

_NONE, _HALF = Fraction(0), Fraction(1, 2)
_HALF_TURN: Term = frozenset({(IMAGINARY, Fraction(1)), (PI, Fraction(1))})


def power(base: Value, exponent: Value) -> Value:
    """
    A power.

    Raises:
        `TooLargeError`: when it has too many digits or terms.
        `UndefinedError`: for a negative power of zero, and for `0^0`.
        `UnreadableError`: when it has more than one value, as a cube root of a negative number has.
    """
    number = exponent.rational
    if number is None:
        return _symbolic_power(base, exponent)
    if not base.numerator:
        if number <= 0:
            raise UndefinedError("zero to a power that is not positive")
        return base
    if number.denominator == 1:
        return _whole_power(base, int(number))
    return root_power(base, number)


def root_power(base: Value, exponent: Fraction) -> Value:
    """A fractional power of a value that is not zero; see [`power`]."""
    rational = base.rational
    if rational is not None:
        if rational > 0:
            return _rational_power(rational, exponent)
        if exponent.denominator == 2:  # the principal value: i^1 or i^3
            unit = from_generator(IMAGINARY, Fraction(exponent.numerator % 4))
            return unit * _rational_power(-rational, exponent)
        raise UnreadableError("a root of a negative number")
    if len(base.denominator) > 1 or ONE not in base.denominator:
        return from_generator(("sum", base.key), exponent)
    shared = content(base.numerator)
    primitive = {term: factor / shared for term, factor in base.numerator.items()}
    return _rational_power(shared, exponent) * _primitive_power(primitive, exponent)


def logarithm(value: Value) -> Value:
    """Natural logarithm; of a rational number by its primes, so that `ln 8` is three times `ln 2`."""
    if not value.numerator:
        raise UndefinedError("logarithm of zero")
    rational = value.rational
    if rational is None or rational <= 0:
        ((term, factor), *others) = value.numerator.items()
        if len(term) == 1 and factor == 1 and not others and value.denominator == {ONE: 1}:
            ((generator, exponent),) = term
            if generator == E:
                return from_rational(exponent)
        return from_generator(("function", "ln", value.key))
    result = from_rational(0)
    for prime, count in _factorise(rational):
        argument = from_rational(prime)
        result = result + from_rational(count) * from_generator(("function", "ln", argument.key))
    return result


def is_usual_angle(turns: Fraction) -> bool:
    """Whether `turns` times pi is a multiple of 30 or 45 degrees."""
    return turns.denominator in (1, 2, 3, 4, 6)


def sine_of_turns(turns: Fraction) -> Value:
    r"""The sine of `turns * \pi`, a multiple of 30 or 45 degrees."""
    turns %= 2
    if turns > 1:
        return -sine_of_turns(turns - 1)
    square = {
        _NONE: _NONE,
        Fraction(1, 6): Fraction(1, 4),
        Fraction(1, 4): Fraction(1, 2),
        Fraction(1, 3): Fraction(3, 4),
        _HALF: Fraction(1),
    }
    found = square[min(turns, 1 - turns)]
    return root_power(from_rational(found), _HALF) if found else from_rational(0)


def _whole_power(base: Value, exponent: int) -> Value:
    if exponent < 0:
        return from_rational(1) / _whole_power(base, -exponent)
    rational = base.rational
    if rational is not None:
        return from_rational(_rational_whole_power(rational, exponent))
    if exponent > MAX_EXPONENT:
        raise TooLargeError
    if len(base.numerator) == 1 and len(base.denominator) == 1:
        return Value(_term_power(base.numerator, exponent), _term_power(base.denominator, exponent))
    if exponent > MAX_EXPANDED_POWER or len(base.numerator) + len(base.denominator) > 8:
        return from_generator(("sum", base.key), Fraction(exponent)) if exponent > 1 else base
    result = from_rational(1)
    for _ in range(exponent):
        result = result * base
    return result


def _rational_whole_power(base: Fraction, exponent: int) -> Fraction:
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size > 1 and exponent * size > MAX_BITS:
        raise TooLargeError
    # Beyond the size check only -1, 0 and 1 have large exponents, and their powers depend on parity alone.
    return base ** (exponent if size > 1 or not exponent else 2 - exponent % 2)


def _term_power(terms: Sum, exponent: int) -> Sum:
    ((term, factor),) = terms.items()
    raised, extra = collect({generator: power * exponent for generator, power in term})
    return {raised: bounded(_rational_whole_power(factor, exponent) * extra)}


def _rational_power(base: Fraction, exponent: Fraction) -> Value:
    """A fractional power of a positive rational number, by its primes."""
    if abs(exponent) > MAX_EXPONENT or exponent.denominator > MAX_EXPONENT:
        raise TooLargeError
    exponents: dict[Generator, Fraction] = {}
    bits = 0.0
    for prime, count in _factorise(base):
        exponents["prime", prime] = count * exponent
        bits += abs(float(count * exponent)) * prime.bit_length()
    if bits > MAX_BITS:
        raise TooLargeError
    term, factor = collect(exponents)
    return Value({term: factor}, {ONE: Fraction(1)})


def _primitive_power(primitive: Sum, exponent: Fraction) -> Value:
    if len(primitive) == 1:
        ((term, factor),) = primitive.items()
        if factor == 1 and len(term) == 1:
            ((generator, inner),) = term
            if inner == 1 and generator != IMAGINARY:
                return from_generator(generator, exponent)
            if generator in (PI, E) or generator[0] == "prime":  # positive numbers
                joined, extra = collect({generator: inner * exponent})
                return Value({joined: extra}, {ONE: Fraction(1)})
    return from_generator(("sum", Value(primitive, {ONE: Fraction(1)}).key), exponent)


def _symbolic_power(base: Value, exponent: Value) -> Value:
    """`2^n`, `e^{2x}`: the exponent's terms become factors, `2^{n+1}` is `2 * 2^n`."""
    if set(exponent.denominator) != {ONE}:
        return from_generator(("function", "power", base.key, exponent.key))
    divisor = exponent.denominator[ONE]
    result = from_rational(1)
    for term, factor in exponent.numerator.items():
        result = result * _power_of_bases(base, term, factor / divisor)
    return result


def _power_of_bases(base: Value, term: Term, factor: Fraction) -> Value:
    if not term:
        return power(base, from_rational(factor))
    rational = base.rational
    if rational is not None and rational > 0:
        bases: Iterable[tuple[Generator, int]] = [(("prime", prime), n) for prime, n in _factorise(rational)]
    elif base.key == from_generator(E).key:
        if term == _HALF_TURN and is_usual_angle(factor):  # Euler's formula
            return sine_of_turns(_HALF - factor) + from_generator(IMAGINARY) * sine_of_turns(factor)
        bases = [(E, 1)]
    elif not base.numerator:
        raise UnreadableError("zero to an unknown power")
    else:
        bases = [(("sum", base.key), 1)]
    result = from_rational(1)
    for generator, count in bases:
        result = result * from_generator(("power", generator, term), factor * count)
    return result


def _factorise(number: Fraction) -> list[tuple[int, int]]:
    """Primes of a positive rational number with their exponents."""
    counts: dict[int, int] = {}
    for part, sign in ((number.numerator, 1), (number.denominator, -1)):
        for prime in _SMALL_PRIMES:
            while part % prime == 0:
                counts[prime] = counts.get(prime, 0) + sign
                part //= prime
        if part > MAX_PRIME**2:
            raise UnreadableError("a large number may be no prime")
        if part > 1:
            counts[part] = counts.get(part, 0) + sign
    return sorted(counts.items())


_SMALL_PRIMES = [n for n in range(2, MAX_PRIME) if all(n % d for d in range(2, math.isqrt(n) + 1))]
