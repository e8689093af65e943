"""How far a run is and what it took, for whoever watches it from outside, and its curves for the stage record."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trl_r1.stage_record import write_json


if TYPE_CHECKING:
    from transformers import Trainer


PROGRESS_NAME = "progress.json"


@dataclass(frozen=True, slots=True)
class Spent:
    """When a run began and what it took, over all the processes it needed one after another."""

    started: str  # ISO 8601, UTC
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class ProgressFileCallback(TrainerCallback):
    """
    Keeps `progress.json` in `output_dir` up to date while training runs: `{"step", "max_steps", "metrics", "spent"}`.

    `metrics` is the last log row. The file is replaced in one go, so that a reader never sees a part of it, and
    removed when all steps are made. A run that was killed, failed or stopped early leaves it behind: from it the
    process that goes on knows what the run had taken before.

    Attributes:
        earlier ([`Spent`] or `None`): what earlier processes of a resumed run took.
    """

    def __init__(self) -> None:
        self.earlier: Spent | None = None
        self._begun = datetime.now(UTC).isoformat(timespec="seconds")
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say where the run starts: a resumed one not at 0."""
        self.earlier = _read_spent(Path(str(args.output_dir)) / PROGRESS_NAME) if state.global_step else None
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
        if state.is_world_process_zero and state.global_step >= state.max_steps:
            (Path(str(args.output_dir)) / PROGRESS_NAME).unlink(missing_ok=True)

    def _write(self, args: TrainingArguments, state: TrainerState, metrics: dict[str, float]) -> None:
        if state.is_world_process_zero:
            progress = {"step": state.global_step, "max_steps": state.max_steps, "metrics": metrics}
            progress["spent"] = asdict(self._spent())
            write_json(Path(str(args.output_dir)) / PROGRESS_NAME, progress)

    def _spent(self) -> Spent:
        before = self.earlier or Spent(self._begun)
        return Spent(
            before.started,
            round(before.seconds + time.perf_counter() - self._wall, 2),
            round(before.cpu_seconds + time.process_time() - self._cpu, 2),
        )


def _read_spent(path: Path) -> Spent | None:
    """What a run has taken, or `None` where no file says so."""
    try:
        return Spent(**json.loads(path.read_text(encoding="utf-8"))["spent"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def spent_earlier(trainer: Trainer) -> Spent | None:
    """What earlier processes of a resumed run took, as far as its [`ProgressFileCallback`] knows."""
    found = (each for each in trainer.callback_handler.callbacks if isinstance(each, ProgressFileCallback))
    callback = next(found, None)
    return callback.earlier if callback else None


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
