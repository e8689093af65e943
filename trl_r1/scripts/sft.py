"""
Supervised fine-tuning: cold start, the SFT after rejection sampling, distillation, by recipe.

    trl-r1 sft --config recipes/tiny/cold_start.yaml
    accelerate launch -m trl_r1.scripts.sft --config recipes/tiny/cold_start.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trl_r1.scripts.common import StageRecorder, run_script
from trl_r1.scripts.publishing import publishing


if TYPE_CHECKING:
    from trl_r1.recipe import Recipe


def train(recipe: Recipe) -> None:
    """Check what is trained on, row by row, before the trainer is built and as it holds it; train; does it stop?"""
    from trl import SFTTrainer

    from trl_r1.data import check_batch, load_sft
    from trl_r1.scripts.stopping import stop_probe
    from trl_r1.scripts.training import (
        check_ancestry,
        evaluate_while_training,
        held_out_suites,
        load_tokenizer,
        template_hashes,
        train_and_record,
        trainer_arguments,
    )
    from trl_r1.trainer.trained_rows import check_trained_rows

    script_args, args = recipe.script_args, recipe.training_args
    recorder = StageRecorder.from_recipe("sft", recipe, args.output_dir, script_args.stage_name)
    tokenizer = load_tokenizer(recipe)
    data = load_sft(script_args, recipe.dataset_args, tokenizer, args)
    held_out, dataset = held_out_suites(recipe, tokenizer, recorder, data.dataset)
    check_batch(len(dataset), args.per_device_train_batch_size * args.world_size, "rows a batch")
    recorder.data = data.sources
    check_ancestry(recipe, recorder)
    trainer = SFTTrainer(train_dataset=dataset, **trainer_arguments(recipe, tokenizer))
    evaluate_while_training(trainer, held_out, recipe)
    recorder.metrics = check_trained_rows(trainer).measurements()
    recorder.template = template_hashes(recipe, tokenizer)
    probe = stop_probe(trainer, recipe, recorder, dataset, tokenizer)
    train_and_record(trainer, recipe, recorder, when_saved=probe)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("sft", publishing(train), argv)


if __name__ == "__main__":
    sys.exit(main())
