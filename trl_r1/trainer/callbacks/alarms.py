"""Alarms: a run that goes wrong says so once, shows completions as evidence, and stops if it is told to."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trl_r1.chat_template import completion_text
from trl_r1.errors import R1Error
from trl_r1.trainer.callbacks.alarm_rules import RULES, TOLD_AT_EVALUATION, AlarmRule
from trl_r1.trainer.callbacks.alarm_thresholds import AlarmThresholds
from trl_r1.trainer.callbacks.judged_row import JudgedRow
from trl_r1.trainer.callbacks.log_history import LogHistory
from trl_r1.trainer.callbacks.signals import RolloutSignals


if TYPE_CHECKING:
    from transformers import Trainer

logger = logging.getLogger(__name__)

ALARMS_NAME: Final = "alarms.jsonl"
EVIDENCE_ROWS, EVIDENCE_CHARACTERS = 3, 600


class AlarmCallback(TrainerCallback):
    """
    Applies the rules of [`~trl_r1.trainer.callbacks.alarm_rules`] to every log row of training.

    An alarm is raised once and stays up until its reason has been gone for some rows. The main process then writes it
    to `alarms.jsonl` in `output_dir`, with completions of its last rollout that show it. With `stop_on_alarm`,
    training stops with a checkpoint; started again, it goes on from there, and that alarm does not stop it again.

    Alarms follow from the log rows alone, which every checkpoint holds: a resumed run raises none twice.

    Training itself ends without an error then: see `stopped_by`, or call [`check_not_stopped`].

    Args:
        signals ([`RolloutSignals`]):
            The callback that logs the signals; give it to the trainer too, in `callbacks`.
        thresholds ([`AlarmThresholds`], *optional*):
            When they are raised.

    Attributes:
        raised (`list[str]`): a line for each alarm of the run, those before a resume included.
        stopped_by (`str` or `None`): the alarms that stopped training.
    """

    def __init__(self, signals: RolloutSignals, thresholds: AlarmThresholds | None = None) -> None:
        self.thresholds = thresholds or AlarmThresholds()
        self.raised: list[str] = []
        self.stopped_by: str | None = None
        self._signals = signals
        self._history = LogHistory()
        self._quiet: dict[str, int] = {}  # alarms that are up, with the rows since their last reason

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go through the rows of a resumed run again, and forget alarms of steps that will be made anew."""
        self.raised, self.stopped_by, self._history, self._quiet = [], None, LogHistory(scaled=args.fp16), {}
        for row in state.log_history:
            if "loss" in row:
                self._judge(row, int(row["step"]))
            else:
                self._take_in(row)
        if state.is_world_process_zero:
            _forget_after(_alarms_path(args), state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Raise what the new row gives a reason for."""
        if not logs or "loss" not in logs:
            self._take_in(logs or {})
            return  # of an evaluation, or the summary of the run
        raised = self._judge(logs, state.global_step)
        if state.is_world_process_zero:
            for rule, message in raised:
                self._report(rule, message, _alarms_path(args), state.global_step)
        if raised and getattr(args, "stop_on_alarm", False):
            self.stopped_by = "; ".join(f"{rule.name} ({message})" for rule, message in raised)
            control.should_training_stop = True
            control.should_save = all(rule.worth_saving for rule, _ in raised)
            if state.is_world_process_zero:
                logger.warning("stop_on_alarm: training stops at step %d of %d", state.global_step, state.max_steps)

    def _take_in(self, row: dict[str, Any]) -> None:
        """Keep what an evaluation found beside what the rollouts said then; the next training row judges it."""
        if any(name.startswith("eval_") for name in row):
            told = self._history.recent("signals/correct", self.thresholds.window)
            self._history.add({**row, **({} if told is None else {TOLD_AT_EVALUATION: told})})

    def _judge(self, row: dict[str, Any], step: int) -> list[tuple[AlarmRule, str]]:
        """Take in a row; the alarms that were down before it."""
        self._history.add(row)
        raised = []
        for rule in RULES:
            message = rule.check(self._history, self.thresholds)
            if message is not None:
                if rule.name not in self._quiet:
                    raised.append((rule, message))
                    self.raised.append(f"alarm {rule.name} at step {step}: {message}")
                self._quiet[rule.name] = 0
            elif rule.name in self._quiet:
                self._quiet[rule.name] += 1
                if self._quiet[rule.name] >= self.thresholds.quiet_rows:
                    del self._quiet[rule.name]
        return raised

    def _report(self, rule: AlarmRule, message: str, path: Path, step: int) -> None:
        logger.warning(
            "alarm %s at step %d: %s. What to do: %s (evidence: %s)", rule.name, step, message, rule.advice, path
        )
        evidence = [_describe(row) for row in pick_evidence(rule, self._signals.rows)]
        entry = {"alarm": rule.name, "step": step, "message": message, "advice": rule.advice, "evidence": evidence}
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def pick_evidence(rule: AlarmRule, rows: Sequence[JudgedRow]) -> list[JudgedRow]:
    """At most three completions that show an alarm best, no text twice."""
    ranked = [(shown, row) for row in rows if (shown := rule.shows(row)) is not None]
    ranked.sort(key=lambda item: -item[0])  # stable: among equals, the first of the rollout
    distinct: dict[str, JudgedRow] = {}
    for _, row in ranked:
        distinct.setdefault(row.text, row)
    return list(distinct.values())[:EVIDENCE_ROWS]


def alarm_callback(trainer: Trainer) -> AlarmCallback | None:
    """The trainer's [`AlarmCallback`], if it has one."""
    found = (each for each in trainer.callback_handler.callbacks if isinstance(each, AlarmCallback))
    return next(found, None)


def check_not_stopped(trainer: Trainer) -> None:
    """
    Tell a run that ended from one that an alarm stopped.

    Raises:
        [`R1Error`]: on every process, if an alarm did.
    """
    alarms = alarm_callback(trainer)
    if alarms is not None and alarms.stopped_by:
        raise R1Error(
            f"stop_on_alarm: training stopped at step {trainer.state.global_step} of {trainer.state.max_steps} by "
            f"{alarms.stopped_by}; the evidence is in {_alarms_path(trainer.args)}; the same command goes on from the "
            "last checkpoint"
        )


def _alarms_path(args: TrainingArguments) -> Path:
    return Path(str(args.output_dir)) / ALARMS_NAME


def _forget_after(path: Path, step: int) -> None:
    """Drop alarms of later steps, and a line that a kill cut short."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if (_step_of(line) or step + 1) <= step]
    if not kept:
        path.unlink()
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    os.replace(partial, path)


def _step_of(line: str) -> int | None:
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return None


def _describe(row: JudgedRow) -> dict[str, Any]:
    return {
        "prompt": _trim(completion_text(row.prompt)),
        "completion": _trim(row.text),
        "rewards": row.rewards,
        "correct": row.correct,
        "canary": row.canary,
        "tokens": row.tokens,
        "truncated": row.truncated,
    }


def _trim(text: str) -> str:
    """Both ends of a long text."""
    half = EVIDENCE_CHARACTERS // 2
    return text if len(text) <= EVIDENCE_CHARACTERS else f"{text[:half]} [...] {text[-half:]}"
