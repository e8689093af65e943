"""Recursive descent over the tokens of an answer, evaluating as it reads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

from trl_r1.verifiers.answers.exact import (
    IMAGINARY,
    ONE,
    PI,
    E,
    TooLargeError,
    UndefinedError,
    UnreadableError,
    Value,
    from_generator,
    from_rational,
)
from trl_r1.verifiers.answers.formula_commands import COMMANDS, factorial
from trl_r1.verifiers.answers.powers import power
from trl_r1.verifiers.answers.trigonometry import trigonometric


MAX_DEPTH = 40

GREEK = re.compile(
    r"\\(?:(?:var)?(?:epsilon|theta|phi)|alpha|beta|gamma|delta|zeta|eta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|chi|psi"
    r"|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega)"
)
FUNCTIONS = re.compile(r"\\(?:(?:arc)?(?:sin|cos|tan)|cot|sec|csc|(?:sin|cos|tan)h)")
_OPENING = {"(": ")", "[": "]", "{": "}"}


class Reader:
    """Recursive descent; each rule returns the value of what it consumed."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.reducible = False  # an operation with a rational result was left undone
        self.scientific = False  # ... and the only one was a power of ten
        self.other = False  # something other than digits, signs and fractions occurs

    def read(self) -> Value:
        value = self.sum()
        if self.position != len(self.tokens):
            raise UnreadableError(f"unexpected {self.next_token()}")
        return value

    def next_token(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.next_token()
        if token not in wanted:
            return ""
        self.position += 1
        return token

    def expect(self, wanted: str) -> None:
        if not self.take(wanted):
            raise UnreadableError(f"{wanted} is missing")

    def nested(self, rule: Callable[[], Value]) -> Value:
        """Apply a rule that may recurse, within a depth Python's stack bears."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("too deeply nested")
        value = rule()
        self.depth -= 1
        return value

    def undone(self, result: Value, *operands: Value) -> Value:
        """Note an operation on numbers whose result is a rational number."""
        if result.rational is not None and not any(operand.has_variable for operand in operands):
            self.reducible = True
            self.scientific = False
        return result

    def sum(self) -> Value:
        value = self._product()
        while operator := self.take("+", "-"):
            right = self._product()
            value = self.undone(value + right if operator == "+" else value - right, value, right)
        return value

    def _product(self) -> Value:
        value = self._signed()
        divided = False
        while True:
            before = self.position
            if self.take("*", r"\cdot", r"\times"):
                power_of_ten = self._is_power_of_ten()
                first = not self.reducible and not self.other
                right = self._signed()
                product = value * right
                if power_of_ten and first and value.rational is not None and self.next_token() not in ("*", "/"):
                    self.reducible = self.scientific = True
                    value = product
                else:
                    value = self.undone(product, value, right)
                divided = False
            elif self.take("/", r"\div"):
                value, divided = self.quotient(value, self._signed()), True
            elif self.take(r"\bmod", r"\mod"):
                value = self.undone(_modulo(value, self._signed()), value)
            elif self._starts_factor():
                if divided:
                    raise UnreadableError("1/2x may be (1/2)x or 1/(2x)")
                if _is_number(self.next_token()) and _is_number(self.tokens[before - 1]):
                    raise UnreadableError("two numbers side by side")
                right = self._power()
                value = self.undone(value * right, value, right)
            else:
                return value

    def _is_power_of_ten(self) -> bool:
        return self.tokens[self.position : self.position + 2] == ["10", "^"]

    def quotient(self, above: Value, below: Value) -> Value:
        result = above / below
        numbers = above.rational, below.rational
        if numbers[0] is None or numbers[1] is None:
            return self.undone(result, above, below)
        whole = all(number is not None and number.denominator == 1 for number in numbers)
        if not whole or abs(numbers[1]) <= 1 or math.gcd(int(numbers[0]), int(numbers[1])) != 1:
            self.undone(result)
        return result

    def _signed(self) -> Value:
        if self.take("-"):
            if self.next_token() in ("-", "+"):
                raise UnreadableError("two signs")
            return -self.nested(self._signed)
        if self.take("+") and self.next_token() in ("-", "+"):
            raise UnreadableError("two signs")
        return self.nested(self._power)

    def _power(self) -> Value:
        base_token = self.next_token()
        value = self._postfix()
        if not self.take("^"):
            return value
        if self._is_degree_sign():
            return value * from_generator(PI) / from_rational(180)
        exponent = self._exponent()
        raised = power(value, exponent)
        if _is_number(base_token) or value.rational is not None:
            return self.undone(raised)
        return raised

    def _is_degree_sign(self) -> bool:
        braced = self.tokens[self.position : self.position + 3] == ["{", r"\circ", "}"]
        found = braced or self.next_token() == r"\circ"
        self.position += 3 if braced else found
        return found

    def _exponent(self) -> Value:
        if self.next_token() in _OPENING:
            undone = self.reducible
            value = self.nested(self._atom)
            self.reducible = undone or (self.reducible and value.rational is None)
            return value
        return self.nested(self._signed_atom)

    def _signed_atom(self) -> Value:
        return -self._postfix() if self.take("-") else self._postfix()

    def _postfix(self) -> Value:
        value = self._atom()
        while self.take("!"):
            if self.next_token() == "!":
                raise UnreadableError("a double factorial, or two")
            value = self.undone(from_rational(factorial(value)))
        return value

    def _starts_factor(self) -> bool:
        token = self.next_token()
        if token.startswith("\\"):
            return token in COMMANDS or bool(GREEK.fullmatch(token) or FUNCTIONS.fullmatch(token))
        return token in ("(", "{", "[") or token[:1].isalpha() or _is_number(token)

    def _atom(self) -> Value:
        token = self.next_token()
        self.position += 1
        if _is_number(token):
            return self._number(token)
        if token in _OPENING:
            value = self.nested(self.sum)
            self.expect(_OPENING[token])
            if token == "[" and not _is_whole(value):
                raise UnreadableError("the floor of a fraction, or the fraction")
            return value
        if token == "|":
            value = self.nested(self.sum)
            self.expect("|")
            return self.undone(_absolute(value))
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
        if self.next_token() == r"\overline" and "." in token:
            self.position += 1
            self.expect("{")
            period = self.next_token()
            self.position += 1
            self.expect("}")
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
        if self.next_token() == "(" and letter in "fghFGHPQ":
            raise UnreadableError("a function, or a product")
        name = letter
        while self.take("'"):
            name += "'"
        if self.take("_"):
            name += "_" + self._subscript()
        if name in ("i", "e"):
            return from_generator(IMAGINARY if name == "i" else E)
        return from_generator(("variable", name))

    def _subscript(self) -> str:
        if not self.take("{"):
            self.position += 1
            return self.tokens[self.position - 1] if self.position <= len(self.tokens) else ""
        start = self.position
        while self.next_token() not in ("}", ""):
            self.position += 1
        self.expect("}")
        return "".join(self.tokens[start : self.position - 1])

    def _command(self, name: str) -> Value:
        if GREEK.fullmatch(name):
            return self._variable(name)
        if FUNCTIONS.fullmatch(name):
            return self._function(name[1:])
        command = COMMANDS.get(name)
        if command is None:
            raise UnreadableError(f"unknown command {name}")
        return self.nested(lambda: command(self))

    def _function(self, name: str) -> Value:
        exponent = self._exponent() if self.take("^") else None
        if exponent is not None and exponent.rational == -1:
            raise UnreadableError("an inverse, or a reciprocal")
        argument = self.argument()
        value = trigonometric(name, argument)
        return value if exponent is None else power(value, exponent)

    def argument(self) -> Value:
        r"""What a function applies to: a group, or the factors up to the next sign or function, as in `\sin 2x`."""
        if self.next_token() in _OPENING:
            return self.nested(self._atom)
        value = self.nested(self._signed)
        while self._starts_factor() and not self._ends_argument():
            value = value * self._power()
        return value

    def _ends_argument(self) -> bool:
        token = self.next_token()
        return token in (r"\ln", r"\log", *_OPENING) or FUNCTIONS.fullmatch(token) is not None

    def group(self) -> Value:
        r"""An argument of a command: `{...}`, or the single token of `\sqrt2`."""
        if self.next_token() in _OPENING:
            return self.nested(self._atom)
        return self.nested(self._postfix)


def _is_number(token: str) -> bool:
    return token[:1].isdigit() or (token[:1] == "." and len(token) > 1)


def _is_whole(value: Value) -> bool:
    """Whether no fraction occurs in it."""
    return value.rational is not None or (
        set(value.denominator) == {ONE} and all(factor.denominator == 1 for factor in value.numerator.values())
    )


def _absolute(value: Value) -> Value:
    number = value.rational
    if value.generators == {IMAGINARY} and set(value.denominator) == {ONE}:
        parts = [from_rational(part) for part in value.numerator.values()]
        return power(sum((part * part for part in parts), from_rational(0)), from_rational(Fraction(1, 2)))
    return from_generator(("function", "abs", value.key)) if number is None else from_rational(abs(number))


def _modulo(value: Value, modulus: Value) -> Value:
    number, by = value.rational, modulus.rational
    if number is None or by is None or number.denominator != 1 or by.denominator != 1:
        raise UnreadableError("a remainder of no whole numbers")
    if by <= 0:
        raise UndefinedError("a remainder by zero")
    return from_rational(number % by)
