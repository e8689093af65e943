"""One scored rollout, as callbacks see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """
    What one call of the reward functions scored.

    Args:
        step (`int`):
            Optimiser steps made before it.
        rows (`list[dict[str, Any]]`):
            Data rows of this process, each once a completion.
        prompts (`list[Any]`):
            Texts or conversations, of this process.
        completions (`list[Any]`):
            Texts, or conversations of one assistant message, of this process.
        completion_ids (`list[list[int]]`):
            Token ids, of this process.
        truncated (`list[bool]`):
            Whether the length limit ended the completion, of this process.
        rewards (`torch.Tensor`):
            Shape `(rows of all processes, functions)`; NaN where a function did not judge, or the row takes no part.
        offset (`int`):
            Row of `rewards` that belongs to the first row of this process.
        num_generations (`int`):
            Rows of a group; groups are neighbours in `rewards`.
        reward_names (`tuple[str, ...]`):
            Names of the functions, in the order of the columns.
        reward_weights (`tuple[float, ...]`):
            Their weights.
    """

    step: int
    rows: list[dict[str, Any]]
    prompts: list[Any]
    completions: list[Any]
    completion_ids: list[list[int]]
    truncated: list[bool]
    rewards: torch.Tensor
    offset: int
    num_generations: int
    reward_names: tuple[str, ...]
    reward_weights: tuple[float, ...]

    @classmethod
    def of(
        cls,
        trainer: R1GRPOTrainer,
        rows: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]],
        rewards: torch.Tensor,
    ) -> Rollout:
        """What a trainer has just scored."""
        ends = {*trainer.eos_token_ids, trainer._tokenizer.pad_token_id}
        return cls(
            step=trainer.state.global_step,
            rows=rows,
            prompts=prompts,
            completions=completions,
            completion_ids=completion_ids,
            truncated=[ids[-1] not in ends for ids in completion_ids],
            rewards=rewards,
            offset=trainer.accelerator.process_index * len(prompts),
            num_generations=trainer._group_size(),
            reward_names=tuple(trainer.reward_func_names),
            reward_weights=tuple(trainer.reward_weights.tolist()),
        )

    @property
    def local_rewards(self) -> torch.Tensor:
        """Rewards of this process's rows, shape `(rows, functions)`."""
        return self.rewards[self.offset : self.offset + len(self.prompts)]

    @property
    def totals(self) -> torch.Tensor:
        """Weighted sum a row, shape `(rows of all processes,)`; NaN where no function judged, as TRL sums."""
        weights = torch.tensor(self.reward_weights, dtype=self.rewards.dtype, device=self.rewards.device)
        totals = (self.rewards * weights).nansum(dim=1)
        return totals.masked_fill(self.rewards.isnan().all(dim=1), torch.nan)


class RolloutCallback(TrainerCallback):
    """A callback that also sees every rollout of training; each process calls it, in the same order."""

    def on_rollout(self, rollout: Rollout, log_metric: Callable[[str, float], None]) -> None:
        """
        Look at a rollout after its rewards are known and before a step is made on it.

        Args:
            rollout ([`Rollout`]):
                What was scored.
            log_metric (`Callable[[str, float], None]`):
                Adds a value to the next log row; give every process's mean, it is not gathered.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as `trl_r1.trainer.grpo_state.Stateful` says; nothing unless overridden."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the state back."""


def tied_groups(totals: torch.Tensor, num_generations: int) -> torch.Tensor:
    """
    Find the groups whose rewards are all equal, so that nothing can be learnt from them.

    Compared exactly: the advantages of such a group may differ from 0 by rounding, which is no signal.

    Args:
        totals (`torch.Tensor`):
            Weighted sums of shape `(rows,)`, groups side by side, NaN for a row that takes no part.
        num_generations (`int`):
            Rows of a group.

    Returns:
        `torch.Tensor`: booleans of shape `(groups,)`; a group with fewer than two rows that take part is tied.
    """
    groups = totals.view(-1, num_generations)
    lowest = groups.nan_to_num(nan=torch.inf).amin(dim=1)
    highest = groups.nan_to_num(nan=-torch.inf).amax(dim=1)
    return highest <= lowest
