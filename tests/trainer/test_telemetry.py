"""Progress for whoever watches from outside, and the curve that goes into the stage record."""

import json
import math

from tiny_run import make_grpo
from transformers import TrainerCallback, TrainerState

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import ProgressFileCallback, training_history
from trl_r1.trainer.callbacks.telemetry import PROGRESS_NAME


class Watcher(TrainerCallback):
    """Reads the progress file after every step's log."""

    def __init__(self, path):
        self.path = path
        self.seen = []

    def on_train_begin(self, args, state, control, **kwargs):
        self.seen.append(json.loads(self.path.read_text()))

    def on_log(self, args, state, control, **kwargs):
        self.seen.append(json.loads(self.path.read_text()))


def test_progress_file_follows_training_and_goes_with_it(tmp_path):
    path = tmp_path / "out" / PROGRESS_NAME
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), max_steps=2)
    watcher = Watcher(path)
    trainer.add_callback(ProgressFileCallback())
    trainer.add_callback(watcher)
    trainer.train()
    assert [(row["step"], row["max_steps"]) for row in watcher.seen[:3]] == [(0, 2), (1, 2), (2, 2)]
    assert watcher.seen[0]["metrics"] == {}
    assert watcher.seen[2]["metrics"]["reward"] == trainer.state.log_history[1]["reward"]
    assert not path.exists()


def test_history_holds_finite_numbers_of_steps_only():
    state = TrainerState()
    state.log_history = [
        {"loss": 0.5, "rewards/other/mean": None, "step": 1, "epoch": 0.5},
        {"eval_loss": 0.25, "eval_reward": math.nan, "note": "text", "step": 1},
        {"train_runtime": 3.0, "train_loss": 0.5, "step": 1},
    ]
    assert training_history(state) == [{"loss": 0.5, "step": 1, "epoch": 0.5}, {"eval_loss": 0.25, "step": 1}]
