"""On-policy distillation: TRL's trainer, which resumes in the order of prompts it was stopped in."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Sampler
from trl import DistillationTrainer

from trl_r1.trainer.grpo_state import restore_epoch


class R1DistillationTrainer(DistillationTrainer):
    """
    Trainer for on-policy distillation.

    The student answers the prompts itself, and each of its tokens is moved towards the teacher's distribution: see
    [`~trl.DistillationTrainer`], from which all of it comes. Overridden is only what a resumed run needs: TRL's
    sampler begins every process with the first epoch's order, so that a run stopped in a later epoch would see other
    prompts than one that was not.

    Source: Agarwal et al., https://arxiv.org/abs/2306.13649.
    """

    _resumed_sampler: Sampler[int] | None = None

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        sampler: Sampler[int] = super()._get_train_sampler(dataset)
        self._resumed_sampler = sampler
        return sampler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            restore_epoch(self._resumed_sampler, self.state)
