"""Compare two single values by what stands beside the number: a unit, a ratio's colon, a modulus, a base."""

from __future__ import annotations

import re

from trl_r1.verifiers.answers.equality import same_value
from trl_r1.verifiers.answers.exact import PI, TooLargeError, UndefinedError, UnreadableError, Value, from_rational
from trl_r1.verifiers.answers.formula import read_formula
from trl_r1.verifiers.answers.units import Unit


RATIO = re.compile(r"[^:]+(?::[^:]+)+")
BASED = re.compile(r"(?P<digits>[0-9A-Fa-f]+)_\{?(?P<base>\d{1,2})\}?")
_RESIDUE = re.compile(r"(?:.*\\equiv ?)?(?P<value>[^=]+?) ?\\pmod\{(?P<modulus>\d{1,30})\}")
_CLOCK = re.compile(r'\d{1,2}:\d\d(?::\d\d)?(?:\s?"?[ap]\.?m\.?"?)?', re.IGNORECASE)


def read_value(text: str) -> Value | Exception:
    """The value of a cleaned text, or why it has none."""
    try:
        return read_formula(text).value
    except (TooLargeError, UndefinedError, UnreadableError) as error:
        return error


def is_number(text: str) -> bool:
    """Whether it is a value without variables."""
    found = read_value(text)
    return isinstance(found, Value) and not found.has_variable


def is_multiple_of_pi(text: str) -> bool:
    """Whether it is a rational number, but not zero, times pi."""
    found = read_value(text)
    return isinstance(found, Value) and found.generators == {PI} and bool(found.numerator)


def same_ratio(gold: str, answer: str) -> bool:
    """`2:4` is `1:2`, and `1/2`; a time of day is compared by its spelling."""
    if _CLOCK.fullmatch(gold) or not RATIO.fullmatch(gold if ":" in gold else answer):
        return False
    parts = [side.split(":") if ":" in side else [side, "1"] for side in (gold, answer)]
    if len(parts[0]) != len(parts[1]):
        return False
    try:
        first, second = ([read_formula(part).value for part in side] for side in parts)
        crossed = [(left * second[0], right * first[0]) for left, right in zip(first, second, strict=True)]
    except (TooLargeError, UndefinedError, UnreadableError):
        return False
    nonzero = any(value.numerator for value in first) and any(value.numerator for value in second)
    return nonzero and bool(first[0].numerator) and all(same_value(*pair) for pair in crossed)


def same_scaled(gold: str, gold_factor: Value, answer: str, factor: Value) -> bool:
    """Whether two values are equal, each times a factor."""
    left, right = read_value(gold), read_value(answer)
    if not isinstance(left, Value) or not isinstance(right, Value):
        return False
    return same_value(left * gold_factor, right * factor) is True


def same_angle(gold: str, answer: str, unit: Unit, gold_has_unit: bool) -> bool:
    """Whether one side is an angle in degrees and the other the same angle in radians, a multiple of pi."""
    if not unit.is_angle or unit.factor.rational is not None:
        return False
    whole = from_rational(1)
    if not is_multiple_of_pi(answer if gold_has_unit else gold):
        return False
    factors = (unit.factor, whole) if gold_has_unit else (whole, unit.factor)
    return same_scaled(gold, factors[0], answer, factors[1])


def without_same_unit(bare: str, other: str) -> str:
    """`12cm` beside `5"cm"` without its letters: a unit where the other side has that unit."""
    match = re.fullmatch(r'[^"]*"([^"]+)".*', other)
    unit = match.group(1) if match else ""
    return bare.removesuffix(unit).strip() if unit and re.fullmatch(r".*[\d}] ?" + re.escape(unit), bare) else bare


def same_residue(gold: str, answer: str) -> bool:
    """Residues of one modulus; a missing modulus is forgiven where the number is the same."""
    matches = [_RESIDUE.fullmatch(side) for side in (gold, answer)]
    texts = [match.group("value") if match else side for match, side in zip(matches, (gold, answer), strict=True)]
    values = [read_value(text) for text in texts]
    numbers = [value.rational if isinstance(value, Value) else None for value in values]
    if numbers[0] is None or numbers[1] is None:
        return False
    if matches[0] and matches[1]:
        modulus = int(matches[0].group("modulus"))
        same = modulus == int(matches[1].group("modulus"))
        return same and modulus > 0 and (numbers[0] - numbers[1]) % modulus == 0
    return numbers[0] == numbers[1]


def same_digits(gold: str, answer: str) -> bool:
    """Numbers in a base: the gold answer's base, which may be left out; `10_2` answers `2` too."""
    matches = [BASED.fullmatch(side) for side in (gold, answer)]
    digits = [match.group("digits") if match else side for match, side in zip(matches, (gold, answer), strict=True)]
    if digits[0].lower().lstrip("0") == digits[1].lower().lstrip("0"):
        return not (matches[0] and matches[1]) or matches[0].group("base") == matches[1].group("base")
    if matches[0] or not matches[1]:
        return False
    base, number = int(matches[1].group("base")), read_value(gold)
    if not 2 <= base <= 36 or not isinstance(number, Value) or any(int(digit, 36) >= base for digit in digits[1]):
        return False
    return number.rational == int(digits[1], base)
