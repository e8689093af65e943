"""How far a run is, for whoever watches it from outside, and its curves for the stage record."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trl_r1.stage_record import write_json


PROGRESS_NAME = "progress.json"


class ProgressFileCallback(TrainerCallback):
    """
    Keeps `progress.json` in `output_dir` up to date while training runs: `{"step", "max_steps", "metrics"}`.

    `metrics` is the last log row. The file is replaced in one go, so that a reader never sees a part of it, and
    removed when training ends.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say where the run starts: a resumed one not at 0."""
        self._write(args, state, {})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Pass on the row just logged."""
        self._write(args, state, _numbers(logs or {}))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave no file behind that is no result."""
        if state.is_world_process_zero:
            (Path(str(args.output_dir)) / PROGRESS_NAME).unlink(missing_ok=True)

    def _write(self, args: TrainingArguments, state: TrainerState, metrics: dict[str, float]) -> None:
        if state.is_world_process_zero:
            progress = {"step": state.global_step, "max_steps": state.max_steps, "metrics": metrics}
            write_json(Path(str(args.output_dir)) / PROGRESS_NAME, progress)


def training_history(state: TrainerState) -> list[dict[str, float]]:
    """
    Read the training curve of a run, resumed ones included (the Trainer keeps it in every checkpoint).

    Args:
        state ([`~transformers.TrainerState`]):
            `trainer.state` after training.

    Returns:
        `list[dict[str, float]]`: a row for each log of a training or evaluation step, finite numbers only, with
        `step`. The Trainer's closing row (`train_runtime`, ...) is left out: it covers one process's part only.
    """
    return [_numbers(row) for row in state.log_history if "train_runtime" not in row]


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    """The finite numbers of a log row; TRL logs `None` for a reward that judged nothing."""
    return {name: value for name, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
