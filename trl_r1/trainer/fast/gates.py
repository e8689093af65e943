"""When a speed-up would not be exact: one reason each, in words, or `None`.

Every rule follows from one line of TRL 1.16's loss. What is computed over a micro-batch changes when rows move to
another one; what gives a row of advantage 0 a gradient forbids leaving that row out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl_r1.trainer.fast.forward_probe import find_dropout


if TYPE_CHECKING:
    from trl import GRPOTrainer

# Means over the rows of a micro-batch in TRL's loss: with n rows instead of B the loss is scaled by n / B.
MEANS_OVER_ROWS = frozenset({"grpo", "sapo", "dr_grpo", "luspo"})
# Sums over tokens, divided by a number of the whole rollout: no scale.
SUMS_OVER_TOKENS = frozenset({"dapo", "cispo", "vespo"})


def why_not_move_rows(trainer: GRPOTrainer) -> str | None:
    """Why rows must stay in the micro-batch TRL put them in."""
    args: Any = trainer.args
    if trainer.loss_type not in MEANS_OVER_ROWS | SUMS_OVER_TOKENS:
        return f"loss_type {trainer.loss_type!r} is a mean over the tokens of one micro-batch"
    if trainer.top_entropy_quantile < 1.0:
        return "top_entropy_quantile takes its threshold from one micro-batch"
    if trainer._entropy_bonus_enabled:
        return "the entropy bonus is a mean over the tokens of one micro-batch"
    if trainer.aux_loss_enabled:
        return "the load-balancing loss of the mixture of experts is computed over one micro-batch"
    if trainer._is_vlm:
        return "images travel with their micro-batch"
    dropout = find_dropout(trainer.accelerator.unwrap_model(trainer.model))
    if dropout is not None:
        return f"dropout is active ({dropout}) and would fall on other elements; set disable_dropout: true"
    accumulation, steps = args.gradient_accumulation_steps, args.steps_per_generation or 1
    if steps % accumulation and accumulation % steps:
        return (
            f"steps_per_generation {steps} and gradient_accumulation_steps {accumulation} do not divide one another, "
            "so no rows stay in the same optimiser step"
        )
    return None


def why_not_skip_rows(trainer: GRPOTrainer) -> str | None:
    """Why rows of advantage 0 must take part in the policy's forward pass."""
    if trainer.beta != 0.0:
        return f"beta {trainer.beta}: the KL term has a gradient where the advantage is 0"
    return why_not_move_rows(trainer)
