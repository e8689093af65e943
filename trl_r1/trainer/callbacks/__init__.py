"""Callbacks: whole checkpoints and a view from outside for any trainer; signals and alarms for GRPO."""

from trl_r1.trainer.callbacks.alarm_thresholds import AlarmThresholds
from trl_r1.trainer.callbacks.alarms import AlarmCallback, alarm_callback, check_not_stopped
from trl_r1.trainer.callbacks.canary import CANARIES, get_canary
from trl_r1.trainer.callbacks.checkpoints import WholeCheckpointCallback, last_whole_checkpoint, train_or_resume
from trl_r1.trainer.callbacks.episode import EpisodeCallback
from trl_r1.trainer.callbacks.evaluation import EvaluationCallback, evaluation_callback
from trl_r1.trainer.callbacks.loss_note import LossNoteCallback, explain_curve, explain_loss
from trl_r1.trainer.callbacks.signals import RolloutSignals
from trl_r1.trainer.callbacks.telemetry import ProgressFileCallback, spent_earlier, training_history


__all__ = [
    "CANARIES",
    "AlarmCallback",
    "AlarmThresholds",
    "EpisodeCallback",
    "EvaluationCallback",
    "LossNoteCallback",
    "ProgressFileCallback",
    "RolloutSignals",
    "WholeCheckpointCallback",
    "alarm_callback",
    "check_not_stopped",
    "evaluation_callback",
    "explain_curve",
    "explain_loss",
    "get_canary",
    "last_whole_checkpoint",
    "spent_earlier",
    "train_or_resume",
    "training_history",
]
