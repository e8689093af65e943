"""The value an answer votes for, so that a majority can be counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from trl_r1.data.judging import JudgedSample, route_of
from trl_r1.verifiers.answers.extraction import extract_answer, gradable_answer, last_box
from trl_r1.verifiers.answers.normalise import clean, plain
from trl_r1.verifiers.choice import chosen_option


WITHOUT_VALUES: Final = ("code", "repair", "instructions")  # two texts that do the same are not the same text


def has_votes(row: Mapping[str, Any], verifier: str = "auto") -> bool:
    """Whether answers to a question are values, of which one can be that of the majority."""
    return (verifier if verifier != "auto" else route_of(row)) not in WITHOUT_VALUES


def answer_key(sample: JudgedSample, verifier: str = "auto") -> str | None:
    r"""
    The value of an answer in a normal form.

    It is what the verifier reads of it: the option chosen, or the one value in its usual spelling, `0.5` and `.5`
    alike. Two wrong answers of equal value in other spellings (`1/2` and `0.5`) are two; right ones are made one by
    [`~trl_r1.evaluation.cons_at_k`].

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
    return plain(clean(value)) or None if value else None


def votes_of(samples: Sequence[JudgedSample], verifier: str = "auto") -> list[str | None]:
    """What each answer to a question votes for. A verifier may have found right what no value can be read of."""
    keys = [answer_key(sample, verifier) for sample in samples]
    return ["right" if key is None and sample.correct else key for key, sample in zip(keys, samples, strict=True)]
