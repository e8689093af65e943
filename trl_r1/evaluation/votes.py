"""The value an answer votes for, so that a majority can be counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from trl_r1.data.judging import JudgedSample, route_of
from trl_r1.verifiers.answers.exact import Value
from trl_r1.verifiers.answers.extraction import extract_answer, gradable_answer, last_box
from trl_r1.verifiers.answers.normalise import clean, plain, without_thousands_separators
from trl_r1.verifiers.answers.quantities import read_value
from trl_r1.verifiers.choice import chosen_option


WITHOUT_VALUES: Final = ("code", "repair", "instructions")  # two texts that do the same are not the same text
MAX_NUMBER_BITS: Final = 2_000  # of a numerator or denominator that is written out; 2004! has 19,000


def has_votes(row: Mapping[str, Any], verifier: str = "auto") -> bool:
    """Whether answers to a question are values, of which one can be that of the majority."""
    return (verifier if verifier != "auto" else route_of(row)) not in WITHOUT_VALUES


def answer_key(sample: JudgedSample, verifier: str = "auto") -> str | None:
    r"""
    The value of an answer in a normal form.

    It is what the verifier reads of it: the option chosen, a rational number in lowest terms (`0.5`, `.5` and
    `\frac{2}{4}` are `1/2`), or another value in its usual spelling. So two wrong formulas of equal value, `x(x+1)`
    and `x^2+x`, are two; right ones are made one by [`~trl_r1.evaluation.cons_at_k`]. A short sentence is a value
    too, as for the verifier.

    Args:
        sample ([`JudgedSample`]):
            The answer.
        verifier (`str`, *optional*, defaults to `"auto"`):
            What judged it.

    Returns:
        `str` or `None`: nothing where no value is given, or answers are no values, as code is.
    """
    route = verifier if verifier != "auto" else route_of(sample.row)
    text = gradable_answer(sample.parsed)
    if route in WITHOUT_VALUES or not text:
        return None
    if route == "choice":
        return chosen_option(text, sample.row.get("choices") or None)
    if route == "puzzle":
        boxed = last_box(text)
        return (text if boxed is None else boxed).strip() or None
    value = extract_answer(text).text
    return _spelling(value) or None if value else None


def _spelling(value: str) -> str:
    cleaned = clean(value)
    found = read_value(without_thousands_separators(cleaned)) if cleaned else None
    number = found.rational if isinstance(found, Value) else None
    if number is None or max(number.numerator.bit_length(), number.denominator.bit_length()) > MAX_NUMBER_BITS:
        return plain(cleaned)
    return str(number)


def vote_of(key: str | None, right: bool) -> str | None:
    """What an answer votes for by its key. A verifier may have found right what no value can be read of."""
    return "right" if key is None and right else key


def votes_of(samples: Sequence[JudgedSample], verifier: str = "auto") -> list[str | None]:
    """What each answer to a question votes for."""
    return [vote_of(answer_key(sample, verifier), sample.correct is True) for sample in samples]
