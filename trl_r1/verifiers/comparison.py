"""Compare two cleaned answers without computer algebra: by their spelling, or as numbers, lists and quantities."""

from __future__ import annotations

import re
from fractions import Fraction

from trl_r1.verifiers.exact import TooLargeError, evaluate
from trl_r1.verifiers.normalise import is_words, plain, split_list, split_unit


_COSTLY = re.compile(r"!|\\(?:sum|prod|i*int|oint)(?![A-Za-z])|\d{60}|\^[{(]?\d{5}|\d\^[{(]?-?\d+\^")
_LEFT_HAND_SIDE = re.compile(r"[A-Za-z]\w{0,2}(?:\([a-z]\))?=(?=[^=]+$)")
_SPACED_DIGITS = re.compile(r"\d \d")


def same_spelling(cleaned: str, cleaned_gold: str) -> bool:
    """Whether a cleaned answer is the cleaned gold answer, but for `x=` before it and the case of words."""
    answer, gold = plain(cleaned), plain(cleaned_gold)
    if is_words(cleaned_gold) and len(gold) > 1:
        answer, gold = answer.casefold(), gold.casefold()
    return answer == gold or ("=" not in gold and _LEFT_HAND_SIDE.sub("", answer) == gold)


def exactly_equal(cleaned: str, cleaned_gold: str) -> bool | None:
    """Whether two answers made of plain numbers are equal; `None` when one of them is not."""
    if "=" not in cleaned_gold:
        cleaned = _LEFT_HAND_SIDE.sub("", cleaned)
    try:
        golds = _number_lists(cleaned_gold)
    except TooLargeError:
        golds = None
    try:
        answers = _number_lists(cleaned)
    except TooLargeError:
        return None if golds == [] else False
    if golds is None:
        return False if answers else None
    if golds and _SPACED_DIGITS.search(cleaned) and not answers:
        return False  # `3 4` is no number, and algebra would take it for a product
    if not golds or not answers:
        return None
    return any(_same_numbers(gold, answer) for gold in golds for answer in answers)


def comparable_without_algebra(cleaned: str) -> bool:
    """Whether any answer can be compared with this cleaned gold answer by what is in this module."""
    try:
        return is_words(cleaned) or bool(_number_lists(cleaned))
    except TooLargeError:
        return True  # equal to its own spelling and to nothing else


def could_run_for_ever(cleaned: str) -> bool:
    """Whether algebra on the answer has no bound: sums, factorials, towers of powers, numbers of 60 digits."""
    return _COSTLY.search(cleaned) is not None


class _Number:
    """A number, whether it was written in percent, and its unit."""

    __slots__ = ("percent", "unit", "value")

    def __init__(self, value: Fraction, percent: bool, unit: str | None) -> None:
        self.value, self.percent, self.unit = value, percent, unit

    def equals(self, other: _Number) -> bool:
        """Equal values; a percentage equals its number and its fraction, and a missing unit equals any."""
        if self.unit and other.unit and self.unit != other.unit:
            return False
        if self.percent == other.percent:
            return self.value == other.value
        percentage, number = (self, other) if self.percent else (other, self)
        return number.value in (percentage.value, percentage.value / 100)


def _number_lists(cleaned: str) -> list[list[_Number]]:
    """Readings of an answer as a list of plain numbers; empty when something in it is none."""
    readings = []
    for items in split_list(cleaned):
        numbers = [_read_number(item) for item in items]
        if numbers and None not in numbers:
            readings.append([number for number in numbers if number is not None])
    return readings


def _read_number(cleaned: str) -> _Number | None:
    value_text, unit = split_unit(cleaned)
    percent = value_text.endswith("%")
    value = evaluate(value_text.removesuffix("%").strip())
    return None if value is None else _Number(value, percent, unit)


def _same_numbers(left: list[_Number], right: list[_Number]) -> bool:
    """Whether the lists hold equal numbers, in any order."""
    rest = list(right)
    for number in left:
        match = next((other for other in rest if number.equals(other)), None)
        if match is None:
            return False
        rest.remove(match)
    return not rest
