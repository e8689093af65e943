"""What is a ratio of two sums, or is counted by how hard a question is: both need all answers to a question."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from trl_r1.data.difficulty import EASY, HARD
from trl_r1.errors import R1Error
from trl_r1.evaluation.uncertainty import Clusters, ScoreEstimate, check_values, estimate_score


DIFFICULTIES: Final = ("hard", "middle", "easy")


def estimate_tokens_per_correct(
    spent: Mapping[Any, tuple[Sequence[float], Sequence[bool]]], *, clusters: Clusters | None = None
) -> ScoreEstimate | None:
    """
    Estimate the tokens written for each right answer: those of wrong answers are paid too.

    It is the mean of the questions' tokens an answer over the mean of their pass rates, so that each question counts
    alike. Both intervals are by the delta method on the logarithm, and so above zero: over questions, and over
    samples, of what each answer spends beyond its right answers' due. In simulations of 30 and 200 questions with 1 to
    16 answers they cover 94 to 98 %, where few are solved too (`tests/benchmarks/tokens_per_correct_coverage.py`);
    without the logarithm it is 90 % there, and Fieller's interval often has no end.

    Args:
        spent (`Mapping[Hashable, tuple[Sequence[float], Sequence[bool]]]`):
            From question to the tokens of its answers and whether each is right.
        clusters (`Mapping`, *optional*):
            As of [`~trl_r1.evaluation.estimate_score`].

    Returns:
        [`ScoreEstimate`] or `None`: nothing where no answer is right, since no number of tokens has bought one. The
        standard deviations are those of what is spent beyond the due, in tokens a right answer.

    Raises:
        [`R1Error`]: when there is no answer, tokens and verdicts differ in number, or tokens are no numbers of at
            least 0.

    Example:

    ```python
    >>> estimate_tokens_per_correct({"a": ([10, 30], [True, True]), "b": ([20, 20], [False, False])}).value
    40.0
    ```
    """
    _check_spent(spent)
    tokens = math.fsum(math.fsum(lengths) / len(lengths) for lengths, _ in spent.values()) / len(spent)
    right = math.fsum(sum(map(bool, rights)) / len(rights) for _, rights in spent.values()) / len(spent)
    if not right:
        return None
    ratio = tokens / right
    beyond = [
        (question, (length - ratio * bool(correct)) / right)
        for question, (lengths, rights) in spent.items()
        for length, correct in zip(lengths, rights, strict=True)
    ]
    found = estimate_score(
        [value for _, value in beyond], [question for question, _ in beyond], clusters=clusters, share=False
    )
    return dataclasses.replace(
        found,
        value=ratio,
        low=_on_log(ratio, found.low),
        high=_on_log(ratio, found.high),
        sampling_low=_on_log(ratio, found.sampling_low),
        sampling_high=_on_log(ratio, found.sampling_high),
        method=f"log ratio, {found.method}",
    )


def _check_spent(spent: Mapping[Any, tuple[Sequence[float], Sequence[bool]]]) -> None:
    if not spent:
        raise R1Error("tokens: there is no answer; give at least one")
    for lengths, rights in spent.values():
        if len(lengths) != len(rights):
            raise R1Error(f"tokens: {len(lengths)} for {len(rights)} verdicts; give one of each an answer")
        check_values(lengths)
        if min(lengths) < 0:
            raise R1Error(f"tokens: {min(lengths)} is impossible; they must be at least 0")


def _on_log(ratio: float, beyond: float | None) -> float | None:
    """An end of an interval of the logarithm; `beyond` is its distance from the ratio."""
    if beyond is None or not ratio:
        return beyond
    return ratio * math.exp(beyond / ratio)


def difficulties(rights: Mapping[Any, Sequence[bool]]) -> dict[Hashable, str]:
    """
    How hard each question is for the policy whose answers these are: `"hard"`, `"middle"` or `"easy"`.

    Hard are those solved in less than 1/3 of their answers, easy those in more than 2/3. A question with one answer
    has no difficulty: it is right or wrong.
    """
    rates = {question: sum(map(bool, own)) / len(own) for question, own in rights.items() if len(own) > 1}
    return {
        question: "hard" if rate < HARD else "middle" if rate <= EASY else "easy" for question, rate in rates.items()
    }
