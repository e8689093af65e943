"""What a verifier says: one of three verdicts, with its reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal


VerifierName = Literal["math", "repair"]  # what an evaluation may decide by


class Verdict(enum.Enum):
    """
    Is this answer right?

    `UNDECIDABLE` is a fault of ours (a broken worker, an unusable gold answer), never a way to say "wrong": a row that
    gets it is not scored at all.
    """

    CORRECT = "correct"
    WRONG = "wrong"
    UNDECIDABLE = "undecidable"

    @property
    def reward(self) -> float | None:
        """1.0, 0.0 or `None` (cannot be scored)."""
        return {Verdict.CORRECT: 1.0, Verdict.WRONG: 0.0, Verdict.UNDECIDABLE: None}[self]


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    A verdict and how it came about, for example `Judgement(Verdict.WRONG, "7 is not 8", "exact")`.

    Args:
        verdict ([`Verdict`]):
            Right, wrong, or a fault of ours.
        reason (`str`):
            Why, in one line.
        decided_by (`str`):
            The step that decided: `"extraction"`, `"normalised"`, `"exact"`, `"worker"`, `"overrun"`, `"fault"`.
        seconds (`float`, *optional*, defaults to `0.0`):
            Wall time a worker process spent on it, 0 where none was asked.
        cached (`bool`, *optional*, defaults to `False`):
            Whether an earlier worker's finding was used.
    """

    verdict: Verdict
    reason: str
    decided_by: str
    seconds: float = field(default=0.0, repr=False, compare=False)
    cached: bool = field(default=False, repr=False, compare=False)

    @property
    def reward(self) -> float | None:
        """The verdict as a reward: 1.0, 0.0 or `None`."""
        return self.verdict.reward
