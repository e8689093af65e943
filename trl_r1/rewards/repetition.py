"""Does the policy repeat itself? A penalty on repeated n-grams, in any script."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, get_args

from trl_r1.chat_template import THINK_CLOSE, completion_text
from trl_r1.errors import RewardError
from trl_r1.rewards.completions import Text, parse_completions


Reads = Literal["reasoning", "response"]
Unit = Literal["words", "tokens"]
# Chinese and Japanese have no spaces, so a character is a unit; elsewhere a run of letters, a number or a symbol is.
_UNITS = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿々]|[^\W\d_぀-ヿ㐀-䶿一-鿿豈-﫿々]+|\d+|[^\s\w]|_")


class RepetitionReward:
    """
    Penalty for the n-grams of a completion that occurred in it before.

    Made by [`get_repetition_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(
        self,
        ngram_size: int = 12,
        max_penalty: float = 1.0,
        free_share: float = 0.4,
        reads: Reads = "response",
        unit: Unit = "words",
    ) -> None:
        if not isinstance(ngram_size, int) or ngram_size < 1:
            raise RewardError(f"ngram_size: {ngram_size!r} must be a whole number of at least 1")
        if max_penalty < 0:
            raise RewardError(f"max_penalty: {max_penalty} is negative; give the size of the penalty, such as 1.0")
        if not 0 <= free_share < 1:
            raise RewardError(f"free_share: {free_share} must be at least 0 and below 1")
        for name, value, allowed in (("reads", reads, get_args(Reads)), ("unit", unit, get_args(Unit))):
            if value not in allowed:
                raise RewardError(f"{name}: {value!r} is unknown; use one of {', '.join(allowed)}")
        if unit == "tokens" and reads != "response":
            raise RewardError(f"reads: {reads!r} cannot be told apart in tokens; use unit: words, or reads: response")
        self.ngram_size = ngram_size
        self.max_penalty = max_penalty
        self.free_share = free_share
        self.reads = reads
        self.unit = unit
        self.__name__ = "repetition_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        completion_ids: Sequence[Sequence[int]] | None = None,
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. Returns penalties in [-max_penalty, 0], one a completion."""
        if self.unit == "tokens":
            if completion_ids is None:
                raise RewardError("repetition_reward: unit is tokens and there are no completion_ids; use unit: words")
            parts: list[list[Sequence[Hashable]]] = [[ids] for ids in completion_ids]
        else:
            texts = self._texts(completions, prompt_tail, response_format)
            parts = [[split_units(text) for text in each] for each in texts]
        shares = [repeated_share(each, self.ngram_size) for each in parts]
        if log_metric is not None and shares:
            log_metric("repetition/share", sum(shares) / len(shares))
        return [self._penalty(share) for share in shares]

    def _texts(
        self,
        completions: Sequence[Text],
        prompt_tail: Sequence[str | None] | None,
        response_format: Sequence[str | None] | None,
    ) -> list[tuple[str, ...]]:
        """What is read of each completion, in parts: what was thought may rightly be said again after it."""
        if self.reads == "reasoning":
            return [(each.reasoning or "",) for each in parse_completions(completions, prompt_tail, response_format)]
        # The last closing only: were there a part for each, loops could be cut up with them
        return [completion_text(completion).rpartition(THINK_CLOSE)[::2] for completion in completions]

    def _penalty(self, share: float) -> float:
        excess = max(0.0, share - self.free_share) / (1 - self.free_share)
        return -self.max_penalty * excess if excess else 0.0


def split_units(text: str) -> list[str]:
    """A text in words, numbers and symbols, and single Chinese and Japanese characters."""
    return _UNITS.findall(text)


def repeated_share(parts: Sequence[Sequence[Hashable]], size: int) -> float:
    """Share of the n-grams of some sequences that occurred before in the same one; 0.0 where there is none."""
    total = different = 0
    for units in parts:
        places = max(0, len(units) - size + 1)
        total += places
        different += len(set(zip(*(units[start : start + places] for start in range(size)), strict=True)))
    return 1 - different / total if total else 0.0


def get_repetition_reward(
    ngram_size: int = 12,
    max_penalty: float = 1.0,
    free_share: float = 0.4,
    reads: Reads = "response",
    unit: Unit = "words",
) -> RepetitionReward:
    r"""
    Penalise repeated n-grams, in any script.

    With \( s \) the share of n-grams that occurred before, \( f \) the share that is free and \( p \) the largest
    penalty,

    $$
    R = -p \cdot \frac{\max(0, s - f)}{1 - f}
    $$

    A honest chain repeats short phrases ("which is not divisible by 7"), and sometimes a whole check. The long n-grams
    and the free share leave those alone; a loop that goes round word for word repeats n-grams of any length. A loop
    with a counter in it ("Attempt 7: let me think again") is left alone too.
    [`~trl.rewards.get_repetition_penalty_reward`] counts token trigrams of the whole completion from the first repeat.

    Source: after Yeo et al., https://arxiv.org/abs/2502.03373, appendix C.2, and TRL's reward.

    Args:
        ngram_size (`int`, *optional*, defaults to `12`):
            Units of an n-gram.
        max_penalty (`float`, *optional*, defaults to `1.0`):
            Size of the penalty when everything is repeated.
        free_share (`float`, *optional*, defaults to `0.4`):
            Share of repeated n-grams that costs nothing, in [0, 1).
        reads (`"reasoning"` or `"response"`, *optional*, defaults to `"response"`):
            Whether the chain of thought is read, or everything. Thoughts and answer never repeat each other.
        unit (`"words"` or `"tokens"`, *optional*, defaults to `"words"`):
            What n-grams are made of: words, numbers and symbols (in Chinese and Japanese, characters), or token ids.

    Returns:
        [`RepetitionReward`]

    Raises:
        [`RewardError`]: when an argument is out of range.

    Example:

    ```python
    >>> texts = ["<think> 三加四得七 </think> 7", "<think>" + "你好" * 200 + "</think> 7"]
    >>> [round(value, 2) for value in get_repetition_reward()(texts)]
    [0.0, -0.98]
    ```
    """
    return RepetitionReward(ngram_size, max_penalty, free_share, reads, unit)
