"""Compare two cleaned answers: by their spelling, as exact values, and with what computer algebra said of the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trl_r1.verifiers.answers.normalise import is_words, plain
from trl_r1.verifiers.answers.typed import Comparison, Pair


MAX_DEPTH = 20
_UNBOUNDED = re.compile(r"\d{60}|\^[{(]?-?\d{5}|\^[{(]?[^{}^]*\^[{(]?[^{}^]*\^|\d\^[{(]?-?\d+\^|\d{4}!|!!|\d{4}\}\{\d")
_UNEVALUATED = re.compile(r"!|\\(?:sum|prod|i*int|oint|lim|binom)(?![A-Za-z])")
_OPTION_WITH_TEXT = re.compile(r"\(?([A-J])[).:](?![A-J]\b)(?:(?!(?<![A-Za-z])[A-J](?![A-Za-z])).)+")
_LEFT_HAND_SIDE = re.compile(r"[A-Za-z]\w{0,2}(?:\([a-z]\))?=(?=[^=]+$)")


def same_spelling(cleaned: str, cleaned_gold: str) -> bool:
    """
    Whether a cleaned answer is the cleaned gold answer, but for `x=` before it, the case of words, and the text of an
    option after its letter (`B) 12`, on either side), as long as no other letter is in it.
    """
    answer, gold = plain(cleaned), plain(cleaned_gold)
    option = _OPTION_WITH_TEXT.fullmatch(cleaned.replace('"', ""))
    if option and re.fullmatch("[A-J]", gold):
        return option.group(1) == gold
    option = _OPTION_WITH_TEXT.fullmatch(cleaned_gold.replace('"', ""))
    if option and re.fullmatch("[A-J]", answer):
        return option.group(1) == answer
    if (len(gold) > 2 or gold.casefold() == "no") and (is_words(cleaned_gold) or is_words(cleaned)):
        answer, gold = answer.casefold(), gold.casefold()  # but `Co` is not `CO`
    return answer == gold or ("=" not in gold and _LEFT_HAND_SIDE.sub("", answer) == gold)


@dataclass(frozen=True, slots=True)
class Question:
    """
    What computer algebra has to say before two answers are compared.

    Args:
        golds (`tuple[str, ...]`): Values of the gold answer; if they cannot be read, it is unusable.
        pairs (`tuple[tuple[str, str], ...]`): Values to compare.
    """

    golds: tuple[str, ...]
    pairs: tuple[Pair, ...]

    def as_request(self) -> dict[str, Any]:
        """The question as a worker takes it (see `math_worker.py`)."""
        pairs = [[to_latex(left), to_latex(right)] for left, right in self.pairs]
        return {"golds": [to_latex(gold) for gold in self.golds], "pairs": pairs}


def compare(cleaned: str, cleaned_gold: str, known: Mapping[Pair, bool] | None = None) -> bool | Question:
    """
    Compare an answer with the gold answer.

    Args:
        cleaned (`str`), cleaned_gold (`str`):
            Answer and gold answer, as [`~trl_r1.verifiers.answers.normalise.clean`] leaves them.
        known (`Mapping[tuple[str, str], bool]`, *optional*):
            What computer algebra found about the pairs of an earlier question.

    Returns:
        `bool` or [`Question`]: whether they are equal, or what that depends on.
    """
    comparison = Comparison(known)
    equal = comparison.equal(cleaned_gold, cleaned)
    return Question(tuple(comparison.golds), tuple(comparison.pending)) if equal is None else equal


def _depth(text: str) -> int:
    """How deeply brackets are nested."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def could_run_for_ever(answer: str, gold: str) -> bool:
    """
    Whether algebra on a value has no bound: towers of powers, deep brackets, exponents of 5 digits, numbers of 60.

    Sums, products, limits and factorials count where the gold answer has none: they restate the question.
    """
    return bool(
        _depth(answer) > MAX_DEPTH
        or _UNBOUNDED.search(answer)
        or (_UNEVALUATED.search(answer) and not _UNEVALUATED.search(gold))
    )


def to_latex(value: str) -> str:
    r"""A cleaned value as LaTeX for Math-Verify: decimals as fractions, so that no digit is rounded away."""
    text = re.sub(r"(?<![\d.])(\d+)\.(\d+)(?![\d.]|\\overline)", _decimal_fraction, value)
    return text.replace(r"\cr", r"\\").replace("*", r"\cdot ").replace("<=", r"\le ").replace(">=", r"\ge ")


def _decimal_fraction(match: re.Match[str]) -> str:
    whole, digits = match.groups()
    return rf"\frac{{{int(whole + digits)}}}{{1{'0' * len(digits)}}}"
