"""
Train a preference reward model on pairs of responses.

    trl-r1 reward_model --config recipes/tiny/reward_model.yaml
    accelerate launch -m trl_r1.scripts.reward_model --config recipes/tiny/reward_model.yaml
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
    """Load the pairs, train a scalar head on the recipe's model, save."""
    from trl import RewardTrainer

    from trl_r1.data import check_batch, load_preferences
    from trl_r1.scripts.training import (
        check_ancestry,
        load_tokenizer,
        template_hashes,
        train_and_record,
        trainer_arguments,
    )

    script_args, args = recipe.script_args, recipe.training_args
    recorder = StageRecorder.from_recipe("reward_model", recipe, args.output_dir, script_args.stage_name)
    tokenizer = load_tokenizer(recipe)
    data = load_preferences(script_args, recipe.dataset_args, tokenizer, output_dir=args.output_dir)
    check_batch(len(data.dataset), args.per_device_train_batch_size * args.world_size, "pairs a batch")
    recorder.data = data.sources
    check_ancestry(recipe, recorder)
    trainer = RewardTrainer(train_dataset=data.dataset, **trainer_arguments(recipe, tokenizer))
    recorder.template = template_hashes(recipe, tokenizer)
    train_and_record(trainer, recipe, recorder)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("reward_model", publishing(train), argv)


if __name__ == "__main__":
    sys.exit(main())
