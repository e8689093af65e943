"""Scores of one question from several answers to it: pass@k without bias, and the majority's vote."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from statistics import fmean
from typing import Any, Final

import numpy as np

from trl_r1.errors import R1Error


EXACT_TERMS: Final = 1_000  # of a product of whole numbers; of more, their logarithms are summed
EXACT_SUBSETS: Final = 20_000  # at most so many are gone through; of more, that many are drawn
_SEED: Final = 0


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """
    Probability that at least one of `k` answers is right, estimated without bias from `num_samples` answers.

    It is `1 - C(num_samples - num_correct, k) / C(num_samples, k)`: the share of the subsets of `k` answers that hold
    a right one ([Chen et al., 2021](https://arxiv.org/abs/2107.03374), equation 1).

    Args:
        num_samples (`int`):
            Answers given to the question.
        num_correct (`int`):
            Right ones among them.
        k (`int`):
            Answers one is allowed.

    Returns:
        `float`: in [0, 1].

    Raises:
        [`R1Error`]: when `k` is above `num_samples` or below 1, or the counts are impossible.

    Example:

    ```python
    >>> pass_at_k(num_samples=4, num_correct=1, k=2)
    0.5
    ```
    """
    num_samples, num_correct, k = (
        _whole(name, value) for name, value in (("num_samples", num_samples), ("num_correct", num_correct), ("k", k))
    )
    if num_samples < 1 or not 0 <= num_correct <= num_samples:
        raise R1Error(
            f"num_correct: {num_correct} of {num_samples} is impossible; give 0 <= num_correct <= num_samples"
        )
    check_k(k, num_samples)
    fewer, more = sorted((num_correct, k))  # which of the two is drawn from the samples is all the same
    if more + fewer > num_samples:
        return 1.0
    if fewer <= EXACT_TERMS:
        subsets = math.comb(num_samples, fewer)
        # of whole numbers, so rounded once, however many answers there are
        return (subsets - math.comb(num_samples - more, fewer)) / subsets
    return -math.expm1(math.fsum(math.log1p(-more / (num_samples - own)) for own in range(fewer)))


def cons_at_k(answers: Sequence[Hashable | None], correct: Sequence[bool], k: int | None = None) -> float:
    """
    Is the answer that most of `k` samples give right? The paper's cons@64 with `k` 64.

    Answers that stand for one value vote together; `None`, no answer, never wins. **Ties** are drawn by lot: the value
    is the expectation, the share of right ones among the answers that tie. Right answers are one value, since all of
    them equal the gold answer. With fewer votes than samples it is the expectation over all subsets of `k`: exact
    where these are at most 20,000, else over as many drawn ones (seeded).
    To draw a subset is to draw how many votes each answer has in it.

    Args:
        answers (`Sequence[Hashable]`):
            Value of each sample, in a normal form; `None` where it gives none.
        correct (`Sequence[bool]`):
            Whether each is right.
        k (`int`, *optional*):
            Votes; all samples by default.

    Returns:
        `float`: in [0, 1].

    Raises:
        [`R1Error`]: when the two differ in length or are empty, an answer that is none is called right, a verdict is
            neither true nor false, or `k` is not between 1 and the number of samples.

    Example:

    ```python
    >>> cons_at_k(["7", "7", "8", None], [True, True, False, False])
    1.0
    >>> cons_at_k(["7", "8"], [True, False])
    0.5
    ```
    """
    if len(answers) != len(correct) or not answers:
        raise R1Error(f"answers: {len(answers)} for {len(correct)} verdicts; give one verdict an answer, at least one")
    k = len(answers) if k is None else _whole("k", k)
    check_k(k, len(answers))
    votes = [_vote(answer, right) for answer, right in zip(answers, correct, strict=True)]
    if k == len(votes):
        return _majority(votes)
    if math.comb(len(votes), k) <= EXACT_SUBSETS:
        return fmean(map(_majority, itertools.combinations(votes, k)))
    counts = vote_counts(answers, correct)
    drawn = np.random.default_rng(_SEED).multivariate_hypergeometric(counts, k, size=EXACT_SUBSETS)
    return float(majorities(drawn).mean())


def vote_counts(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> list[int]:
    """Votes for the right answer, for none, and for each wrong one."""
    votes = Counter(_vote(answer, right) for answer, right in zip(answers, correct, strict=True))
    return [votes.pop(_RIGHT, 0), votes.pop(None, 0), *votes.values()]


def majorities(counts: np.ndarray) -> np.ndarray:
    """Values of votes, a row each, in the order of [`vote_counts`]: 1 where the right answer wins, less in a tie."""
    right, most = counts[:, 0], np.delete(counts, 1, axis=1).max(axis=1)
    tied = (np.delete(counts, 1, axis=1) == most[:, None]).sum(axis=1)
    return np.where((right == most) & (most > 0), 1 / tied, 0.0)


def check_k(k: int, num_samples: int) -> None:
    """
    Refuse a `k` that so many samples say nothing about.

    Raises:
        [`R1Error`]: when it is below 1 or above `num_samples`.
    """
    if k < 1:
        raise R1Error(f"k: {k} must be at least 1")
    if k > num_samples:
        raise R1Error(f"k: {k} is more than the {num_samples} samples of a question; draw more, or lower k")


def _whole(name: str, value: Any) -> int:
    """A whole number; numpy's and whole floats too, as tables hold them."""
    if not isinstance(value, bool) and hasattr(value, "__float__"):
        number = float(value)
        if math.isfinite(number) and number == int(number):
            return int(number)
    raise R1Error(f"{name}: {value!r} is no whole number; count answers")


_RIGHT: Final = ("right",)  # a tuple, so that no answer's own text equals it


def _vote(answer: Hashable | None, right: bool) -> Hashable | None:
    if right not in (True, False):
        raise R1Error(f"correct: {right!r} is no verdict; leave out answers that could not be judged")
    if right and answer is None:
        raise R1Error("correct: an answer of None is called right; give its value, or say it is wrong")
    return _RIGHT if right else answer


def _majority(votes: Sequence[Hashable | None]) -> float:
    counts = Counter(vote for vote in votes if vote is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    first = [vote for vote, count in counts.items() if count == most]
    return (_RIGHT in first) / len(first)
