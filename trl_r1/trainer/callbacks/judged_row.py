"""One judged completion: what an alarm can show as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRow:
    """
    One completion of this process, as an alarm shows it.

    Args:
        prompt (`Any`):
            Text or conversation.
        text (`str`):
            The completion.
        rewards (`dict[str, float]`):
            By function, those that judged it.
        tokens (`int`):
            Length of the completion.
        truncated (`bool`):
            Whether the length limit ended it.
        tied (`bool`):
            Whether all rewards of its group are equal.
        correct, canary (`bool` or `None`):
            What the reward and the canary say of its answer; `None` where they say nothing.
        reflective (`float`):
            Reflective words in 100 words of its thoughts.
    """

    prompt: Any
    text: str
    rewards: dict[str, float]
    tokens: int
    truncated: bool
    tied: bool
    correct: bool | None
    canary: bool | None
    reflective: float
