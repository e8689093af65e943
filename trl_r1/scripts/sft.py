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


if TYPE_CHECKING:
    from trl_r1.recipe import Recipe


def train(recipe: Recipe) -> None:
    """Check that the reasoning survives the template and lies in the loss mask, then train."""
    from trl import SFTTrainer, get_peft_config, get_quantization_config

    from trl_r1.data import check_batch, load_sft
    from trl_r1.scripts.training import (
        callbacks,
        load_tokenizer,
        model_init_kwargs,
        template_hashes,
        train_and_record,
    )

    script_args, args, model_args = recipe.script_args, recipe.training_args, recipe.model_args
    recorder = StageRecorder.from_recipe("sft", recipe, args.output_dir, script_args.stage_name)
    tokenizer = load_tokenizer(recipe)
    data = load_sft(script_args, recipe.dataset_args, tokenizer, args)
    check_batch(len(data.dataset), args.per_device_train_batch_size * args.world_size, "rows a batch")
    args.model_init_kwargs = model_init_kwargs(model_args, args)
    trainer = SFTTrainer(
        model=model_args.model_name_or_path,
        args=args,
        train_dataset=data.dataset,
        processing_class=tokenizer,
        quantization_config=get_quantization_config(model_args),
        peft_config=get_peft_config(model_args),
        callbacks=callbacks(),
    )
    recorder.data = data.sources
    recorder.template = template_hashes(recipe, tokenizer)
    train_and_record(trainer, recipe, recorder)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("sft", train, argv)


if __name__ == "__main__":
    sys.exit(main())
