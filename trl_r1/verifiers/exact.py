r"""Exact arithmetic on the values answers are made of, so that computer algebra is asked only for the rest.

A value is a quotient of two sums of terms; a term is a rational number times powers of *generators*: prime numbers
(with exponents between 0 and 1, which is how $\sqrt{12} = 2 \cdot 3^{1/2}$ is written), $i$, $\pi$, variables, and
whatever cannot be taken apart, such as `sin(x)`. Two values are equal when their difference has no term left.

That proves equality always. It proves difference too where all generators are independent: products of powers
$0 \le a < 1$ of primes are linearly independent over the rationals (Besicovitch, 1940), $\pi$ is transcendental and
variables are free. Elsewhere numbers have to show the difference (`numeric.py`), or computer algebra.

Sizes are bounded before anything is computed, so no answer can make this slow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


MAX_BITS = 40_000  # of a numerator or denominator; 2004! has 19,000
MAX_FACTORIAL = 3_000
MAX_TERMS = 60
MAX_PRODUCT_TERMS = 800
MAX_COEFFICIENT_BITS = 2_000  # of sums of several terms
MAX_EXPANDED_POWER = 8
MAX_EXPONENT = 10_000
MAX_PRIME = 1_000

# ("prime", 2), ("i",), ("constant", "pi"), ("variable", "x"), ("function", "sin", <argument>),
# ("power", <generator>, <term>) for 2^n, ("sum", <value>) for powers of a sum that are not multiplied out
Generator = tuple[object, ...]
Term = frozenset[tuple[Generator, Fraction]]
Sum = dict[Term, Fraction]

ONE: Term = frozenset()
IMAGINARY: Generator = ("i",)
PI: Generator = ("constant", "pi")
E: Generator = ("constant", "e")
_HALF_TURN: Term = frozenset({(IMAGINARY, Fraction(1)), (PI, Fraction(1))})
_INDEPENDENT = {"prime", "i", "variable"}


class TooLargeError(ArithmeticError):
    """The value has more digits or terms than anyone answers with: a tower of powers, a huge factorial."""


class UndefinedError(ArithmeticError):
    """The text stands for no value: a division by zero."""


class UnreadableError(ValueError):
    """No value of this kind; computer algebra may know."""


@dataclass(frozen=True, eq=False)
class Value:
    """
    A quotient of two sums of terms. Treat both as read-only.

    Args:
        numerator (`dict[Term, Fraction]`): Coefficient of each term; no coefficient is zero.
        denominator (`dict[Term, Fraction]`): The same, never empty.
    """

    numerator: Sum
    denominator: Sum

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What the value is known by inside a generator."""
        return frozenset(self.numerator.items()), frozenset(self.denominator.items())

    @property
    def rational(self) -> Fraction | None:
        """The value as a rational number, or `None` when it is not visibly one."""
        if set(self.numerator) <= {ONE} and set(self.denominator) == {ONE}:
            return self.numerator.get(ONE, Fraction(0)) / self.denominator[ONE]
        return None

    @property
    def generators(self) -> set[Generator]:
        """Everything its terms are made of."""
        return {generator for side in (self.numerator, self.denominator) for term in side for generator, _ in term}

    @property
    def has_variable(self) -> bool:
        """Whether it depends on a variable, as far as it was taken apart."""
        return any(_mentions_variable(generator) for generator in self.generators)

    def __add__(self, other: Value) -> Value:
        if self.denominator == other.denominator:
            return Value(_add(self.numerator, other.numerator), self.denominator)
        numerator = _add(_multiply(self.numerator, other.denominator), _multiply(other.numerator, self.denominator))
        return _reduced(numerator, _multiply(self.denominator, other.denominator))

    def __neg__(self) -> Value:
        return Value({term: -factor for term, factor in self.numerator.items()}, self.denominator)

    def __sub__(self, other: Value) -> Value:
        return self + -other

    def __mul__(self, other: Value) -> Value:
        return _reduced(_multiply(self.numerator, other.numerator), _multiply(self.denominator, other.denominator))

    def __truediv__(self, other: Value) -> Value:
        if not other.numerator:
            raise UndefinedError("division by zero")
        return _reduced(_multiply(self.numerator, other.denominator), _multiply(self.denominator, other.numerator))


def from_rational(number: Fraction | int) -> Value:
    """A rational number as a value."""
    return Value({ONE: Fraction(number)} if number else {}, {ONE: Fraction(1)})


def from_generator(generator: Generator, exponent: Fraction = Fraction(1)) -> Value:
    """A power of one generator as a value."""
    return Value({frozenset({(generator, exponent)}): Fraction(1)}, {ONE: Fraction(1)})


def same_value(left: Value, right: Value) -> bool | None:
    """Whether two values are equal; `None` when neither is proven."""
    if left.key == right.key:
        return True
    try:
        difference = (left - right).numerator
    except TooLargeError:
        return None
    if not difference:
        return True
    generators = {generator for term in difference for generator, _ in term}
    if all(generator[0] in _INDEPENDENT or generator == PI for generator in generators):
        return False
    return None


