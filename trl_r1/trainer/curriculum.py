"""Order of prompts by pass rate: being written."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Sampler

from trl_r1.trainer.rollout import Rollout


class Curriculum:
    """Chooses prompts by their pass rate."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def observe(self, rollout: Rollout) -> None:
        """Take note of how often the prompts of a rollout were solved."""

    def sampler(self, sampler: Sampler[int]) -> Sampler[int]:
        """The sampler of training, in the order of the curriculum."""
        return sampler
