"""Training: the GRPO trainer of the recipe, and what keeps a run resumable and visible."""

from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


__all__ = ["R1GRPOTrainer"]
