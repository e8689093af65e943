r"""Read a cleaned answer, such as `\frac{1}{2}+\sqrt{3}`, as an exact value.

A reader of what answers look like, not of LaTeX: where two readings are usual (`1/2x`), or a command is
unknown, it gives up and leaves the text to computer algebra.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from trl_r1.verifiers.exact import (
    IMAGINARY,
    PI,
    E,
    TooLargeError,
    UndefinedError,
    UnreadableError,
    Value,
    from_generator,
    from_rational,
)
from trl_r1.verifiers.powers import logarithm, power, root_power
from trl_r1.verifiers.trigonometry import trigonometric


MAX_FACTORIAL = 3_000
MAX_DEPTH = 40

_NAMES = r"sqrt|arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|ln|exp|pi"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4}(?![\d.]))?)|(?P<command>\\[A-Za-z]+)"
    rf"|(?P<name>(?<![A-Za-z])(?:{_NAMES})(?![A-Za-z]))|(?P<letter>[A-Za-z])|(?P<sign>[-+*/^!()\[\]{{}}|_']))"
)
_SPACED_NUMBERS = re.compile(r"(?<!_)\d \.?\d")
_GREEK = re.compile(
    r"\\(?:(?:var)?(?:epsilon|theta|phi)|alpha|beta|gamma|delta|zeta|eta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|chi|psi"
    r"|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega)"
)
_FUNCTIONS = re.compile(r"\\(?:(?:arc)?(?:sin|cos|tan)|cot|sec|csc|(?:sin|cos|tan)h)")
_OPENING = {"(": ")", "[": "]", "{": "}"}
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
    reader = _Reader(_tokens(cleaned))
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


def _is_number(token: str) -> bool:
    return token[:1].isdigit() or (token[:1] == "." and len(token) > 1)


class _Reader:
    """Recursive descent; each rule returns the value of what it consumed."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.reducible = False  # an operation with a rational result was left undone
        self.scientific = False  # ... and the only one was a power of ten
        self.other = False  # something other than digits, signs and fractions occurs

    def read(self) -> Value:
        value = self._sum()
        if self.position != len(self.tokens):
            raise UnreadableError(f"unexpected {self._next()}")
        return value

    def _next(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next()
        if token not in wanted:
            return ""
        self.position += 1
        return token

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise UnreadableError(f"{wanted} is missing")

    def _nested(self, rule: Callable[[], Value]) -> Value:
        """Apply a rule that may recurse, within a depth Python's stack bears."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("too deeply nested")
        value = rule()
        self.depth -= 1
        return value

    def _undone(self, result: Value, *operands: Value) -> Value:
        """Note an operation on numbers whose result is a rational number."""
        if result.rational is not None and not any(operand.has_variable for operand in operands):
            self.reducible = True
            self.scientific = False
        return result

    def _sum(self) -> Value:
        value = self._product()
        while operator := self._take("+", "-"):
            right = self._product()
            value = self._undone(value + right if operator == "+" else value - right, value, right)
        return value

    def _product(self) -> Value:
        value = self._signed()
        divided = False
        while True:
            before = self.position
            if self._take("*", r"\cdot", r"\times"):
                power_of_ten = self._is_power_of_ten()
                first = not self.reducible and not self.other
                right = self._signed()
                product = value * right
                if power_of_ten and first and value.rational is not None and self._next() not in ("*", "/"):
                    self.reducible = self.scientific = True
                    value = product
                else:
                    value = self._undone(product, value, right)
                divided = False
            elif self._take("/", r"\div"):
                value, divided = self._quotient(value, self._signed()), True
            elif self._take(r"\bmod", r"\mod"):
                value = self._undone(_modulo(value, self._signed()), value)
            elif self._starts_factor():
                if divided:
                    raise UnreadableError("1/2x may be (1/2)x or 1/(2x)")
                if _is_number(self._next()) and _is_number(self.tokens[before - 1]):
                    raise UnreadableError("two numbers side by side")
                right = self._power()
                value = self._undone(value * right, value, right)
            else:
                return value

    def _is_power_of_ten(self) -> bool:
        return self.tokens[self.position : self.position + 2] == ["10", "^"]

    def _quotient(self, above: Value, below: Value) -> Value:
        result = above / below
        numbers = above.rational, below.rational
        if numbers[0] is None or numbers[1] is None:
            return self._undone(result, above, below)
        whole = all(number is not None and number.denominator == 1 for number in numbers)
        if not whole or abs(numbers[1]) <= 1 or math.gcd(int(numbers[0]), int(numbers[1])) != 1:
            self._undone(result)
        return result

    def _signed(self) -> Value:
        if self._take("-"):
            if self._next() in ("-", "+"):
                raise UnreadableError("two signs")
            return -self._nested(self._signed)
        if self._take("+") and self._next() in ("-", "+"):
            raise UnreadableError("two signs")
        return self._nested(self._power)

    def _power(self) -> Value:
        base_token = self._next()
        value = self._postfix()
        if not self._take("^"):
            return value
        exponent = self._exponent()
        raised = power(value, exponent)
        if _is_number(base_token) or value.rational is not None:
            return self._undone(raised)
        return raised

    def _exponent(self) -> Value:
        if self._next() in _OPENING:
            undone = self.reducible
            value = self._nested(self._atom)
            self.reducible = undone or (self.reducible and value.rational is None)
            return value
        return self._nested(self._signed_atom)

    def _signed_atom(self) -> Value:
        return -self._postfix() if self._take("-") else self._postfix()

    def _postfix(self) -> Value:
        value = self._atom()
        while self._take("!"):
            value = self._undone(from_rational(_factorial(value)))
        return value

    def _starts_factor(self) -> bool:
        token = self._next()
        if token.startswith("\\"):
            return token in _COMMANDS or bool(_GREEK.fullmatch(token) or _FUNCTIONS.fullmatch(token))
        return token in ("(", "{", "[") or token[:1].isalpha() or _is_number(token)

    def _atom(self) -> Value:
        token = self._next()
        self.position += 1
        if _is_number(token):
            return self._number(token)
        if token in _OPENING:
            value = self._nested(self._sum)
            self._expect(_OPENING[token])
            return value
        if token == "|":
            value = self._nested(self._sum)
            self._expect("|")
            return self._undone(_absolute(value))
        self.other = self.other or token != r"\frac"
        if token.startswith("\\"):
            return self._command(token)
        if token.isalpha():
            return self._variable(token)
        raise UnreadableError(f"unexpected {token or 'end'}")

    def _number(self, token: str) -> Value:
        if len(token) > 12_000:
            raise TooLargeError
        number = Fraction(token)
        if self._next() == r"\overline" and "." in token:
            self.position += 1
            self._expect("{")
            period = self._next()
            self.position += 1
            self._expect("}")
            if not period.isdigit():
                raise UnreadableError("a period is made of digits")
            shift = 10 ** len(token.split(".")[1])
            number += Fraction(int(period), shift * (10 ** len(period) - 1))
        tail = self.tokens[self.position : self.position + 7]
        if "." not in token and tail[:2] == [r"\frac", "{"] and tail[3:5] == ["}", "{"] and tail[6:] == ["}"]:
            above, below = tail[2], tail[5]
            if above.isdigit() and below.isdigit():
                if int(above) >= int(below):
                    raise UnreadableError("a mixed number, or a product")
                self.position += 7
                number += Fraction(int(above), int(below))
        return from_rational(number)

    def _variable(self, letter: str) -> Value:
        if self._next() == "(" and letter in "fghFGHPQ":
            raise UnreadableError("a function, or a product")
        name = letter
        while self._take("'"):
            name += "'"
        if self._take("_"):
            name += "_" + self._subscript()
        if name in ("i", "e"):
            return from_generator(IMAGINARY if name == "i" else E)
        return from_generator(("variable", name))

    def _subscript(self) -> str:
        if not self._take("{"):
            self.position += 1
            return self.tokens[self.position - 1] if self.position <= len(self.tokens) else ""
        start = self.position
        while self._next() not in ("}", ""):
            self.position += 1
        self._expect("}")
        return "".join(self.tokens[start : self.position - 1])

    def _command(self, name: str) -> Value:
        if _GREEK.fullmatch(name):
            return self._variable(name)
        if _FUNCTIONS.fullmatch(name):
            return self._function(name[1:])
        command = _COMMANDS.get(name)
        if command is None:
            raise UnreadableError(f"unknown command {name}")
        return self._nested(lambda: command(self))

    def _function(self, name: str) -> Value:
        exponent = self._exponent() if self._take("^") else None
        if exponent is not None and exponent.rational == -1:
            raise UnreadableError("an inverse, or a reciprocal")
        argument = self._argument()
        value = trigonometric(name, argument)
        return value if exponent is None else power(value, exponent)

    def _argument(self) -> Value:
        r"""What a function applies to: a group, or the factors up to the next sign or function, as in `\sin 2x`."""
        if self._next() in _OPENING:
            return self._nested(self._atom)
        value = self._nested(self._signed)
        while self._starts_factor() and not self._ends_argument():
            value = value * self._power()
        return value

    def _ends_argument(self) -> bool:
        token = self._next()
        return token in (r"\ln", r"\log", *_OPENING) or _FUNCTIONS.fullmatch(token) is not None

    def group(self) -> Value:
        r"""An argument of a command: `{...}`, or the single token of `\sqrt2`."""
        if self._next() in _OPENING:
            return self._nested(self._atom)
        return self._nested(self._postfix)

    def fraction(self) -> Value:
        """Both groups of a fraction."""
        return self._quotient(self.group(), self.group())

    def root(self) -> Value:
        """A root, of a degree given in brackets or the square root. Odd roots of negative numbers are real."""
        degree = Fraction(2)
        if self._take("["):
            found = self._nested(self._sum).rational
            self._expect("]")
            if found is None or found.denominator != 1 or not 2 <= found <= 100:
                raise UnreadableError("a root of unusual degree")
            degree = found
        radicand = self.group()
        number = radicand.rational
        if number is not None and number < 0 and degree % 2:
            return self._undone(-root_power(-radicand, 1 / degree))
        return self._undone(root_power(radicand, 1 / degree) if radicand.numerator else radicand, radicand)

    def binomial(self) -> Value:
        """A binomial coefficient of whole numbers."""
        top, bottom = self.group().rational, self.group().rational
        if top is None or bottom is None or top.denominator != 1 or bottom.denominator != 1 or bottom < 0 or top < 0:
            raise UnreadableError("a binomial coefficient of no numbers")
        if top > MAX_FACTORIAL:
            raise TooLargeError
        return self._undone(from_rational(math.comb(int(top), int(bottom))))

    def natural_logarithm(self) -> Value:
        """The natural logarithm of what follows."""
        return self._undone(logarithm(self._argument()))

    def any_logarithm(self) -> Value:
        """A logarithm to a base; without one it is to ten, as Math-Verify reads it."""
        base = logarithm(self.group() if self._take("_") else from_rational(10))
        return self._undone(logarithm(self._argument()) / base)

    def exponential(self) -> Value:
        """The exponential function of what follows."""
        return power(from_generator(E), self._argument())

    def floor(self) -> Value:
        """The floor of a rational number."""
        return self._rounded(math.floor, r"\rfloor")

    def ceiling(self) -> Value:
        """The ceiling of a rational number."""
        return self._rounded(math.ceil, r"\rceil")

    def _rounded(self, function: Callable[[Fraction], int], closing: str) -> Value:
        number = self._nested(self._sum).rational
        self._expect(closing)
        if number is None:
            raise UnreadableError("only a number is rounded here")
        return self._undone(from_rational(function(number)))


_COMMANDS: dict[str, Callable[[_Reader], Value]] = {
    r"\frac": _Reader.fraction,
    r"\sqrt": _Reader.root,
    r"\binom": _Reader.binomial,
    r"\ln": _Reader.natural_logarithm,
    r"\log": _Reader.any_logarithm,
    r"\exp": _Reader.exponential,
    r"\lfloor": _Reader.floor,
    r"\lceil": _Reader.ceiling,
    r"\pi": lambda reader: from_generator(PI),
}


def _factorial(value: Value) -> int:
    number = value.rational
    if number is None or number.denominator != 1 or number < 0:
        raise UnreadableError("a factorial of no whole number")
    if number > MAX_FACTORIAL:
        raise TooLargeError
    return math.factorial(int(number))


def _absolute(value: Value) -> Value:
    number = value.rational
    return from_generator(("function", "abs", value.key)) if number is None else from_rational(abs(number))


def _modulo(value: Value, modulus: Value) -> Value:
    number, by = value.rational, modulus.rational
    if number is None or by is None or number.denominator != 1 or by.denominator != 1:
        raise UnreadableError("a remainder of no whole numbers")
    if by <= 0:
        raise UndefinedError("a remainder by zero")
    return from_rational(number % by)
