"""The probe after SFT and distillation: does the model stop? What it finds goes into the stage's record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from transformers import Trainer

    from trl_r1.recipe import Recipe
    from trl_r1.scripts.common import StageRecorder

logger = logging.getLogger(__name__)


def stop_probe(
    trainer: Trainer,
    recipe: Recipe,
    recorder: StageRecorder,
    rows: Any,
    tokenizer: Any,
    answer_tokens: int | None = None,
) -> Callable[[], None]:
    """
    What [`~trl_r1.scripts.training.train_and_record`] calls when the weights are saved, on the main process.

    Args:
        trainer ([`~transformers.Trainer`]):
            The stage's.
        recipe ([`Recipe`]):
            Its `stop_probe_prompts` and `stop_probe_max_tokens` say how much is asked.
        recorder ([`StageRecorder`]):
            Takes the metrics, and a note where most completions do not end.
        rows ([`~datasets.Dataset`]):
            What was trained on, as the loader gave it.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's.
        answer_tokens (`int`, *optional*):
            Tokens an answer may take, where rows hold none.
    """

    def probe() -> None:
        from trl_r1.trainer.stop_probe import probe_prompts, probe_stops, weights_are_whole

        count, most = recipe.script_args.stop_probe_prompts, recipe.script_args.stop_probe_max_tokens
        if count == 0:
            return
        if not weights_are_whole(trainer):
            _note(recorder, "Not probed whether the model stops: its weights are split over processes.")
            return
        prompts = probe_prompts(rows, tokenizer, count, most, min(answer_tokens, most) if answer_tokens else None)
        if not prompts:
            _note(recorder, f"Not probed whether the model stops: no answer has at most {most} tokens.")
            return
        found = probe_stops(trainer, tokenizer, prompts)
        if found is None:
            _note(recorder, "Not probed whether the model stops: its context holds no prompt with its answer.")
            return
        recorder.metrics.update(found.measurements())
        logger.info("%d of %d greedy completions end by themselves", found.stopped, found.prompts)
        if warning := found.warning():
            _note(recorder, f"Does the model stop? {warning[:1].upper()}{warning[1:]}.")

    return probe


def _note(recorder: StageRecorder, note: str) -> None:
    logger.warning(note)
    recorder.notes.append(note)
