"""Is a right answer shorter than the others of its group? Kimi k1.5's length reward."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from trl_r1.errors import RewardError
from trl_r1.rewards.accuracy import accuracy_reward
from trl_r1.rewards.batches import group_rows
from trl_r1.rewards.completions import Text


class LengthReward:
    """
    Place of a completion's length between the shortest and the longest of its group.

    Made by [`get_length_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(
        self,
        num_generations: int | None = None,
        num_generations_eval: int | None = None,
        correct_column: str | None = None,
    ) -> None:
        given = {"num_generations": num_generations, "num_generations_eval": num_generations_eval}
        for name, size in given.items():
            if size is not None and (not isinstance(size, int) or size < 1):
                raise RewardError(f"{name}: {size!r} must be a whole number of at least 1")
        self.sizes = [size for size in given.values() if size is not None]
        self.correct_column = correct_column
        self.__name__ = "length_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        completion_ids: Sequence[Sequence[int]],
        prompts: Sequence[Text],
        trainer_state: Any = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. Returns rewards in [-0.5, 0.5], one a completion."""
        training = trainer_state is None or trainer_state.max_steps > 0  # else a probe, or rows scored offline
        correct = self._correct(completions, kwargs)
        lengths = [len(ids) for ids in completion_ids]
        rewards: list[float | None] = [None] * len(completions)
        for group in self._groups(prompts, may_be_split=training and int(os.environ.get("WORLD_SIZE", "1")) > 1):
            judged = [(row, right) for row in group if (right := correct[row]) is not None]
            if not judged:
                continue
            shortest = min(lengths[row] for row, _ in judged)
            longest = max(lengths[row] for row, _ in judged)
            for row, right in judged:
                place = 0.5 - (lengths[row] - shortest) / (longest - shortest) if longest > shortest else 0.0
                rewards[row] = place if right else min(0.0, place)
        return rewards

    def _correct(self, completions: Sequence[Text], columns: dict[str, Any]) -> list[bool | None]:
        """Whether each answer is right; `None` where nothing says so."""
        column = self.correct_column or "solution"
        values = columns.get(column)
        if values is None:
            raise RewardError(
                f"length_reward: the rows have no column {column!r} to tell right answers by; "
                "give them gold answers as solution, or name a column of verdicts as correct_column"
            )
        if self.correct_column is not None:
            return [None if value is None else bool(value) for value in values]
        formats = {key: columns[key] for key in ("prompt_tail", "response_format") if key in columns}
        return [
            None if reward is None else reward == 1.0
            for reward in accuracy_reward(completions=completions, solution=values, **formats)
        ]

    def _groups(self, prompts: Sequence[Text], may_be_split: bool) -> list[list[int]]:
        """Rows of one prompt, cut into groups where two of them meet."""
        if may_be_split and not self.sizes:
            raise RewardError(
                "length_reward: num_generations is not set, and with several processes a group may be split between "
                "two; set num_generations to that of the trainer"
            )
        groups: list[list[int]] = []
        for rows in group_rows(prompts):
            size = next((size for size in self.sizes if len(rows) % size == 0), None)
            if may_be_split and size is None:
                raise RewardError(
                    f"length_reward: a process has {len(rows)} completions of one prompt, no multiple of "
                    f"num_generations {self.sizes[0]}, so a group is split between processes; make "
                    "per_device_train_batch_size * steps_per_generation a multiple of num_generations"
                )
            step = size or len(rows)
            groups += [rows[start : start + step] for start in range(0, len(rows), step)]
        return groups


def get_length_reward(
    num_generations: int | None = None,
    num_generations_eval: int | None = None,
    correct_column: str | None = None,
) -> LengthReward:
    r"""
    Prefer short right answers to long ones, within the group of a prompt.

    With \( l \) the length in tokens and the minimum and maximum over the group,

    $$
    \lambda = \frac12 - \frac{l - l_{\min}}{l_{\max} - l_{\min}}, \qquad
    R = \lambda \text{ for a right answer}, \quad R = \min(0, \lambda) \text{ for a wrong one}
    $$

    and 0 for all where every length is the same. It only shapes: with an accuracy reward of weight 1 beside it and a
    weight below 1 here, the longest right answer is still worth more than any wrong one. Kimi switches it on late,
    since it slows learning down at the start.

    A group is the neighbouring rows of one prompt. TRL gives each process an equal slice of the rows, and where that
    is no multiple of the group size a group is cut in two. What is shortest and longest in it cannot be known then,
    and the reward raises.

    Source: Kimi k1.5, https://arxiv.org/abs/2501.12599, section 2.3.3.

    Args:
        num_generations (`int`, *optional*):
            Completions of a group, as the trainer has it. Needed with several processes, to see that none is split,
            and where a prompt may stand in a batch twice running.
        num_generations_eval (`int`, *optional*):
            The same for evaluation, where it differs.
        correct_column (`str`, *optional*):
            Column that tells whether each answer is right (true, false, or `None` for unknown). By default
            [`accuracy_reward`] tells by the column `solution`, at the cost of a look-up where it was asked before.

    Returns:
        [`LengthReward`]: its rewards are `None` where there is no gold answer or the answer could not be judged.

    Raises:
        [`RewardError`]: when a size is below 1; from the reward, when a group is split.

    Example:

    ```python
    >>> texts = ["<think> a b </think> 9", "<think> a b c d </think> 9", "<think> a </think> 8"]
    >>> ids = [[0] * 6, [0] * 10, [0] * 5]
    >>> get_length_reward()(completions=texts, completion_ids=ids, prompts=["4 + 5?"] * 3, solution=["9"] * 3)
    [0.3, -0.5, 0.0]
    ```
    """
    return LengthReward(num_generations, num_generations_eval, correct_column)
