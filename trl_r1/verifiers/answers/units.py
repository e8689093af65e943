"""Quantities: a number and its unit. 100 cm is 1 m; 12 cm is neither 12 km nor 12 square centimetres.

Any other word is a unit of its own, so 3 apples are no 3 pears; `million` and `dozen` are part of the number. A
percentage is kept apart, see `typed.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from trl_r1.verifiers.answers.exact import PI, Value, from_generator, from_rational


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
    ("毫米", "metre", "1/1000"),
    ("厘米", "metre", "1/100"),
    ("分米", "metre", "1/10"),
    ("米", "metre", "1"),
    ("千米 公里", "metre", "1000"),
    ("克", "gram", "1"),
    ("千克 公斤", "gram", "1000"),
    ("吨", "gram", "1000000"),
    ("秒", "second", "1"),
    ("分钟", "second", "60"),
    ("小时", "second", "3600"),
    ("天", "second", "86400"),
    ("元", "yuan", "1"),
    ("角", "yuan", "1/10"),
    ("分", "yuan", "1/100"),
):
    for _name in _names.split():
        _BASES[_name] = (_dimension, Fraction(_factor))
_VOLUMES = {"L": "1/1000", "l": "1/1000", "liter": "1/1000", "litre": "1/1000", "mL": "1/1000000", "ml": "1/1000000"}
_VOLUMES |= {"milliliter": "1/1000000", "millilitre": "1/1000000", "升": "1/1000", "毫升": "1/1000000"}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"百": 100, "千": 10**3, "万": 10**4, "亿": 10**8}
_COUNTERS = frozenset("个只名人次种条本支辆页岁棵张块件台双颗头位项组朵袋箱瓶杯户匹间层对句把套班根艘架株度")
# Symbols of one or two letters that may stand after a number: other short words are variables.
_SYMBOLS = frozenset("mgshLlAVWJNCKFT") | {"Hz", "Pa", "eV", "dB"}
_SYMBOLS |= {prefix + symbol for prefix in "kMGmcdnμµ" for symbol in "mgsLlAVWJNFT"}
_SYMBOLS |= {"in", "ft", "yd", "mi", "oz", "lb", "hr", "pt", "qt", "yr", "am", "pm", "AM", "PM", "sq", "cu"}

_RAISED = r"(?:\^\{?-?\d\}?)?"
_QUOTED = re.compile(rf'(?P<value>[^"]*[^"\s])\s*(?P<unit>(?:\s?/?"[^"]+"{_RAISED})+)')
_CHINESE = re.compile(r"(?P<value>.*[\d)}])\s*(?P<unit>[\u4e00-\u9fff]+(?:/[\u4e00-\u9fff]+)?)")
_WORD = rf"(?:[^\W\d_]+\.?|[€£¥]){_RAISED}"
_UNIT = re.compile(rf"\s*/?\s*{_WORD}(?:(?:\s*[/*-]\s*|\s+|\.){_WORD})*\s*")
_SPACED = re.compile(r"(?P<value>.*[\d)}]) (?P<unit>[A-Za-z]{2,}(?:\^\{?\d\}?)?(?:[ /][A-Za-z]+(?:\^\{?\d\}?)?)*)")
_GLUED = re.compile(
    r"(?P<value>[\d.,]+) ?(?P<unit>mm|cm|dm|km|kg|mg|ft|mi|mL|ml|km/h|m/s|m/s\^\{?2\}?|[ckdm]?m\^\{?[23]\}?)"
)
_DEGREES = re.compile(r'(?P<value>.*\S)\^\{?\\circ ?\}?(?P<scale>"?[CFK]"?)?')
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
# Words that take back the number before them, change it, or add another one.
_OTHER_WORDS = """
    or and not no if is to than maybe either wrong plus minus but else otherwise except versus vs perhaps possibly
    probably approx approximately roughly about around ish at least most below above under over negative positive
    squared cubed factorial times divided mod modulo base half halves thirds fourths fifths sixths sevenths eighths
    ninths tenths hundredths thousandths percentile zero one two three four five six seven eight nine ten eleven twelve
    twenty thirty forty fifty sixty seventy eighty ninety sqrt pi sin cos tan log ln exp lcm gcd max inf infinity alpha
    beta gamma theta oder
