"""Longer completions from a step on: being written."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class LengthSchedule(TrainerCallback):
    """Raises `max_completion_length` at the steps of `max_completion_length_schedule`."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
