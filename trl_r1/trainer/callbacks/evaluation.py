"""A small set of held-out questions, asked of the policy every so many steps of its training."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trl_r1.errors import R1Error
from trl_r1.evaluation.held_out import HeldOut
from trl_r1.evaluation.sample_files import write_samples
from trl_r1.generation import Completion
from trl_r1.trainer.live_policy import ask_policy, kept_random_state


logger = logging.getLogger(__name__)

EVALUATIONS_NAME: Final = "evaluations.jsonl"
SAMPLES_FOLDER: Final = "evaluations"
ENDS: Final = ("low", "high")


class EvaluationCallback(TrainerCallback):
    """
    Evaluates the policy at the start of training, every so many steps, and at its end.

    All processes draw a share each, on the device they train on, with `model.generate`; the main one judges with the
    parser and the verifier of `trl-r1 evaluate`. Weights, random states and what the trainer logs of training stay as
    they would be without it. Each evaluation is a row of the Trainer's log, with `eval_<suite>/<mode>/<metric>`, and
    for accuracy the ends of its 95 % interval; a whole record in `evaluations.jsonl`, and every answer in
    `evaluations/step-<step>-<suite>-<mode>.parquet`, both in `output_dir`. Where an [`AlarmCallback`] watches too, it
    compares what the reward calls right with these scores.

    A run that goes on from a checkpoint evaluates no step twice. An evaluation in which something could not be judged
    or written is logged as a warning and counted, unless `strict`.

    Args:
        trainer ([`~transformers.Trainer`]):
            Whose model is asked; add the callback to it with `trainer.add_callback`.
        questions (`Sequence[HeldOut]`):
            What is asked, of [`~trl_r1.evaluation.held_out.load_held_out`].
        every (`int`):
            Optimiser steps between two evaluations.
        at_start (`bool`, *optional*, defaults to `True`):
            Whether to evaluate before the first step, so that there is something to compare with.
        strict (`bool`, *optional*, defaults to `False`):
            Whether a fault ends training.

    Attributes:
        failed (`int`): evaluations that were not finished.
        latest (`dict[str, dict]`): metrics of the last one, by its key in the log; what failed is absent.

    Raises:
        [`R1Error`]: when `every` is no positive number.

    Example:

    ```python
    suite = EvaluationSuite(name="held_out", dataset_name="my/questions", modes={"greedy": Mode(temperature=0)})
    trainer.add_callback(EvaluationCallback(trainer, load_held_out([suite], tokenizer), every=50))
    ```
    """

    def __init__(
        self,
        trainer: Trainer,
        questions: Sequence[HeldOut],
        *,
        every: int,
        at_start: bool = True,
        strict: bool = False,
    ) -> None:
        if isinstance(every, bool) or every < 1:
            raise R1Error(f"evaluation_every: {every!r} is no number of steps; give at least 1")
        self.failed = 0
        self.latest: dict[str, dict[str, Any]] = {}
        self._trainer, self._questions, self._every = trainer, list(questions), every
        self._at_start, self._strict = at_start, strict
        self._last_step: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget what a killed run measured after its last checkpoint; measure the start."""
        self.failed, self.latest = 0, {}
        if state.is_world_process_zero:
            _forget_after(Path(str(args.output_dir)), state.global_step if state.global_step else -1)
        if self._at_start and state.global_step == 0:
            self._evaluate(0, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure every so many steps."""
        if state.global_step % self._every == 0:
            self._evaluate(state.global_step, control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure the last step, unless it just was: by this process, for a killed one took what it found with it."""
        if self._last_step != state.global_step:
            self._evaluate(state.global_step, control)

    def _evaluate(self, step: int, control: TrainerControl) -> None:
        begun = time.perf_counter()
        if self._trainer.is_world_process_zero():
            _forget_after(
                Path(str(self._trainer.args.output_dir)), step - 1
            )  # of a process that ended after this step
        self.latest = {}
        row: dict[str, float] = {}
        for questions in self._questions:
            row |= self._measure(questions, step)
        self._last_step = step
        row["eval_seconds"] = round(time.perf_counter() - begun, 2)
        training_row_is_due = control.should_log
        # Not the trainer's own `log`: TRL's would empty what it has gathered of training, and print completions
        Trainer.log(self._trainer, row)
        control.should_log = training_row_is_due  # to log anything counts as having logged this step

    def _measure(self, questions: HeldOut, step: int) -> dict[str, float]:
        """Ask in one mode. Every process returns the same row."""
        from accelerate.utils import broadcast_object_list

        trainer: Any = self._trainer
        asked = questions.asked
        groups = ask_policy(trainer, trainer.processing_class, asked.prompts, asked.params)
        outcome: list[Any] = [None, None]
        if trainer.is_world_process_zero():
            with kept_random_state(trainer.accelerator.device):
                try:
                    outcome[0] = self._judge(questions, step, groups)
                except (R1Error, OSError) as error:
                    outcome[1] = f"{questions.name}, step {step}: {error}"
        broadcast_object_list(outcome)
        metrics, fault = outcome
        if fault is None:
            self.latest[questions.name] = metrics
            return log_row(f"eval_{questions.name}", metrics)
        self.failed += 1
        if self._strict:
            raise R1Error(f"evaluation during training: {fault}")
        logger.warning("evaluation during training was not finished: %s", fault)
        return {}

    def _judge(self, questions: HeldOut, step: int, groups: Sequence[Sequence[Completion]]) -> dict[str, Any]:
        """Verdicts and figures; the answers and the record are on disk then."""
        folder = Path(str(self._trainer.args.output_dir))
        rows, numbers = questions.measure(groups)
        path = folder / SAMPLES_FOLDER / f"step-{step:06d}-{questions.stem}.parquet"
        write_samples(path, rows)
        record = {"step": step, "evaluation": questions.name, **numbers, "samples": path.name}
        with (folder / EVALUATIONS_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        metrics: dict[str, Any] = numbers["metrics"]
        return metrics


def evaluation_callback(trainer: Trainer) -> EvaluationCallback | None:
    """The trainer's [`EvaluationCallback`], if it has one."""
    found = (each for each in trainer.callback_handler.callbacks if isinstance(each, EvaluationCallback))
    return next(found, None)


def log_row(prefix: str, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What the Trainer's log holds of a record: each metric, and the ends of accuracy's interval."""
    row = {f"{prefix}/{name}": float(measured["value"]) for name, measured in metrics.items()}
    ends = metrics.get("accuracy", {})
    row |= {f"{prefix}/accuracy_{end}": float(ends[end]) for end in ENDS if ends.get(end) is not None}
    return row


def _forget_after(folder: Path, step: int) -> None:
    """Drop records of later steps, which will be made anew, and a line that a kill cut short."""
    path = folder / EVALUATIONS_NAME
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if (_step_of(line) or 0) <= step]
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(line + "\n" for line in kept if _step_of(line) is not None), encoding="utf-8")
    os.replace(partial, path)
    for samples in (folder / SAMPLES_FOLDER).glob("step-*.parquet"):
        if int(samples.name.split("-")[1]) > step:
            samples.unlink()


def _step_of(line: str) -> int | None:
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return None
