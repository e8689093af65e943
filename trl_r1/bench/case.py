"""What a case of the bench is: a batch as the trainer would hand it over, and the score each completion must get."""

from __future__ import annotations

import enum
import math
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trl_r1.chat_template import completion_text, join_response


TOLERANCE = 1e-6
DEFAULT_PROMPT = "What is the answer? Think first."
_TOKENS = re.compile(r"[A-Za-z]+|\d|\S")


class Problem(enum.StrEnum):
    """What is wrong with a score."""

    FALSE_POSITIVE = "false positive"  # paid more than it deserves
    FALSE_ALARM = "false alarm"  # paid less than it deserves
    UNSCORED = "unscored"  # None although it can be judged
    GUESSED = "guessed"  # a number although nobody can judge it
    BROKEN = "broken"  # raised, never ended, ended the process, or broke the contract


@dataclass(frozen=True, slots=True)
class Want:
    """
    The score a completion must get.

    Args:
        low, high (`float`, *optional*):
            Least and most it may be.
        above, like, unlike (`int`, *optional*):
            Number of the completion in the same batch that it must beat, be worth as much as, or not as much as.
        none (`bool` or `None`, *optional*, defaults to `False`):
            Whether it must be `None` (cannot be judged); `None` where either will do.
        within (`float`, *optional*, defaults to `1e-6`):
            How far apart two scores may be and still be the same.

    Example:

    ```python
    >>> str(Want(low=0.9)), Want(high=0.0).problem(1.0, [1.0])
    ('at least 0.9', <Problem.FALSE_POSITIVE: 'false positive'>)
    ```
    """

    low: float = -math.inf
    high: float = math.inf
    above: int | None = None
    like: int | None = None
    none: bool | None = False
    unlike: int | None = None
    within: float = TOLERANCE

    def problem(self, score: float | None, scores: Sequence[float | None]) -> Problem | None:
        """What is wrong with a score, given those of its whole batch; `None` when nothing is."""
        if score is None:
            return Problem.UNSCORED if self.none is False else None
        if self.none:
            return Problem.GUESSED
        low, high = self.low, self.high
        if self.above is not None and (other := scores[self.above]) is not None:
            low = max(low, other + 2 * self.within)
        if self.like is not None and (other := scores[self.like]) is not None:
            low, high = other, other
        unlike = None if self.unlike is None else scores[self.unlike]
        if score > high + self.within or (unlike is not None and abs(score - unlike) <= self.within):
            return Problem.FALSE_POSITIVE
        return Problem.FALSE_ALARM if score < low - self.within else None

    def rescaled(self, wrong: float, right: float) -> Want:
        """The same want on another scale: 0 becomes `wrong`, 1 becomes `right`."""
        low, high = (
            wrong + bound * (right - wrong) if math.isfinite(bound) else bound for bound in (self.low, self.high)
        )
        return replace(self, low=low, high=high)

    def __str__(self) -> str:
        if self.none:
            return "None"
        if self.above is not None:
            return f"more than #{self.above}"
        if self.like is not None:
            return f"as much as #{self.like}"
        if self.unlike is not None:
            return f"not as much as #{self.unlike}"
        if self.low == self.high:
            return f"{self.low:g}"
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"{self.low:g} to {self.high:g}"
        if math.isfinite(self.low):
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if math.isfinite(self.high) else "any number"


RIGHT, WRONG = Want(1.0, 1.0), Want(0.0, 0.0)
UNJUDGED, ANYTHING = Want(none=True), Want(none=None)


def made_up_ids(text: str) -> list[int]:
    """Token ids without a tokenizer: a token is a word, a digit or a sign, and equal ones have equal ids."""
    return [zlib.crc32(token.encode(errors="replace")) % 50_000 for token in _TOKENS.findall(text)]


@dataclass(frozen=True, slots=True)
class Row:
    """
    One completion of a case.

    Args:
        completion (`str` or `list[dict[str, Any]]`):
            Text, or messages where the case is about them.
        want ([`Want`]):
            Its score.
        columns (`Mapping[str, Any]`):
            The row's dataset columns.
        prompt (`str`):
            What was asked. Also the column `problem`, unless `columns` has one.
        tokens (`int`, *optional*):
            Length of its `completion_ids`; by default about a token a word or character.
    """

    completion: str | Sequence[Mapping[str, Any]]
    want: Want
    columns: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = DEFAULT_PROMPT
    tokens: int | None = None

    @property
    def completion_ids(self) -> list[int]:
        """Made-up token ids, as many as `tokens` says."""
        if self.tokens is not None:
            return [index % 1000 for index in range(self.tokens)]
        return made_up_ids(completion_text(self.completion))


@dataclass(frozen=True, slots=True)
class Case:
    """
    A batch of completions and what each must get.

    Args:
        name (`str`):
            Kind and a few words, for example `"accuracy/answer_only_in_thoughts"`.
        rows (`tuple[Row, ...]`):
            The batch. Completions of one prompt are neighbours, as in a group.
        why (`str`):
            One line: why it must get that.
        honest (`bool`, *optional*, defaults to `False`):
            Whether it is a completion that deserves what it gets, rather than a trick.
        holds_for (`Mapping[str, Any]`, *optional*):
            Parameters a reward must have for the case to hold; one it lacks counts as `False`.
        refused (`bool`, *optional*, defaults to `False`):
            Whether the reward must refuse the whole batch, with a [`~trl_r1.RewardError`] that is no fault of it.
        progress (`tuple[int, int]`, *optional*):
            Optimiser step and number of steps that the trainer state tells; by default no training.
    """

    name: str
    rows: tuple[Row, ...]
    why: str
    honest: bool = False
    holds_for: Mapping[str, Any] = field(default_factory=dict)
    refused: bool = False
    progress: tuple[int, int] | None = None

    @property
    def column_names(self) -> frozenset[str]:
        """Dataset columns the case has."""
        return frozenset(name for row in self.rows for name in row.columns)

    @property
    def has_messages(self) -> bool:
        """Whether it hands over messages whatever the reward prefers."""
        return any(not isinstance(row.completion, str) for row in self.rows)


def single(
    name: str,
    completion: str | Sequence[Mapping[str, Any]],
    want: Want,
    why: str,
    *,
    honest: bool = False,
    prompt: str = DEFAULT_PROMPT,
    tokens: int | None = None,
    **columns: Any,
) -> Case:
    """A case of one completion; `columns` are its dataset columns."""
    return Case(name, (Row(completion, want, columns, prompt, tokens),), why, honest)


def thought(answer: str, reasoning: str = "I work it out step by step.") -> str:
    """A well-formed completion around an answer."""
    return join_response(reasoning, answer)


def without_partial_credit(cases: Sequence[Case], names: Collection[str]) -> list[Case]:
    """The cases, of which the named (by the words after the kind) hold only for rewards without `partial_credit`."""
    return [
        replace(case, holds_for={"partial_credit": False}) if case.name.partition("/")[2] in names else case
        for case in cases
    ]
