r"""Compare two answers part by part, with exact values; what only computer algebra can compare is listed for it.

Every part must agree: no credit for one root of two, for an interval with another end, or for `12 km` instead of
`12 cm`. The rules, one place each: [`Comparison._quantities`] for units and percent, [`Comparison._equations`] for
what may stand beside an equals sign, [`Comparison._groups`] for order.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from trl_r1.verifiers.answers.algebra import DERIVATIVE, can_be_compared
from trl_r1.verifiers.answers.equality import same_value
from trl_r1.verifiers.answers.exact import (
    TooLargeError,
    UndefinedError,
    UnreadableError,
    Value,
    from_rational,
    proportional,
)
from trl_r1.verifiers.answers.formula import read_formula
from trl_r1.verifiers.answers.normalise import is_words, plain
from trl_r1.verifiers.answers.quantities import (
    BASED,
    is_multiple_of_pi,
    is_number,
    read_value,
    same_angle,
    same_digits,
    same_ratio,
    same_residue,
    same_scaled,
    without_same_unit,
)
from trl_r1.verifiers.answers.readings import (
    INFINITY,
    Equation,
    Group,
    Inequality,
    Leaf,
    Matrix,
    Reading,
    is_name,
    leaves,
    readings,
)
from trl_r1.verifiers.answers.three_valued import all_of, any_of, matched
from trl_r1.verifiers.answers.units import split_unit


MAX_UNORDERED = 40
MAX_PENDING = 24

Pair = tuple[str, str]


class Comparison:
    """
    One comparison of an answer with a gold answer.

    Args:
        known (`Mapping[tuple[str, str], bool]`, *optional*):
            What computer algebra found about pairs of values that an earlier comparison left in `pending`.

    Attributes:
        pending (`list[tuple[str, str]]`): pairs of values that only computer algebra can compare.
        golds (`list[str]`): those of the values that are the gold answer's, and have to be readable.
    """

    def __init__(self, known: Mapping[Pair, bool] | None = None) -> None:
        self.known = known or {}
        self.pending: list[Pair] = []
        self.golds: list[str] = []
        self._within_answer = False

    def equal(self, cleaned_gold: str, cleaned_answer: str) -> bool | None:
        """Whether two cleaned answers are equal; `None` when that depends on what is `pending`."""
        return any_of(
            self._same(gold, answer) for gold in readings(cleaned_gold) for answer in readings(cleaned_answer)
        )

    def _same(self, gold: Reading, answer: Reading) -> bool | None:
        if gold == answer and not isinstance(gold, Equation):
            return True
        for group, other in ((gold, answer), (answer, gold)):
            if isinstance(group, Group) and len(group.items) == 1 and not group.ordered:
                if not isinstance(other, Group) and _is_fractional_part(group):
                    return False
                if _holds_a_set(group) and not _holds_a_set(other):
                    return False
                return self._same(group.items[0], answer) if group is gold else self._same(gold, group.items[0])
        if isinstance(gold, Equation) or isinstance(answer, Equation):
            return self._equations(gold, answer)
        match gold, answer:
            case Leaf(), Leaf():
                return self._values(gold.text, answer.text)
            case Group(), Group():
                return self._groups(gold, answer)
            case Matrix(), Matrix():
                return self._matrices(gold, answer)
            case (Matrix(), Group()) | (Group(), Matrix()):
                return self._vectors(gold, answer)
            case Inequality(), Inequality():
                return self._inequalities(gold, answer)
        return False

    def _groups(self, gold: Group, answer: Group) -> bool | None:
        """Lists and sets in any order; tuples, and a list beside a tuple, in theirs; intervals with their ends."""
        if len(gold.items) != len(answer.items) or "and" in (gold.kind, answer.kind):
            return False
        if gold.ordered or answer.ordered:
            if "set" in (gold.kind, answer.kind):
                return False
            if gold.ordered and answer.ordered and len(gold.items) == 2:
                if gold.kind != answer.kind or (gold.variable and answer.variable not in ("", gold.variable)):
                    return False
            elif not _names_in_order(gold, answer):
                return False
            return all_of(self._same(*pair) for pair in zip(gold.items, answer.items, strict=True))
        if not gold.items or len(gold.items) > MAX_UNORDERED:
            return gold == answer
        return self._in_any_order(gold, answer)

    def _in_any_order(self, gold: Group, answer: Group) -> bool | None:
        """Whether the items can be paired, each with an equal one."""
        if len({_name_of(item) for item in gold.items}) > 1 and not all(_name_of(item) for item in answer.items):
            return False  # `x=1, y=2`: an answer of two numbers does not say which is which
        table = [[self._same(left, right) for right in answer.items] for left in gold.items]
        if matched([[cell is True for cell in row] for row in table]):
            return True
        return None if matched([[cell is not False for cell in row] for row in table]) else False

    def _matrices(self, gold: Matrix, answer: Matrix) -> bool | None:
        if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False
        cells = zip(leaves(gold), leaves(answer), strict=True)
        return all_of(self._values(*pair) for pair in cells)

    def _vectors(self, gold: Reading, answer: Reading) -> bool | None:
        """A matrix of one row or column beside a tuple."""
        matrix, group = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
        assert isinstance(matrix, Matrix)
        assert isinstance(group, Group)
        thin = len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows)
        texts = leaves(gold), leaves(answer)
        if not thin or group.kind != "()" or len(texts[0]) != len(texts[1]):
            return False
        return all_of(self._values(*pair) for pair in zip(*texts, strict=True))

    def _equations(self, gold: Reading, answer: Reading) -> bool | None:
        """
        `x = 5` answers `5` and the other way round; all else beside an equals sign must be true of the value.

        So `2+1 = 3` answers `3`, and `4 = 3` does not.
        """
        if isinstance(gold, Equation) and isinstance(answer, Equation):
            return self._two_equations(gold, answer)
        equation, other = (gold, answer) if isinstance(gold, Equation) else (answer, gold)
        assert isinstance(equation, Equation)
        (value,) = leaves(equation)
        if isinstance(gold, Equation) and not is_name(gold.members[0]):
            return False
        beside = [member for member in equation.members if member != value and not is_name(member)]
        found = [self._same(*((read, other) if equation is gold else (other, read))) for read in readings(value)]
        return all_of([any_of(found), *(self._holds(value, member) for member in beside)])

    def _two_equations(self, gold: Equation, answer: Equation) -> bool | None:
        names = gold.members[0], answer.members[0]
        (gold_value,), (value,) = leaves(gold), leaves(answer)
        if all(is_name(name) for name in names):
            if plain(names[0]) != plain(names[1]) and names[0].startswith('"') == names[1].startswith('"'):
                return False if is_number(gold_value) else self._same_curve(gold, answer)
            beside = [member for member in answer.members[1:-1] if not is_name(member)]
            return all_of(
                [
                    any_of(self._same(left, right) for left in readings(gold_value) for right in readings(value)),
                    *(self._holds(value, member) for member in beside),
                ]
            )
        if is_name(names[0]) and is_name(answer.members[-1]) and len(answer.members) == 2:
            return names[0] == answer.members[-1] and self._values(gold_value, value)
        if is_name(names[0]) and is_number(gold_value):
            return False  # `2x = 10` is not yet `x = 5`
        return self._same_curve(gold, answer)

    def _same_curve(self, gold: Equation, answer: Equation) -> bool:
        """Whether the equations are the same but for a constant factor."""
        if len(gold.members) != 2 or len(answer.members) != 2:
            return False
        try:
            sides = [[read_formula(text).value for text in each.members] for each in (gold, answer)]
            differences = [left - right for left, right in sides]
        except (TooLargeError, UndefinedError, UnreadableError):
            return gold == answer
        return proportional(_numerator(differences[0]), _numerator(differences[1])) is not None

    def _inequalities(self, gold: Inequality, answer: Inequality) -> bool:
        if gold.operator != answer.operator:
            return False
        try:
            differences = [read_formula(each.left).value - read_formula(each.right).value for each in (gold, answer)]
        except (TooLargeError, UndefinedError, UnreadableError):
            return False
        factor = proportional(*differences)
        return factor is not None and factor > 0

    def _values(self, gold: str, answer: str) -> bool | None:
        """Two single values."""
        if plain(gold) == plain(answer):
            return True
        if is_words(gold) or is_words(answer) or INFINITY in gold or INFINITY in answer:
            return False
        if ":" in gold or ":" in answer:
            return same_ratio(gold, answer)
        if r"\pmod" in gold or r"\pmod" in answer:
            return same_residue(gold, answer)
        if BASED.fullmatch(gold) or BASED.fullmatch(answer):
            return same_digits(gold, answer)
        try:
            return self._quantities(gold, answer)
        except TooLargeError:
            return False  # a product with a unit's size

    def _holds(self, value: str, member: str) -> bool | None:
        """Whether what the answer says of its own value is true."""
        self._within_answer = True
        holds = self._values(value, member)
        self._within_answer = False
        return holds

    def _quantities(self, gold: str, answer: str) -> bool | None:
        """
        Values with their units.

        A missing unit is forgiven, another one is not, unless the quantities are equal (`100 cm` is `1 m`). A
        percentage equals its fraction; beside a number of more than 1 it equals that number, whose sign is missing.
        """
        (gold_number, gold_unit), (number, unit) = split_unit(gold), split_unit(answer)
        if gold_unit is None and unit is not None:
            gold_number = without_same_unit(gold_number, answer)
        elif unit is None and gold_unit is not None:
            number = without_same_unit(number, gold)
        if gold_unit == unit:
            return self._numbers(gold_number, number)
        if gold_unit is not None and unit is not None and gold_unit.dimensions and unit.dimensions:
            if gold_unit.dimensions != unit.dimensions:
                return False
            return same_scaled(gold_number, gold_unit.factor, number, unit.factor)
        given = gold_unit or unit
        assert given is not None
        if given.is_percent:
            return self._percentage(gold_number, number, gold_is_percent=gold_unit is not None)
        whole = from_rational(1)
        scales = [each.scale if each else whole for each in (gold_unit, unit)]
        if any(scale.rational != 1 for scale in scales):
            return same_scaled(gold_number, scales[0], number, scales[1])  # `5 million` is 5000000
        if same_angle(gold_number, number, given, gold_has_unit=gold_unit is not None):
            return True
        if given.is_angle and is_multiple_of_pi(number if gold_unit else gold_number):
            return False  # it is in radians
        return self._numbers(gold_number, number)

    def _percentage(self, gold: str, answer: str, gold_is_percent: bool) -> bool | None:
        hundredth = from_rational(Fraction(1, 100))
        whole = from_rational(1)
        if gold_is_percent:
            return any_of([self._numbers(gold, answer), same_scaled(gold, hundredth, answer, whole)])
        try:
            number = read_formula(gold).value.rational
        except (TooLargeError, UndefinedError, UnreadableError):
            number = None
        if number is None or abs(number) <= 1:
            return same_scaled(gold, whole, answer, hundredth)
        return self._numbers(gold, answer)

    def _numbers(self, gold: str, answer: str) -> bool | None:
        """Two values without units: exactly, by their numbers, or by computer algebra."""
        if DERIVATIVE.search(gold) or DERIVATIVE.search(answer):
            return False  # else it would cancel down to `y/x`
        found = [read_value(gold), read_value(answer)]
        if any(isinstance(value, UndefinedError) for value in found):
            return False
        if any(isinstance(value, TooLargeError) for value in found):
            return False if any(isinstance(value, Value) for value in found) else None
        if isinstance(found[0], Value) and isinstance(found[1], Value):
            same = same_value(found[0], found[1])
            if same is not None:
                return same
        return self._ask(gold, answer)

    def _ask(self, gold: str, answer: str) -> bool | None:
        pair = gold, answer
        if pair in self.known:
            return self.known[pair]
        if len(self.pending) >= MAX_PENDING or not can_be_compared(gold, answer):
            return False
        if pair not in self.pending:
            self.pending.append(pair)
            if not self._within_answer:
                self.golds.append(gold)
        return None


def _holds_a_set(reading: Reading) -> bool:
    r"""Whether it is a set of one set, as `\{\emptyset\}` is, which that set may not stand for."""
    if not isinstance(reading, Group) or reading.kind != "set" or len(reading.items) != 1:
        return False
    (member,) = reading.items
    return member.kind == "set" if isinstance(member, Group) else member == Leaf(r"\emptyset")


def _is_fractional_part(group: Group) -> bool:
    r"""Whether `\{x\}` may stand for the fractional part of x, and not for a set."""
    found = read_value(group.items[0].text) if group.kind == "set" and isinstance(group.items[0], Leaf) else None
    return isinstance(found, Value) and found.has_variable


def _numerator(value: Value) -> Value:
    return Value(value.numerator, from_rational(1).denominator)


def _name_of(reading: Reading) -> str:
    return reading.members[0] if isinstance(reading, Equation) and is_name(reading.members[0]) else ""


def _names_in_order(*groups: Group) -> bool:
    """Whether `x=1, y=2` beside a tuple names its parts in alphabetical order."""
    names = [[name for item in group.items if (name := _name_of(item))] for group in groups]
    return all(found == sorted(found) for found in names)
