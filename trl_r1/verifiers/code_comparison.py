"""Compare what a program printed or returned with what the test expects, outside the process the program ran in."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any


MOST_OFF_INTEGER = 0.5  # of a float from the integer that is expected


def output_difference(printed: str, expected: str, tolerance: float | None = None) -> str | None:
    """
    How a program's output differs from the expected one, or `None` where it does not.

    Whole outputs are compared line by line. Blanks at the end of a line and blank lines at the end are ignored; one
    line too many or too few is a difference.

    Args:
        printed (`str`):
            Standard output of the program.
        expected (`str`):
            Output the test expects.
        tolerance (`float`, *optional*):
            Absolute and relative difference up to which two numbers in the same place are equal, unless both are
            spelled as integers. By default their spelling must agree.

    Returns:
        `str` or `None`: never tells the expected text.
    """
    lines, wanted = _lines(printed), _lines(expected)
    for number, (line, other) in enumerate(zip(lines, wanted, strict=False), start=1):
        if line != other and not (tolerance is not None and _same_tokens(line, other, tolerance)):
            return f"line {number} of the output differs"
    if len(lines) != len(wanted):
        return f"the output has too {'many' if len(lines) > len(wanted) else 'few'} lines"
    return None


def values_equal(value: Any, expected: Any, tolerance: float | None = None) -> bool:
    """
    Whether a returned value is the expected one.

    Types must agree as far as JSON can tell them apart: `True` is not 1, but 1 is 1.0, a tuple is as good as a list
    where a list is expected, and a dictionary may have the keys that JSON spells as text. `nan` equals `nan`.

    Args:
        value (`Any`):
            Plain data.
        expected (`Any`):
            Plain data. Where it holds a tuple or a set, which JSON cannot, only the same type equals it.
        tolerance (`float`, *optional*):
            Absolute and relative difference up to which numbers are equal, if one of them is a float; at most a half
            from an integer. By default they must be the same number.
    """
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if isinstance(expected, int | float | complex):
        return isinstance(value, int | float | complex) and _same_number(value, expected, tolerance)
    if isinstance(expected, list):
        return isinstance(value, list | tuple) and _same_items(value, expected, tolerance)
    if isinstance(expected, tuple):
        return isinstance(value, tuple) and _same_items(value, expected, tolerance)
    if isinstance(expected, Mapping):
        return isinstance(value, Mapping) and _same_entries(value, expected, tolerance)
    if isinstance(expected, set | frozenset):
        same_bools = isinstance(value, set | frozenset) and _bools(value) == _bools(expected)
        return same_bools and bool(value == expected)
    return type(value) is type(expected) and bool(value == expected)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]  # splitlines() would also split at form feeds
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_tokens(line: str, other: str, tolerance: float) -> bool:
    tokens, wanted = line.split(), other.split()
    return len(tokens) == len(wanted) and all(
        token == want or _same_spelled_number(token, want, tolerance)
        for token, want in zip(tokens, wanted, strict=True)
    )


def _same_spelled_number(token: str, wanted: str, tolerance: float) -> bool:
    if "_" in token or not token.isascii():
        return False  # Python reads `1_0` as a number, and no checker does
    try:
        return _same_number(_spelled_number(token), _spelled_number(wanted), tolerance)
    except ValueError:
        return False


def _spelled_number(token: str) -> float:
    return int(token) if token.lstrip("+-").isdecimal() else float(token)


def _same_number(value: complex, expected: complex, tolerance: float | None) -> bool:
    if value == expected or (value != value and expected != expected):  # or both are nan
        return True
    if tolerance is None or not (isinstance(value, float) or isinstance(expected, float)):
        return False
    if isinstance(value, complex) or isinstance(expected, complex):
        return False
    try:
        if isinstance(expected, int) and abs(value - expected) > MOST_OFF_INTEGER:
            return False  # the neighbour of a large integer, which a relative difference would let pass
        return math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:
        return False  # an integer too large for a float


def _bools(values: Collection[Any]) -> int:
    return sum(isinstance(value, bool) for value in values)


def _same_items(value: Any, expected: Any, tolerance: float | None) -> bool:
    return len(value) == len(expected) and all(
        values_equal(item, wanted, tolerance) for item, wanted in zip(value, expected, strict=True)
    )


def _same_entries(value: Mapping[Any, Any], expected: Mapping[Any, Any], tolerance: float | None) -> bool:
    if all(isinstance(key, str) for key in expected):
        spelled = {_json_key(key): item for key, item in value.items()}
        if len(spelled) != len(value):
            return False  # 1 and "1" at once
        value = spelled
    return value.keys() == expected.keys() and all(
        values_equal(value[key], wanted, tolerance) for key, wanted in expected.items()
    )


def _json_key(key: Any) -> Any:
    """A key as JSON spells it."""
    if not (isinstance(key, bool | int | float) or key is None):
        return key
    try:
        return json.dumps(key)
    except ValueError:
        return key  # an integer with more digits than Python spells
