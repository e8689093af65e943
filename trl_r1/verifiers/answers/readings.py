r"""What kind of thing an answer is: a value, a list, a set, a tuple or interval, an equation, an inequality, a matrix.

Inequalities for one variable are read as the interval they stand for, and `\pm` as two values, so that one comparison
serves all spellings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from trl_r1.verifiers.answers.normalise import has_and, split_list, split_top, without_thousands_separators


INFINITY = r"\infty"
MAX_READ_DEPTH = 8

_NAME = re.compile(
    r"""(?:
        "[^"]*" | m?\\angle\s?[A-Z]{1,3} | \\(?:overline|triangle)\s?\{?[A-Z]{1,4}\}? | \|?[A-Z]{2,3}\|?
        | \\?[A-Za-z]+(?<![A-Za-z]{4}) | \\(?:alpha|beta|gamma|delta|theta|lambda|omega|sigma|varphi|epsilon)
    )
    '{0,2}(?:_(?:\w|\{\w+\}))?(?:\([A-Za-z0-9](?:,[A-Za-z0-9])*\))? | \([A-Za-z](?:,[A-Za-z])+\)""",
    re.VERBOSE,
)
_MATRIX = re.compile(
    r"\\begin\{(?P<kind>p|b|B|)matrix\}(?P<body>.*)\\end\{(?P=kind)matrix\}|"
    r"\(?\[?\\begin\{array\}\{[lcr| ]*\}(?P<array>.*)\\end\{array\}\)?\]?"
)
_COMPARISON = re.compile(r"(<=|>=|<|>)")
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_PADDED = re.compile(r",0\d")
_EITHER_SIGN = re.compile(r"\\(pm|mp)(?![A-Za-z]) ?")
_MEMBER = re.compile(r"(?P<name>[A-Za-z]|\\[a-z]+)\s?\\in(?![A-Za-z])\s?(?P<set>.+)")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value, as its cleaned text."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """
    Several parts.

    Args:
        kind (`str`):
            `"list"` (`1, 2`), `"set"` (`\\{1, 2\\}`), `"and"` (conditions that hold together), or the brackets of a
            tuple or interval, such as `"()"` and `"[)"`.
        items (`tuple[Reading, ...]`):
            The parts.
        variable (`str`):
            For an interval written as an inequality, or with `\\in`, its variable; else empty.
    """

    kind: str
    items: tuple[Reading, ...]
    variable: str = ""

    @property
    def ordered(self) -> bool:
        """Whether the parts have an order."""
        return len(self.kind) == 2


@dataclass(frozen=True, slots=True)
class Equation:
    """`a = b = c`, as cleaned texts."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inequality:
    """`left < right`, neither side a bare name: `operator` is `<` or `<=`."""

    left: str
    operator: str
    right: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of cleaned texts."""

    rows: tuple[tuple[str, ...], ...]


Reading = Leaf | Group | Equation | Inequality | Matrix


@lru_cache(maxsize=4_000)
def readings(cleaned: str) -> tuple[Reading, ...]:
    """
    What a cleaned answer may mean, most likely first.

    Returns:
        `tuple[Reading, ...]`: one reading, or two where `1,234` may be one number or two.
    """
    grouped = without_thousands_separators(cleaned)
    if grouped == cleaned:
        return (_read(cleaned, 0),)
    if _PADDED.search(cleaned):
        return (_read(grouped, 0),)  # no list has an item `000`
    return _read(grouped, 0), _read(cleaned, 0)


def is_name(text: str) -> bool:
    """Whether a text names something, as the left side of `x = 5`, `f(x) = 5` or `AB = 5` does."""
    return _NAME.fullmatch(text) is not None


def leaves(reading: Reading) -> list[str]:
    """Texts of all values in a reading; of an equation the last member, unless only that is a name."""
    match reading:
        case Leaf(text):
            return [text]
        case Group(_, items):
            return [text for item in items for text in leaves(item)]
        case Equation(members):
            return [members[0] if is_name(members[-1]) and not is_name(members[0]) else members[-1]]
        case Inequality(left, _, right):
            return [left, right]
        case Matrix(rows):
            return [text for row in rows for text in row]


def _read(text: str, depth: int) -> Reading:
    if depth > MAX_READ_DEPTH:
        return Leaf(text)
    matrix = _matrix(text)
    if matrix is not None:
        return matrix
    items = split_list(text)
    if len(items) > 1:
        kind = "and" if has_and(text) and _COMPARISON.search(text) else "list"
        return Group(kind, tuple(_read(item, depth + 1) for item in items))
    parts = split_top(text, r"\cup")
    if len(parts) > 1:
        return Group("list", tuple(_read(part, depth + 1) for part in parts))
    return _single(items[0] if items else text, depth)


def _single(text: str, depth: int) -> Reading:
    """Read what is no list."""
    member = _MEMBER.fullmatch(text)
    if member:
        found = _read(member.group("set"), depth + 1)
        return replace(found, variable=member.group("name")) if isinstance(found, Group) and found.ordered else found
    unequal, equal = split_top(text, "!="), split_top(text, "=")
    if _COMPARISON.search(text):
        return _inequality(text, depth)
    if len(unequal) == 2 and len(equal) == 2 and is_name(unequal[0]):
        name, hole = unequal
        below, above = ("-" + INFINITY, hole), (hole, INFINITY)
        return Group("list", tuple(_interval(*ends, False, False, name) for ends in (below, above)))
    if len(equal) > 1 and len(unequal) == 1:
        return _equation(tuple(equal), depth)
    if _EITHER_SIGN.search(text):
        signs = ({"pm": "+", "mp": "-"}, {"pm": "-", "mp": "+"})
        return Group("list", tuple(Leaf(_tidy_sign(_with_signs(text, sign))) for sign in signs))
    return _bracketed(text, depth) or Leaf(_tidy_sign(text))


def _equation(members: tuple[str, ...], depth: int) -> Reading:
    """An equation; `x = \\pm 3` and `x = \\{1, 2\\}` are what follows."""
    last = members[-1]
    if len(members) == 2 and is_name(members[0]) and (_EITHER_SIGN.search(last) or last.startswith(r"\{")):
        return _read(last, depth + 1)
    return Equation(members)


def _bracketed(text: str, depth: int) -> Reading | None:
    """A set, tuple or interval."""
    if text.startswith(r"\{") and text.endswith(r"\}"):
        inside = text[2:-2]
        if "|" in inside or ":" in inside:
            return None  # a set given by a condition: compared by its spelling only
        return Group("set", tuple(_read(item, depth + 1) for item in split_list(inside)))
    if text[:1] in ("(", "[") and text[-1:] in (")", "]") and _closes_at_end(text):
        items = split_top(text[1:-1], ",")
        if len(items) > 1:
            return Group(text[0] + text[-1], tuple(_read(item, depth + 1) for item in items))
    return None


def _closes_at_end(text: str) -> bool:
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False


def _inequality(text: str, depth: int) -> Reading:
    """`1 < x <= 2` as the interval, `x + y < 3` as it stands."""
    first, *rest = _COMPARISON.split(text)
    sides, operators = [first.strip(), *(side.strip() for side in rest[1::2])], rest[0::2]
    if not all(sides) or "=" in "".join(sides):
        return Leaf(text)
    if len(sides) == 3 and is_name(sides[1]):
        if all(operator in (">", ">=") for operator in operators):
            sides, operators = sides[::-1], [_FLIPPED[operator] for operator in reversed(operators)]
        if any(operator in (">", ">=") for operator in operators):
            return Leaf(text)
        return _interval(sides[0], sides[2], operators[0] == "<=", operators[1] == "<=", sides[1])
    if len(sides) != 2:
        return Leaf(text)
    (left, right), operator = sides, operators[0]
    if is_name(right) and not is_name(left):
        left, right, operator = right, left, _FLIPPED[operator]
    closed = operator.endswith("=")
    if is_name(left):
        if operator[0] == "<":
            return _interval("-" + INFINITY, right, False, closed, left)
        return _interval(right, INFINITY, closed, False, left)
    return Inequality(*((left, operator, right) if operator[0] == "<" else (right, _FLIPPED[operator], left)))


def _interval(low: str, high: str, low_closed: bool, high_closed: bool, variable: str) -> Group:
    kind = ("[" if low_closed else "(") + ("]" if high_closed else ")")
    return Group(kind, (Leaf(_tidy_sign(low)), Leaf(_tidy_sign(high))), variable)


def _matrix(text: str) -> Matrix | None:
    match = _MATRIX.fullmatch(text)
    if not match:
        return None
    body = match.group("body") if match.group("body") is not None else match.group("array")
    rows = [row for row in re.split(r"\\cr ?", body) if row.strip()]
    return Matrix(tuple(tuple(cell.strip() for cell in row.split("&")) for row in rows))


def _with_signs(text: str, signs: dict[str, str]) -> str:
    return _EITHER_SIGN.sub(lambda match: signs[match.group(1)], text)


def _tidy_sign(text: str) -> str:
    """Without a leading plus."""
    return text[1:].strip() if text.startswith("+") and not text.startswith(("+-", "++")) else text
