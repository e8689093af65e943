"""Callbacks that any trainer can carry: whole checkpoints and a view from outside."""

from trl_r1.trainer.callbacks.checkpoints import WholeCheckpointCallback, last_whole_checkpoint, train_or_resume
from trl_r1.trainer.callbacks.telemetry import ProgressFileCallback, training_history


__all__ = [
    "ProgressFileCallback",
    "WholeCheckpointCallback",
    "last_whole_checkpoint",
    "train_or_resume",
    "training_history",
]
