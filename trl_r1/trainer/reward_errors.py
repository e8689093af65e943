"""Rows that take no part: those no reward can judge, and those `reward_error_budget` lets a reward fail on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trl_r1.rewards import ErrorBudget, ensure_checked


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


def reward_budgets(trainer: R1GRPOTrainer) -> tuple[ErrorBudget, ...]:
    """
    What each reward function of a trainer has failed on so far, on this process; empty without `reward_error_budget`.

    The first call wraps the functions that no recipe has wrapped. Reward models that TRL runs itself have no budget.
    """
    share = getattr(trainer.args, "reward_error_budget", 0.0)
    if not share or trainer._reward_budgets:
        return trainer._reward_budgets
    exhibits = Path(str(trainer.args.output_dir)) / f"reward_errors_{trainer.args.process_index}.jsonl"
    functions: list[Any] = trainer.reward_funcs  # TRL's annotation knows neither classes nor asynchronous functions
    for index, name in enumerate(trainer.reward_func_names):
        if not isinstance(functions[index], torch.nn.Module):
            functions[index] = ensure_checked(functions[index], name)
            trainer._reward_budgets += (functions[index].isolate(share, exhibits),)
    return trainer._reward_budgets


def failed_rows(trainer: R1GRPOTrainer, rows: int) -> torch.Tensor:
    """
    Find the rows of the last batch that some reward function failed on.

    Args:
        trainer ([`R1GRPOTrainer`]):
            Every process must ask, since they tell each other.
        rows (`int`):
            Rows of this process.

    Returns:
        `torch.Tensor`: booleans of shape `(rows of all processes,)`.
    """
    failed = {row for reward in trainer.reward_funcs for row in getattr(reward, "failed_rows", ())}
    here = torch.tensor([row in failed for row in range(rows)], device=trainer.accelerator.device)
    gathered: torch.Tensor = trainer.accelerator.gather(here)
    return gathered


def find_unscorable(rewards: torch.Tensor, num_generations: int) -> torch.Tensor:
    """
    Find the rows that some reward function could not judge although it judged others of their group.

    `None` for a whole group is no fault: the reward does not apply to this type of prompt. `None` for one of its
    completions is, and TRL's `nansum` would count it as a 0.

    Args:
        rewards (`torch.Tensor`):
            Rewards of shape `(rows, functions)`, NaN where a function returned `None`; groups are neighbours.
        num_generations (`int`):
            Rows of a group.

    Returns:
        `torch.Tensor`: booleans of shape `(rows,)`.
    """
    missing = rewards.isnan().view(-1, num_generations, rewards.size(1))
    partly = missing & ~missing.all(dim=1, keepdim=True)
    return partly.any(dim=2).flatten()
