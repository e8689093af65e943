"""Which checkpoint can be trusted, and going on from it: for any Trainer, not only GRPO.

The Trainer writes a checkpoint file by file, and `get_last_checkpoint` takes the highest number, whole or not; with a
missing `optimizer.pt` it goes on silently with a fresh optimiser. Here a checkpoint counts once `whole.json` lies in
it, written after every process finished and naming each file with its size.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, TrainOutput, sort_checkpoints

from trl_r1.stage_record import write_json


if TYPE_CHECKING:
    from transformers import Trainer


logger = logging.getLogger(__name__)

MARKER_NAME = "whole.json"


class WholeCheckpointCallback(TrainerCallback):
    """
    Marks every checkpoint as whole once it is, so that [`last_whole_checkpoint`] finds it.

    Checkpoints without optimiser state (`save_only_model`) cannot be resumed from and stay unmarked.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Unmark what this run is going to overwrite."""
        if not state.is_world_process_zero:
            return
        if args.save_total_limit == 1:
            logger.warning(
                "save_total_limit=1: the Trainer deletes the previous checkpoint before the new one is known to be "
                "whole, a run killed in between starts anew; use save_total_limit=2"
            )
        for step, folder in _checkpoints(str(args.output_dir)):
            if step > state.global_step:
                (folder / MARKER_NAME).unlink(missing_ok=True)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Mark the checkpoint of this step, when every process has written its part."""
        from accelerate import PartialState

        PartialState().wait_for_everyone()
        if state.is_world_process_zero and not args.save_only_model:
            _mark_whole(Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")


def last_whole_checkpoint(output_dir: str | Path) -> str | None:
    """
    Find the checkpoint to resume from.

    Args:
        output_dir (`str` or `Path`):
            Folder of a run; it need not exist.

    Returns:
        `str` or `None`: the whole checkpoint of the highest step; partly written ones are passed over.
    """
    for _, folder in reversed(_checkpoints(output_dir)):
        if _is_whole(folder):
            return str(folder)
        logger.warning("%s is not whole (stopped while it was written?), passed over", folder)
    return None


def train_or_resume(trainer: Trainer) -> TrainOutput:
    """
    Train, from the last whole checkpoint in `output_dir` where there is one.

    A run stopped after its last step trains no further: the Trainer alone would make one step more. Note that
    `training_loss` covers the steps of this process only.

    Args:
        trainer ([`~transformers.Trainer`]):
            Any trainer; a [`WholeCheckpointCallback`] is added when it has none.

    Returns:
        [`~transformers.trainer_utils.TrainOutput`]: as `trainer.train()` returns it.
    """
    if not any(isinstance(callback, WholeCheckpointCallback) for callback in trainer.callback_handler.callbacks):
        trainer.add_callback(WholeCheckpointCallback())
    _stop_at_last_step(trainer)
    return trainer.train(resume_from_checkpoint=last_whole_checkpoint(str(trainer.args.output_dir)))


def _stop_at_last_step(trainer: Trainer) -> None:
    """Give a trainer no more batches once it has made all its steps."""
    get_batch_samples = trainer.get_batch_samples

    def none_past_the_end(epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> tuple[list[Any], Any]:
        if trainer.state.global_step >= trainer.state.max_steps:
            return [], None
        return get_batch_samples(epoch_iterator, num_batches, device)

    trainer.get_batch_samples = none_past_the_end  # type: ignore[method-assign]


def _checkpoints(output_dir: str | Path) -> list[tuple[int, Path]]:
    """Step and folder of every checkpoint, by step; a copy such as `checkpoint-50-best` is none."""
    folders = [Path(folder) for folder in sort_checkpoints(str(output_dir))]
    steps = [folder.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-") for folder in folders]
    return [(int(step), folder) for step, folder in zip(steps, folders, strict=True) if step.isdigit()]


def _mark_whole(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER_NAME]
    for path in files:  # the marker must not reach the disk before what it vouches for
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    write_json(folder / MARKER_NAME, {str(path.relative_to(folder)): path.stat().st_size for path in files})


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / MARKER_NAME).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
