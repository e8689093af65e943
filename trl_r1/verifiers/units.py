"""Quantities: a number and its unit. 100 cm is 1 m; 12 cm is neither 12 km nor 12 square centimetres.

Any other word is a unit of its own, so 3 apples are no 3 pears. A percentage is kept apart, see `typed.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from trl_r1.verifiers.exact import PI, Value, from_generator, from_rational


PERCENT = "%"

_BASES: dict[str, tuple[str, Fraction]] = {}
for _names, _dimension, _factor in (
    ("mm millimeter millimetre", "metre", "1/1000"),
    ("cm centimeter centimetre", "metre", "1/100"),
    ("dm decimeter decimetre", "metre", "1/10"),
    ("m meter metre", "metre", "1"),
    ("km kilometer kilometre", "metre", "1000"),
    ("in inch inches", "metre", "254/10000"),
    ("ft foot feet", "metre", "3048/10000"),
    ("yd yard", "metre", "9144/10000"),
    ("mi mile", "metre", "1609344/1000"),
    ("mg milligram", "gram", "1/1000"),
    ("g gram", "gram", "1"),
    ("kg kilogram", "gram", "1000"),
    ("oz ounce", "gram", "28349523125/1000000000"),
    ("lb pound", "gram", "45359237/100000"),
    ("ms millisecond", "second", "1/1000"),
    ("s sec second", "second", "1"),
    ("min minute", "second", "60"),
    ("h hr hour", "second", "3600"),
    ("day", "second", "86400"),
    ("week", "second", "604800"),
    ("dollar usd", "dollar", "1"),
    ("cent", "dollar", "1/100"),
    ("rad radian", "radian", "1"),
):
    for _name in _names.split():
        _BASES[_name] = (_dimension, Fraction(_factor))
_VOLUMES = {"L": "1/1000", "l": "1/1000", "liter": "1/1000", "litre": "1/1000", "mL": "1/1000000", "ml": "1/1000000"}
_VOLUMES |= {"milliliter": "1/1000000", "millilitre": "1/1000000"}

_QUOTED = re.compile(
    r'(?P<value>[^"]*[^"\s])\s*(?P<unit>"[^"\d]*[A-Za-z€£¥元米个][^"\d]*"(?:\^\{?-?\d\}?)?(?:/"[^"\d]+"(?:\^\{?\d\}?)?)?)'
)
_SPACED = re.compile(r"(?P<value>.*[\d)}]) (?P<unit>[A-Za-z]{2,}(?:\^\{?\d\}?)?(?:[ /][A-Za-z]+(?:\^\{?\d\}?)?)*)")
_GLUED = re.compile(
    r"(?P<value>[\d.,]+) ?(?P<unit>mm|cm|dm|km|kg|mg|ft|mi|mL|ml|km/h|m/s|m/s\^\{?2\}?|[ckdm]?m\^\{?[23]\}?)"
)
_DEGREES = re.compile(r'(?P<value>.*\S)\^\{?\\circ ?\}?(?P<scale>"?[CFK]"?)?')
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
# Words that take back the number before them, or add another one.
_NO_UNIT = frozenset(["or", "and", "not", "no", "if", "is", "to", "than", "maybe", "either", "wrong", "plus", "minus"])
MAX_UNIT_WORDS = 4
_FACTOR = re.compile(r"(?P<slash>/)?(?P<word>[^\s/*^{}\d]+)(?:\^\{?(?P<exponent>-?\d)\}?)?")


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A product of powers of base units, and how many of them it is.

    Args:
        dimensions (`frozenset[tuple[str, int]]`): Base units with their exponents.
        factor ([`~trl_r1.verifiers.exact.Value`]): One of this unit in base units.
    """

    dimensions: frozenset[tuple[str, int]]
    factor: Value

    @property
    def is_percent(self) -> bool:
        """Whether it is the percent sign."""
        return self.dimensions == frozenset({(PERCENT, 1)})

    @property
    def is_angle(self) -> bool:
        """Whether it measures an angle, so that a bare number beside it may be in radians."""
        return self.dimensions == frozenset({("radian", 1)})


def split_unit(cleaned: str) -> tuple[str, Unit | None]:
    r"""Split `12"cm"` into `12` and its unit, which is `None` where there is none."""
    if cleaned.endswith("%"):
        return cleaned[:-1].strip(), _unit(PERCENT)
    degrees = _DEGREES.fullmatch(cleaned)
    if degrees and not _FUNCTION.search(cleaned):
        scale = (degrees.group("scale") or "").strip('"')
        return degrees.group("value"), _unit(f"degree{scale}")
    for pattern in (_QUOTED, _SPACED, _GLUED):
        match = pattern.fullmatch(cleaned)
        if match and _is_unit(match.group("unit"), quoted=pattern is _QUOTED):
            return match.group("value").strip(), _unit(match.group("unit").replace('"', " ").strip())
    return cleaned, None


def _is_unit(text: str, quoted: bool) -> bool:
    """Whether words after a number may be its unit. Short ones that no text command marks must be known: `2 xy`."""
    words = re.findall(r"[^\W\d_]+", text)
    if len(words) > MAX_UNIT_WORDS or any(word.lower() in _NO_UNIT for word in words):
        return False
    return quoted or all(len(word) > 3 or _is_known(word) for word in words)


def _is_known(word: str) -> bool:
    return (
        any(name in names for name in (word, word.removesuffix("s")) for names in (_BASES, _VOLUMES)) or word == "mph"
    )


@lru_cache(maxsize=1_000)
def _unit(text: str) -> Unit:
    """The unit a text names, such as `km/h`, `square feet` or `cm^2`."""
    text = re.sub(r"\s*\^\s*", "^", re.sub(r"\bper\b", "/", text))
    text = re.sub(r"\s*/\s*", " /", text)
    dimensions: dict[str, int] = {}
    factor = from_rational(1)
    raised = 1
    for match in _FACTOR.finditer(text):
        word = match.group("word").removesuffix(".")
        if word.lower() in ("square", "sq", "cubic", "cu"):
            raised = 3 if word.lower().startswith("cu") else 2
            continue
        exponent = int(match.group("exponent") or 1) * raised * (-1 if match.group("slash") else 1)
        raised = 1
        for name, count, size in _base(word):
            dimensions[name] = dimensions.get(name, 0) + count * exponent
            for _ in range(abs(exponent)):
                factor = factor * size if exponent > 0 else factor / size
    return Unit(frozenset((name, count) for name, count in dimensions.items() if count), factor)


def _base(word: str) -> list[tuple[str, int, Value]]:
    """Base units of one word, each with its exponent and size."""
    if len(word) > 3:
        word = word.lower()
    if word == "mph":
        return [*_base("mile"), ("second", -1, from_rational(Fraction(1, 3600)))]
    for name in (word, word.removesuffix("s"), word.removesuffix("es")):
        if name in _BASES:
            dimension, factor = _BASES[name]
            return [(dimension, 1, from_rational(factor))]
        if name in _VOLUMES:
            return [("metre", 3, from_rational(Fraction(_VOLUMES[name])))]
        if name in ("degree", "deg"):
            return [("radian", 1, from_generator(PI) / from_rational(180))]
    return [(word if len(word) < 3 else word.removesuffix("s"), 1, from_rational(1))]
