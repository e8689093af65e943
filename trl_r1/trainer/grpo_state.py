"""What a checkpoint of GRPO needs beside what TRL 1.16 and the Trainer save.

Missing there (each with a test): the count of micro-batches and the rollout they are cut from, when a checkpoint falls
inside a rollout that serves several steps; the prompt order of a later epoch; the metrics gathered since the last log
row.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.utils.data import Sampler
from transformers import TrainerState
from trl.trainer.utils import RepeatSampler

from trl_r1.errors import RecordError
from trl_r1.trainer.fast.micro_batches import ROW_SHARE
from trl_r1.trainer.log_state import as_plain
from trl_r1.trainer.reward_errors import reward_budgets
from trl_r1.trainer.rollout import RolloutCallback


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


class Stateful(Protocol):
    """A part of the trainer whose state belongs into a checkpoint; each process keeps its own."""

    def state_dict(self) -> dict[str, Any]:
        """State as tensors, numbers, strings and containers of them (`torch.load` with `weights_only`)."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the state back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPOState:
    """
    State of one process between two optimiser steps.

    Args:
        step (`int`):
            Micro-batches so far; the next rollout is due when it is a multiple of those a rollout is used for.
        num_processes (`int`):
            Processes that trained; each has a file of its own.
        rollout (`list[dict[str, Any]]` or `None`):
            Micro-batches of the rollout in use, `None` when the next step starts a new one.
        metrics (`dict[str, list[float]]`):
            Values gathered since the last log row.
        reward_counts (`list[list[int]]`):
            Rows seen and failed on, of each reward function with an error budget.
        parts (`dict[str, dict[str, Any]]`):
            State of each part of the trainer that has one (`trainer._stateful`, [`RolloutCallback`]), by name.
    """

    step: int
    num_processes: int
    rollout: list[dict[str, Any]] | None
    metrics: dict[str, list[float]]
    reward_counts: list[list[int]] = field(default_factory=list)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def capture(cls, trainer: R1GRPOTrainer) -> GRPOState:
        """Read the state off a trainer that has just made an optimiser step."""
        uses = (trainer.args.steps_per_generation or 1) * trainer.num_iterations
        return cls(
            step=trainer._step,
            num_processes=trainer.args.world_size,
            rollout=trainer._buffered_inputs if trainer._step % uses else None,
            metrics=dict(trainer._metrics["train"]),
            reward_counts=[[budget.rows, budget.failed] for budget in reward_budgets(trainer)],
            parts={name: part.state_dict() for name, part in _parts(trainer).items()},
        )

    def save(self, folder: str | Path, process_index: int) -> None:
        """Write the file of process `process_index`, which holds its own rows, into a checkpoint folder."""
        # No `asdict`: it would copy the rollout, on its device
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        torch.save({**content, "metrics": as_plain(self.metrics)}, _state_path(folder, process_index))

    @classmethod
    def load(cls, folder: str | Path, process_index: int, num_processes: int) -> GRPOState:
        """
        Read the file that process `process_index` of `num_processes` wrote.

        Raises:
            [`RecordError`]: when it is missing, or when another number of processes left a rollout half used.
        """
        own, first = _state_path(folder, process_index), _state_path(folder, 0)
        path = own if own.is_file() else first  # more processes than before: all but `rollout` is the same in each
        if not path.is_file():
            raise RecordError(
                f"resume_from_checkpoint={folder}: no {path.name}; R1GRPOTrainer did not write this checkpoint, "
                "load its weights by model_name_or_path instead"
            )
        state = cls(**torch.load(path, map_location="cpu", weights_only=True))
        if state.num_processes != num_processes and state.rollout is not None:
            raise RecordError(
                f"resume_from_checkpoint={folder}: written by {state.num_processes} processes inside a rollout, this "
                f"run has {num_processes}; start {state.num_processes} processes, or resume from a checkpoint whose "
                "step is a multiple of steps_per_generation * num_iterations / gradient_accumulation_steps"
            )
        return state

    def restore(self, trainer: R1GRPOTrainer) -> None:
        """
        Put the state into a trainer.

        Raises:
            [`RecordError`]: when its micro-batches are those of `fast`, and the trainer is without.
        """
        if trainer._fast is None and any(ROW_SHARE in batch for batch in self.rollout or ()):
            raise RecordError(
                "resume_from_checkpoint: written with fast: true inside a rollout, whose rows lie in other "
                "micro-batches than without; set fast: true, or resume from a checkpoint whose step is a multiple of "
                "steps_per_generation * num_iterations / gradient_accumulation_steps"
            )
        trainer._step = self.step
        trainer._metrics["train"] = defaultdict(list, self.metrics)
        for budget, (rows, failed) in zip(reward_budgets(trainer), self.reward_counts, strict=False):
            budget.rows, budget.failed = rows, failed
        for name, part in _parts(trainer).items():
            if name in self.parts:  # an option that was off when the checkpoint was written starts anew
                part.load_state_dict(self.parts[name])
        if self.rollout is not None:
            device = trainer.accelerator.device
            rollout: Any = [_to_device(batch, device) for batch in self.rollout]
            trainer._buffered_inputs = rollout


def _parts(trainer: R1GRPOTrainer) -> dict[str, Stateful]:
    """What has a state of its own: parts of the trainer, and callbacks that look at rollouts."""
    watching = [each for each in trainer.callback_handler.callbacks if isinstance(each, RolloutCallback)]
    return {**trainer._stateful, **{f"{type(each).__name__}_{n}": each for n, each in enumerate(watching)}}


def restore_epoch(sampler: Sampler[int] | None, state: TrainerState) -> None:
    """Draw the orders of the epochs already trained: TRL's sampler starts with the first epoch's in each process."""
    if isinstance(sampler, RepeatSampler) and sampler.shuffle:
        for _ in range(int(state.epoch or 0)):
            torch.randperm(sampler.num_samples, generator=sampler.generator)


def _state_path(folder: str | Path, process_index: int) -> Path:
    return Path(folder) / f"grpo_state_{process_index}.pt"


def _to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
