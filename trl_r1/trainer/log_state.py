"""What the next log row and the next table of completions need from before a checkpoint.

With `logging_steps` above 1 a row is a mean over several steps; the Trainer begins anew when it resumes. The table of
`log_completions` shows the last rollout, which TRL does not save either, so that the first table after a resume inside
a rollout was empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


_LISTS = ("prompt", "completion", "advantages")  # of `trainer._logs`; pictures are not kept
_COLUMNS = ("rewards", "extra")
_PLAIN = (str, int, float, bool, torch.Tensor, type(None))  # what `torch.load` reads with `weights_only`


class LossWindow(TrainerCallback):
    """
    The loss summed up since the last log row, and since which step.

    Args:
        trainer ([`R1GRPOTrainer`]):
            Its own; add it as a callback too, since the Trainer sets both to 0 after it has read a checkpoint.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        self._trainer: Any = trainer
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Sum of this process, and the step of the last row."""
        trainer = self._trainer
        return {"loss": trainer._tr_loss.detach().clone(), "last_logged": trainer._globalstep_last_logged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep the sum until training begins."""
        self._restored = state

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go on with the sum of the checkpoint, where there is one."""
        if self._restored is not None:
            self._trainer._tr_loss = self._restored["loss"].to(self._trainer._tr_loss)
            self._trainer._globalstep_last_logged = self._restored["last_logged"]
            self._restored = None


class CompletionTable:
    """
    The rows the next `completions_<step>.parquet` is made of.

    Args:
        trainer ([`R1GRPOTrainer`]):
            Its own.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        self._trainer: Any = trainer

    def state_dict(self) -> dict[str, Any]:
        """Every column as a list on the process that writes the tables; nothing without `log_completions`."""
        trainer = self._trainer
        if not (trainer.log_completions and trainer.accelerator.is_main_process):
            return {}
        table: dict[str, Any] = {name: as_plain(list(trainer._logs[name])) for name in _LISTS}
        for part in _COLUMNS:
            table[part] = {name: as_plain(list(column)) for name, column in trainer._logs[part].items()}
        return table

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the columns back, in their order."""
        logs = self._trainer._logs
        for name in _LISTS:
            logs[name].extend(state.get(name, ()))
        for part in _COLUMNS:
            for name, column in state.get(part, {}).items():
                logs[part][name].extend(column)


def as_plain(value: Any) -> Any:
    """A value as a checkpoint can hold it; what is none of lists, mappings, text and numbers, as its text."""
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if type(value) in _PLAIN:  # exactly: numpy's numbers and enumerations are read by nobody else
        return value
    return as_plain(value.tolist()) if isinstance(value, np.generic | np.ndarray) else str(value)
