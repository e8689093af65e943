"""Reward functions in processes of their own: being written."""

from __future__ import annotations

from typing import Any


class RewardWorkers:
    """Runs the reward functions of a trainer beside its log-probability passes."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def start(self, rows: list[dict[str, Any]], prompts: list[Any], generated: Any) -> None:
        """Hand a rollout to the processes; `generated` is what TRL's `_generate` returned."""
