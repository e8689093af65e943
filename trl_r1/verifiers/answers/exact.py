r"""Exact arithmetic on the values answers are made of, so that computer algebra is asked only for the rest.

A value is a quotient of two sums of terms; a term is a rational number times powers of *generators*: prime numbers
(with exponents between 0 and 1, which is how $\sqrt{12} = 2 \cdot 3^{1/2}$ is written), $i$, $\pi$, variables, and
whatever cannot be taken apart, such as `sin(x)`. Two values are equal when their difference has no term left.

That proves equality always. It proves difference too where all generators are independent: products of powers
$0 \le a < 1$ of primes are linearly independent over the rationals (Besicovitch, 1940), $\pi$ is transcendental and
variables are free. Elsewhere an identity has to prove equality (`equality.py`), numbers have to show the difference
(`numeric.py`), or computer algebra decides.

Sizes are bounded before anything is computed, so no answer can make this slow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


MAX_BITS = 40_000  # of a numerator or denominator; 2004! has 19,000
MAX_TERMS = 60
MAX_PRODUCT_TERMS = 800
MAX_COEFFICIENT_BITS = 2_000  # of sums of several terms

# ("prime", 2), ("i",), ("constant", "pi"), ("variable", "x"), ("function", "sin", <argument>),
# ("power", <generator>, <term>) for 2^n, ("sum", <value>) for powers of a sum that are not multiplied out
Generator = tuple[object, ...]
Term = frozenset[tuple[Generator, Fraction]]
Sum = dict[Term, Fraction]

ONE: Term = frozenset()
IMAGINARY: Generator = ("i",)
PI: Generator = ("constant", "pi")
E: Generator = ("constant", "e")


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
            return Value(add(self.numerator, other.numerator), self.denominator)
        numerator = add(multiply(self.numerator, other.denominator), multiply(other.numerator, self.denominator))
        return _reduced(numerator, multiply(self.denominator, other.denominator))

    def __neg__(self) -> Value:
        return Value({term: -factor for term, factor in self.numerator.items()}, self.denominator)

    def __sub__(self, other: Value) -> Value:
        return self + -other

    def __mul__(self, other: Value) -> Value:
        return _reduced(multiply(self.numerator, other.numerator), multiply(self.denominator, other.denominator))

    def __truediv__(self, other: Value) -> Value:
        if not other.numerator:
            raise UndefinedError("division by zero")
        return _reduced(multiply(self.numerator, other.denominator), multiply(self.denominator, other.numerator))


def from_rational(number: Fraction | int) -> Value:
    """A rational number as a value."""
    return Value({ONE: Fraction(number)} if number else {}, {ONE: Fraction(1)})


def from_generator(generator: Generator, exponent: Fraction = Fraction(1)) -> Value:
    """A power of one generator as a value."""
    return Value({frozenset({(generator, exponent)}): Fraction(1)}, {ONE: Fraction(1)})


def _mentions_variable(part: object) -> bool:
    if isinstance(part, tuple | frozenset):
        is_variable = isinstance(part, tuple) and len(part) == 2 and part[0] == "variable"
        return is_variable or any(_mentions_variable(each) for each in part)
    return False


def add(left: Sum, right: Sum) -> Sum:
    """The sum of two sums of terms."""
    total = dict(left)
    for term, factor in right.items():
        combined = bounded(total.get(term, Fraction(0)) + factor)
        if combined:
            total[term] = combined
        else:
            del total[term]
    if len(total) > MAX_TERMS:
        raise TooLargeError
    return total


def multiply(left: Sum, right: Sum) -> Sum:
    """The product of two sums of terms, multiplied out."""
    if len(left) * len(right) > MAX_PRODUCT_TERMS:
        raise TooLargeError
    limit = MAX_BITS if len(left) * len(right) <= 4 else MAX_COEFFICIENT_BITS
    product: Sum = {}
    for term, factor in left.items():
        for other, other_factor in right.items():
            joined, extra = _join(term, other)
            combined = product.get(joined, Fraction(0)) + bounded(factor * other_factor * extra, limit)
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
    return collect(exponents)


def collect(exponents: dict[Generator, Fraction]) -> tuple[Term, Fraction]:
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
        inverse, extra = collect({generator: -exponent for generator, exponent in term})
        numerator = multiply(numerator, {inverse: extra / factor})
    elif factor != 1:
        numerator = {each: bounded(value / factor) for each, value in numerator.items()}
    return Value(numerator, {ONE: Fraction(1)})


def bounded(number: Fraction, limit: int = MAX_BITS) -> Fraction:
    """The number, unless it has too many digits."""
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > limit:
        raise TooLargeError
    return number


def content(terms: Sum) -> Fraction:
    """The rational number that all coefficients share."""
    numerators = math.gcd(*(factor.numerator for factor in terms.values()))
    denominators = math.lcm(*(factor.denominator for factor in terms.values()))
    if denominators.bit_length() > MAX_BITS:
        raise TooLargeError
    return Fraction(numerators, denominators)


def proportional(left: Value, right: Value) -> Fraction | None:
    """The rational number that times `right` gives `left`, or `None` when there is none."""
    if not left.numerator or not right.numerator:
        return None
    try:
        above = multiply(left.numerator, right.denominator)
        below = multiply(right.numerator, left.denominator)
    except TooLargeError:
        return None
    term = next(iter(above))
    if above.keys() != below.keys():
        return None
    factor = above[term] / below[term]
    return factor if all(above[each] == factor * below[each] for each in above) else None
