"""The packed forward pass: being written."""

from __future__ import annotations

from typing import Any

import torch


class PackedForward:
    """Log-probabilities of completion tokens."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    @staticmethod
    def why_not(trainer: Any) -> str | None:
        """Why this pass would not be exact for the trainer's model, or `None`."""
        return "not built yet"

    def __call__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        compute_entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Shapes `(rows, logits_to_keep)`, 0 where a row has no completion token; also for the reference model."""
        raise NotImplementedError