def proportional(left: Value, right: Value) -> Fraction | None:
    """The rational number that times `right` gives `left`, or `None` when there is none."""
    if not left.numerator or not right.numerator:
        return None
    try:
        above = _multiply(left.numerator, right.denominator)
        below = _multiply(right.numerator, left.denominator)
    except TooLargeError:
        return None
    term = next(iter(above))
    if above.keys() != below.keys():
        return None
    factor = above[term] / below[term]
    return factor if all(above[each] == factor * below[each] for each in above) else None


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
    content = _content(base.numerator)
    primitive = {term: factor / content for term, factor in base.numerator.items()}
    return _rational_power(content, exponent) * _primitive_power(primitive, exponent)


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


def _mentions_variable(part: object) -> bool:
    if isinstance(part, tuple | frozenset):
        is_variable = isinstance(part, tuple) and len(part) == 2 and part[0] == "variable"
        return is_variable or any(_mentions_variable(each) for each in part)
    return False


def _add(left: Sum, right: Sum) -> Sum:
    total = dict(left)
    for term, factor in right.items():
        combined = _bounded(total.get(term, Fraction(0)) + factor)
        if combined:
            total[term] = combined
        else:
            del total[term]
    if len(total) > MAX_TERMS:
        raise TooLargeError
    return total


def _multiply(left: Sum, right: Sum) -> Sum:
    if len(left) * len(right) > MAX_PRODUCT_TERMS:
        raise TooLargeError
    limit = MAX_BITS if len(left) * len(right) <= 4 else MAX_COEFFICIENT_BITS
    product: Sum = {}
    for term, factor in left.items():
        for other, other_factor in right.items():
            joined, extra = _join(term, other)
            combined = product.get(joined, Fraction(0)) + _bounded(factor * other_factor * extra, limit)
            if combined:
                product[joined] = combined
            else:
                product.pop(joined, None)
    if len(product) > MAX_TERMS:
        raise TooLargeError
    return product


def _join(term: Term, other: Term) -> tuple[Term, Fraction]:
    """The product of two terms, and the rational factor that comes out of it."""
    if not term or not other:
        return term or other, Fraction(1)
    exponents = dict(term)
    for generator, exponent in other:
        exponents[generator] = exponents.get(generator, Fraction(0)) + exponent
    return _collect(exponents)


def _collect(exponents: dict[Generator, Fraction]) -> tuple[Term, Fraction]:
    """A term with whole powers of primes and of i taken out."""
    factor = Fraction(1)
    kept = set()
    for generator, exponent in exponents.items():
        if generator[0] == "prime":
            whole = math.floor(exponent)
            factor *= Fraction(int(str(generator[1]))) ** whole
            exponent -= whole
        elif generator == IMAGINARY:
            factor *= -1 if exponent % 4 >= 2 else 1
            exponent %= 2
        if exponent:
            kept.add((generator, exponent))
    return frozenset(kept), factor


def _reduced(numerator: Sum, denominator: Sum) -> Value:
    """The quotient, without a denominator where that is a single term."""
    if len(denominator) != 1:
        return Value(numerator, denominator)
    ((term, factor),) = denominator.items()
    if term:
        inverse, extra = _collect({generator: -exponent for generator, exponent in term})
        numerator = _multiply(numerator, {inverse: extra / factor})
    elif factor != 1:
        numerator = {each: _bounded(value / factor) for each, value in numerator.items()}
    return Value(numerator, {ONE: Fraction(1)})


def _bounded(number: Fraction, limit: int = MAX_BITS) -> Fraction:
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > limit:
        raise TooLargeError
    return number


def _content(terms: Sum) -> Fraction:
    """The rational number that all coefficients share."""
    numerators = math.gcd(*(factor.numerator for factor in terms.values()))
    denominators = math.lcm(*(factor.denominator for factor in terms.values()))
    if denominators.bit_length() > MAX_BITS:
        raise TooLargeError
    return Fraction(numerators, denominators)


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
    raised, extra = _collect({generator: power * exponent for generator, power in term})
    return {raised: _bounded(_rational_whole_power(factor, exponent) * extra)}


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
    term, factor = _collect(exponents)
    return Value({term: factor}, {ONE: Fraction(1)})


def _primitive_power(primitive: Sum, exponent: Fraction) -> Value:
    if len(primitive) == 1:
        ((term, factor),) = primitive.items()
        if factor == 1 and len(term) == 1:
            ((generator, inner),) = term
            if inner == 1 and generator != IMAGINARY:
                return from_generator(generator, exponent)
            if generator in (PI, E) or generator[0] == "prime":  # positive numbers
                joined, extra = _collect({generator: inner * exponent})
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
        if term == _HALF_TURN and (2 * factor).denominator == 1:
            return _whole_power(from_generator(IMAGINARY), int(2 * factor) % 4)
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