"""
_NO_UNIT = frozenset(_OTHER_WORDS.split())
MAX_UNIT_WORDS = 4
_FACTOR = re.compile(r"(?P<slash>/)?(?P<word>[^\s/*^{}\d]+)(?:\^\{?(?P<exponent>-?\d)\}?)?")


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A product of powers of base units, and how many of them it is.

    Args:
        dimensions (`frozenset[tuple[str, int]]`): Base units with their exponents.
        factor ([`~trl_r1.verifiers.answers.exact.Value`]): One of this unit in base units.
        scale ([`~trl_r1.verifiers.answers.exact.Value`]): What belongs to the number: `5 million dollars`.
    """

    dimensions: frozenset[tuple[str, int]]
    factor: Value
    scale: Value

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
    for pattern in (_QUOTED, _CHINESE, _SPACED, _GLUED):
        match = pattern.fullmatch(cleaned)
        unit = match.group("unit").replace('""', " ").replace('"', "").strip() if match else ""
        if match and _is_unit(unit, quoted=pattern is _QUOTED):
            return match.group("value").strip(), _unit(unit)
    return cleaned, None


def _is_unit(text: str, quoted: bool) -> bool:
    """Whether words after a number may be its unit. Short ones must be known: `2 xy` is a product."""
    words = re.findall(r"[^\W\d_]+", _in_english(text))
    if not _UNIT.fullmatch(text) or len(words) > MAX_UNIT_WORDS or any(word.lower() in _NO_UNIT for word in words):
        return False
    return all(_is_known(word) or (word.isascii() and len(word) > (2 if quoted else 3)) for word in words)


def _is_known(word: str) -> bool:
    if any(name in names for name in (word, word.removesuffix("s")) for names in (_BASES, _VOLUMES, _SCALES)):
        return True
    return word in _SYMBOLS or word in _COUNTERS or word == "mph"


def _in_english(text: str) -> str:
    """Chinese units with spaces and slashes where English has them: `万 元`, `千米/小时`, `square 厘米`."""
    for chinese, english in (("每", "/"), ("平方", "square "), ("立方", "cubic ")):
        text = text.replace(chinese, english)
    return re.sub(r"([百千万亿])(?=[\u4e00-\u9fff])(?!米|克)", r"\1 ", text)


@lru_cache(maxsize=1_000)
def _unit(text: str) -> Unit:
    """The unit a text names, such as `km/h`, `square feet` or `cm^2`."""
    text = re.sub(r"\s*\^\s*", "^", re.sub(r"\bper\b", "/", _in_english(text)))
    text = re.sub(r"\s*/\s*", " /", text)
    dimensions: dict[str, int] = {}
    factor = scale = from_rational(1)
    raised = 1
    for match in _FACTOR.finditer(text):
        word = match.group("word").removesuffix(".")
        if word.lower() in ("square", "sq", "cubic", "cu"):
            raised = 3 if word.lower().startswith("cu") else 2
            continue
        if word.lower().removesuffix("s") in _SCALES:
            scale = scale * from_rational(_SCALES[word.lower().removesuffix("s")])
            continue
        exponent = int(match.group("exponent") or 1) * raised * (-1 if match.group("slash") else 1)
        raised = 1
        for name, count, size in _base(word):
            dimensions[name] = dimensions.get(name, 0) + count * exponent
            for _ in range(abs(exponent)):
                factor = factor * size if exponent > 0 else factor / size
    return Unit(frozenset((name, count) for name, count in dimensions.items() if count), factor * scale, scale)


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
        if name in ("degree", "deg", "度"):
            return [("radian", 1, from_generator(PI) / from_rational(180))]
    return [(word if len(word) < 3 else word.removesuffix("s"), 1, from_rational(1))]
