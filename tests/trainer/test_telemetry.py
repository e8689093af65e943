"""Progress for whoever watches from outside, and the curve that goes into the stage record."""

import json
import math

import pytest
from tiny_run import make_grpo
from transformers import TrainerCallback, TrainerState

from trl_r1.configs import R1GRPOConfig
from trl_r1.scripts.common import StageRecorder
from trl_r1.stage_record import write_json
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import ProgressFileCallback, spent_earlier, train_or_resume, training_history
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


class Failure(TrainerCallback):
    """Breaks training in its second step, after the first checkpoint."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 2:
            raise RuntimeError("out of memory")


def make(folder):
    options = {"max_steps": 3, "save_strategy": "steps", "save_steps": 1}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder), **options)
    trainer.add_callback(ProgressFileCallback())
    return trainer


def test_a_resumed_run_counts_what_it_took_before(tmp_path):
    broken, path = make(tmp_path / "out"), tmp_path / "out" / PROGRESS_NAME
    broken.add_callback(Failure())
    with pytest.raises(RuntimeError, match="out of memory"):
        train_or_resume(broken)
    left = json.loads(path.read_text())
    assert left["step"] == 1
    assert left["spent"]["seconds"] > 0
    left["spent"] |= {"started": "2025-01-20T08:00:00+00:00", "seconds": 5000.0, "cpu_seconds": 4000.0}
    write_json(path, left)
    recorder = StageRecorder(kind="grpo", output_dir=str(tmp_path / "out"), config={}, command=[], stage="out")
    resumed = make(tmp_path / "out")
    train_or_resume(resumed)
    assert not path.exists()
    recorder.use_trainer(resumed)
    record = recorder.write()
    assert record.started == "2025-01-20T08:00:00+00:00"
    assert record.seconds > 5000
    assert record.cpu_seconds > 4000


def test_a_run_that_starts_anew_counts_from_0(tmp_path):
    write_json(tmp_path / "out" / PROGRESS_NAME, {"spent": {"started": "long ago", "seconds": 5000.0}})
    trainer = make(tmp_path / "out")
    train_or_resume(trainer)
    assert spent_earlier(trainer) is None


def test_history_holds_finite_numbers_of_steps_only():
    state = TrainerState()
    state.log_history = [
        {"loss": 0.5, "rewards/other/mean": None, "step": 1, "epoch": 0.5},
        {"eval_loss": 0.25, "eval_reward": math.nan, "note": "text", "step": 1},
        {"train_runtime": 3.0, "train_loss": 0.5, "step": 1},
    ]
    assert training_history(state) == [{"loss": 0.5, "step": 1, "epoch": 0.5}, {"eval_loss": 0.25, "step": 1}]
