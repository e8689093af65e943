"""Is an answer a value, or the question again in other words?"""

from __future__ import annotations

from trl_r1.verifiers.answers.exact import TooLargeError, UndefinedError, UnreadableError, Value
from trl_r1.verifiers.answers.formula import Formula, read_formula
from trl_r1.verifiers.answers.normalise import is_words
from trl_r1.verifiers.answers.quantities import BASED, RATIO, read_value
from trl_r1.verifiers.answers.readings import INFINITY, leaves, readings
from trl_r1.verifiers.answers.units import split_unit


def is_written_out(cleaned_answer: str, cleaned_gold: str) -> bool:
    """
    Whether an answer that equals the gold answer is a value, and no restatement of the question.

    - Where all of the gold answer is plain numbers, so must the answer be: digits, a decimal, an irreducible fraction,
      a mixed number or a percentage, perhaps times a power of ten.
    - Elsewhere no operation may be left undone whose result is a rational number, as in `7+5`, `2^{10}`, `\\sqrt{16}`;
      radicals, multiples of pi and formulas are values.
    - Where the gold answer itself leaves such an operation, as `2^{100}` does, anything equal will do.
    """
    golds = [_formula(text) for reading in readings(cleaned_gold)[:1] for text in leaves(reading)]
    if any(gold is None or (gold.reducible and not gold.literal) for gold in golds):
        return True
    all_plain = all(gold is not None and gold.literal for gold in golds)
    for reading in readings(cleaned_answer):
        answers = [_formula(text) for text in leaves(reading)]
        if len(answers) == len(golds) and all(
            answer is not None and (answer.literal or not (all_plain or answer.reducible)) for answer in answers
        ):
            return True
    return False


def values_to_parse(cleaned_gold: str) -> list[str]:
    """The values of a gold answer that only computer algebra can read."""
    unread = []
    for text in leaves(readings(cleaned_gold)[0]):
        number, _ = split_unit(text)
        readable = isinstance(read_value(number), Value | TooLargeError) or is_words(text) or INFINITY in text
        if not readable and not RATIO.fullmatch(text) and not BASED.fullmatch(text) and r"\pmod" not in text:
            unread.append(number)
    return unread


def _formula(text: str) -> Formula | None:
    number, _ = split_unit(text)
    try:
        return read_formula(number)
    except (TooLargeError, UndefinedError, UnreadableError):
        return None
