"""How hard a prompt is for a policy: its pass rate, defined once, for the filter of data and for training alike.

A completion passes when the judging reward gave it exactly 1.0 and fails when it gave anything else; a completion that
it did not judge (`None`) is no sample. The judging reward is the first one named `accuracy...`, or else the first.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.errors import DataError


PASSING_REWARD: Final = 1.0
PASS_RATE_COLUMN: Final = "pass_rate"
HARD, EASY = 1 / 3, 2 / 3  # a prompt is hard below the one pass rate, easy above the other


def judging_reward(reward_names: Sequence[str]) -> int:
    """
    Which reward says whether a completion passes.

    Args:
        reward_names (`Sequence[str]`):
            Names of the reward functions.

    Returns:
        `int`: place of the first one whose name begins with `accuracy`; 0 where there is none.

    Example:

    ```python
    >>> judging_reward(["format_reward", "accuracy_reward"])
    1
    ```
    """
    return next((place for place, name in enumerate(reward_names) if name.startswith("accuracy")), 0)


def passes(reward: float | None) -> bool | None:
    """Whether a completion with this value of the judging reward passes; `None` where it was not judged."""
    return None if reward is None or math.isnan(reward) else reward == PASSING_REWARD


def pass_rate(num_correct: int, num_samples: int) -> float | None:
    """
    Share of the judged completions that pass.

    Args:
        num_correct (`int`):
            Completions that pass.
        num_samples (`int`):
            Completions that were judged.

    Returns:
        `float` or `None`: from 0 to 1; `None` without a judged completion.

    Raises:
        [`DataError`]: when the counts are impossible.

    Example:

    ```python
    >>> pass_rate(3, 4)
    0.75
    ```
    """
    if not 0 <= num_correct <= num_samples:
        raise DataError(
            f"num_correct: {num_correct} of num_samples {num_samples} is impossible; give 0 <= num_correct <= "
            "num_samples"
        )
    return num_correct / num_samples if num_samples else None


def in_band(rate: float, low: float, high: float) -> bool:
    """Whether a pass rate lies in a band, both ends included."""
    return low <= rate <= high


def prompt_key(prompt: Any) -> str:
    """A short name for a prompt, text or messages: equal prompts have equal names, in every process and every run."""
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class PassCount:
    """
    How often a prompt was solved.

    Args:
        num_correct (`int`):
            Completions that pass.
        num_samples (`int`):
            Completions that were judged.
    """

    num_correct: int
    num_samples: int

    @property
    def rate(self) -> float | None:
        """Its pass rate, see [`pass_rate`]."""
        return pass_rate(self.num_correct, self.num_samples)

    def __add__(self, other: PassCount) -> PassCount:
        return PassCount(self.num_correct + other.num_correct, self.num_samples + other.num_samples)


def count_passes(keys: Sequence[str], rewards: Sequence[float | None]) -> dict[str, PassCount]:
    """
    Count what the judging reward said of each prompt's completions.

    Args:
        keys (`Sequence[str]`):
            `prompt_key` of each completion's prompt.
        rewards (`Sequence[float | None]`):
            The judging reward of each completion; `None` or NaN where it did not judge.

    Returns:
        `dict[str, PassCount]`: by key, in the order of their first completion.
    """
    counts: dict[str, PassCount] = {}
    for key, reward in zip(keys, rewards, strict=True):
        passed = passes(reward)
        one = PassCount(int(passed is True), int(passed is not None))
        counts[key] = counts.get(key, PassCount(0, 0)) + one
    return counts


class PassRates:
    """
    The latest pass count of each prompt. A newer count replaces an older one: the policy has changed since.

    Args:
        counts (`Mapping[str, PassCount]`, *optional*):
            Counts by `prompt_key`.
    """

    def __init__(self, counts: Mapping[str, PassCount] | None = None) -> None:
        self._counts = dict(counts or {})

    def __len__(self) -> int:
        return len(self._counts)

    def record(self, counts: Iterable[tuple[str, PassCount]]) -> None:
        """Take newer counts over; one without a judged completion says nothing and is left out."""
        self._counts.update((key, count) for key, count in counts if count.num_samples)

    def rate(self, key: str) -> float | None:
        """Pass rate of a prompt, `None` where it is not known."""
        count = self._counts.get(key)
        return None if count is None else count.rate

    def copy(self) -> PassRates:
        """The table as it is now."""
        return PassRates(self._counts)

    def to_dict(self) -> dict[str, list[int]]:
        """Counts as `[num_correct, num_samples]`, by key."""
        return {key: [count.num_correct, count.num_samples] for key, count in self._counts.items()}

    @classmethod
    def from_dict(cls, counts: Mapping[str, Sequence[int]]) -> PassRates:
        """Read what `to_dict` wrote."""
        return cls({key: PassCount(*pair) for key, pair in counts.items()})


def read_pass_rates(column: Iterable[Any]) -> list[float | None]:
    """
    Check a data column `pass_rate`.

    Args:
        column (`Iterable[Any]`):
            A number from 0 to 1 a row, or `None` (or NaN) where it is not known.

    Raises:
        [`DataError`]: at the first row that holds something else.
    """
    rates: list[float | None] = []
    for row, value in enumerate(column):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            rates.append(None)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
            rates.append(float(value))
        else:
            raise DataError(f"{PASS_RATE_COLUMN}: {value!r} in row {row} is no share; use 0 to 1, or null if unknown")
    return rates
