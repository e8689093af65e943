"""
Group relative policy optimisation: R1-Zero, reasoning RL and all-scenario RL, by recipe.

    trl-r1 grpo --config recipes/tiny/r1_zero.yaml
    accelerate launch -m trl_r1.scripts.grpo --config recipes/tiny/r1_zero.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.scripts.common import StageRecorder, run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.stage_record import RewardUse, describe_parent


if TYPE_CHECKING:
    from trl_r1.data.prompt_augmentation import PromptAugmentation
    from trl_r1.recipe import Recipe


def train(recipe: Recipe) -> None:
    """Check rewards, templates and data, then train. Nothing is loaded before all that can be checked is."""
    from trl_r1.data import check_batch, first_of_each_type, load_prompts
    from trl_r1.rewards import build_rewards, probe_rewards
    from trl_r1.scripts.training import (
        check_ancestry,
        evaluate_while_training,
        held_out_suites,
        load_tokenizer,
        template_hashes,
        train_and_record,
        trainer_arguments,
        watching_callbacks,
    )
    from trl_r1.trainer import R1GRPOTrainer

    script_args, args = recipe.script_args, recipe.training_args
    recorder = StageRecorder.from_recipe("grpo", recipe, args.output_dir, script_args.stage_name)
    augmentation = prompt_augmentation(recipe)
    rewards = build_rewards(script_args.reward_funcs)
    tokenizer = load_tokenizer(recipe)
    prompts = load_prompts(
        script_args,
        recipe.dataset_args,
        tokenizer,
        chat_template_kwargs=args.chat_template_kwargs,
        rewards=rewards,
        output_dir=args.output_dir,
        augmentation=augmentation,
    )
    held_out, dataset = held_out_suites(recipe, tokenizer, recorder, prompts.dataset)
    if augmentation is not None:
        recorder.notes.append(augmentation.describe(dataset))
    check_batch(len(dataset), args.generation_batch_size // args.num_generations, "prompts a rollout")
    for row in first_of_each_type(dataset):
        probe_rewards(rewards, row)
    functions: list[Any] = list(rewards)  # TRL's annotation knows no asynchronous rewards
    recorder.data = prompts.sources
    recorder.parents = [
        describe_parent(str(reward.parameters["model_name_or_path"]), role="reward_model")
        for reward in (leaf for reward in rewards for leaf in reward.leaves())
        if reward.loads_model and "model_name_or_path" in reward.parameters
    ]
    check_ancestry(recipe, recorder)
    arguments = trainer_arguments(recipe, tokenizer)
    arguments["callbacks"] += watching_callbacks(script_args.canary)
    trainer = R1GRPOTrainer(reward_funcs=functions, train_dataset=dataset, **arguments)
    evaluate_while_training(trainer, held_out, recipe)
    weights = args.reward_weights or [1.0] * len(rewards)
    recorder.rewards = [
        RewardUse(name=reward.name, weight=weight, parameters=reward.parameters)
        for reward, weight in zip(rewards, weights, strict=True)
    ]
    recorder.template = template_hashes(recipe, tokenizer)
    train_and_record(trainer, recipe, recorder)


def prompt_augmentation(recipe: Recipe) -> PromptAugmentation | None:
    """
    In which ways the recipe asks its questions, if in several.

    Raises:
        [`RecipeError`]: when there is no such bank, or it has fewer variants than copies.
    """
    from trl_r1.data.phrasings import load_variants
    from trl_r1.data.prompt_augmentation import PromptAugmentation

    given = recipe.script_args
    if not given.prompt_augmentation:
        return None
    variants = tuple(load_variants(given.prompt_augmentation))
    return PromptAugmentation(
        variants=variants, copies=given.prompt_augmentation_copies, seed=recipe.training_args.seed
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("grpo", publishing(train), argv)


if __name__ == "__main__":
    sys.exit(main())
