"""A padded micro-batch cut to what it holds: rows with a completion, their longest prompt, their longest completion.

For every attention implementation and layer type, where the packed row will not do. The LM head sees the positions
that predict a completion token and no others.
"""

from __future__ import annotations

from typing import Any

import torch

from trl_r1.trainer.fast.forward_probe import find_difference, models_of, why_not_reshape
from trl_r1.trainer.fast.head_positions import HeadPositions, spread


class PaddedForward:
    """
    Log-probabilities of completion tokens by padded rows, without the padding TRL adds beyond them.

    Args:
        trainer ([`~trl.GRPOTrainer`]):
            After its construction. Its policy and its reference model get a hook that is idle outside this pass.
    """

    def __init__(self, trainer: Any) -> None:
        self._autocast = trainer.accelerator.autocast
        self._head = HeadPositions(models_of(trainer))

    @classmethod
    def why_not(cls, trainer: Any) -> str | None:
        """Why this pass would not be exact for the trainer's model, or `None`. Runs the model on a few tokens."""
        reason = why_not_reshape(trainer) or cls._why_not_model(trainer)
        if reason is not None:
            return reason
        forward = cls(trainer)
        try:
            return find_difference(trainer, forward)
        finally:
            forward.close()

    @staticmethod
    def _why_not_model(trainer: Any) -> str | None:
        """Reasons of this pass alone; there are none against padded rows."""
        return None

    def close(self) -> None:
        """Take the hooks off the models."""
        self._head.remove()

    def __call__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        compute_entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        One pass of the model, without the rows that have no completion token.

        If that is every row, the shortest prompt stands in, with a label that has no target: each process then runs
        the model as often as the others.

        Args:
            model (`Any`):
                The policy or the reference model, as TRL calls it.
            input_ids (`torch.Tensor`):
                Shape `(rows, prompt columns + logits_to_keep)`; prompts padded left, completions right.
            attention_mask (`torch.Tensor`):
                The same shape; 0 at padding, and throughout a completion that takes no part.
            logits_to_keep (`int`):
                Columns of the completions.
            compute_entropy (`bool`):
                Whether the entropies are wanted.

        Returns:
            `tuple[torch.Tensor, torch.Tensor | None]`: log-probabilities and entropies, `(rows, logits_to_keep)`, 0
            where a row has no completion token.
        """
        rows, columns = input_ids.size(0), logits_to_keep
        prompts = attention_mask[:, :-columns].sum(1)
        completions = attention_mask[:, -columns:].sum(1)
        empty = not bool(completions.any())
        if empty:
            completions[prompts.argmin()] = 1
        kept = completions.nonzero().flatten()
        start = input_ids.size(1) - columns - int(prompts[kept].max())  # first column of the longest prompt
        longest = int(completions[kept].max())
        end = input_ids.size(1) - columns + longest  # behind the last token that is predicted
        # Column c of a completion is predicted one column before it, so the last column is not computed at all
        labelled = torch.arange(longest, device=input_ids.device) < completions[kept].unsqueeze(1)
        row, column = labelled.nonzero(as_tuple=True)
        before = end - longest - 1 - start
        with self._head.only(row * (end - 1 - start) + before + column), self._autocast():
            output = model(
                input_ids=input_ids[kept, start : end - 1],
                attention_mask=attention_mask[kept, start : end - 1],
                shift_labels=input_ids[kept, end - longest : end][labelled].unsqueeze(0),
                fused_lm_head=True,
            )
        targets = (kept[row] * columns + column)[: 0 if empty else None]
        entropies = spread(output.entropy, targets, rows, columns) if compute_entropy else None
        return spread(output.log_probs, targets, rows, columns), entropies
