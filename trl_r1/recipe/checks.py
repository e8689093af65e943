"""What types alone cannot tell: fields that contradict each other, files that are not there, unknown rewards."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trl_r1.presets import nearest
from trl_r1.recipe.data_checks import DATA_PROBLEMS, sampling_problems
from trl_r1.recipe.entries import evaluation_problems
from trl_r1.recipe.hub_checks import hub_problems, secret_problems
from trl_r1.recipe.inputs import input_problems, named, overwriting_problems, template_problems
from trl_r1.recipe.mixtures import mixture_problems
from trl_r1.recipe.splits import split_problems
from trl_r1.recipe.suite_checks import augmentation_problems, held_out_problems
from trl_r1.stage_record.kinds import SAMPLING_VERBS, TRAINING_VERBS


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeContext:
    """
    What a recipe's values are checked against.

    Args:
        verb (`str`):
            What is to run.
        values (`dict[str, Any]`):
            Every field, the unset ones with their default.
        given (`frozenset[str]`):
            Fields the user or a preset set.
        processes (`int`):
            World size.
        launching (`bool`):
            Whether the stage starts now, so that its inputs must be there.
        folder (`Path`, *optional*):
            Where the recipe's neighbours are.
        batch_known (`bool`, *optional*, defaults to `True`):
            Whether `prompts_per_step` could be expanded; if not, the batch says nothing.
    """

    verb: str
    values: dict[str, Any]
    given: frozenset[str]
    processes: int
    launching: bool
    folder: Path | None = None
    batch_known: bool = True


def check_recipe(context: RecipeContext) -> list[str]:
    """Every problem of a recipe whose values have the right types, a line each."""
    problems = [*_required(context), *_bounds(context.values, _POSITIVE, 1), *template_problems(context.values)]
    problems += secret_problems({name: context.values[name] for name in context.values if name in context.given})
    if context.verb != "evaluate":
        problems += hub_problems(context.values, context.given)
        problems += [*mixture_problems(context.values), *split_problems(context.values)]
        problems += overwriting_problems(context.values)
    if context.verb in TRAINING_VERBS:
        problems += _training(context)
    if context.verb == "grpo":
        from trl_r1.configs import grpo_problems

        problems += [*grpo_problems(context.values), *_rewards(context), *_rollout(context)]
        problems += augmentation_problems(context.values)
    if "evaluation_suites" in context.values and context.verb != "evaluate":
        problems += held_out_problems(context.values)
    if context.verb in SAMPLING_VERBS:
        problems += sampling_problems(context.values)
    if context.verb in DATA_PROBLEMS:
        problems += DATA_PROBLEMS[context.verb](context.values)
    if context.verb == "evaluate":
        problems += [*evaluation_problems(context.values), *overwriting_problems(context.values)]
    if context.launching:
        problems += [*_processes(context), *input_problems(context.values, context.folder)]
    return list(dict.fromkeys(problems))  # a bound may be looked at for several reasons


_POSITIVE: Final = (
    *("max_train_rows", "expected_processes", "max_kept_per_prompt", "max_rows", "generation_batch_size"),
    *("max_completion_length", "max_reasoning_tokens", "per_device_train_batch_size", "per_device_eval_batch_size"),
    *("gradient_accumulation_steps", "save_total_limit", "rows_per_file"),
)


_SEEDS: Final = 2**32  # NumPy takes no larger one


def _bounds(values: Mapping[str, Any], names: Collection[str], lowest: float) -> list[str]:
    low = [name for name in names if values.get(name) is not None and values[name] < lowest]
    return [f"{name}: {values[name]} must be at least {lowest}" for name in low]


def _required(context: RecipeContext) -> Iterator[str]:
    values = context.values
    if not values.get("output_dir"):
        yield "output_dir: missing; name the folder the stage writes"
    elif Path(values["output_dir"]).is_file():
        yield f"output_dir: {values['output_dir']!r} is a file; name a folder"
    if not 0 <= values["seed"] < _SEEDS:
        yield f"seed: {values['seed']} must be at least 0 and below {_SEEDS}"
    if context.verb == "evaluate":
        return
    if "model_name_or_path" in values and not values["model_name_or_path"]:
        yield "model_name_or_path: missing; give a folder or a Hub id"
    if not values["dataset_name"] and not values["datasets"]:
        yield "dataset_name: missing; give a folder, a Hub id, or a mixture in `datasets`"
    if values["dataset_name"] and values["datasets"]:
        yield f"dataset_name: {values['dataset_name']!r} would be ignored beside `datasets`; keep one of them"


def _training(context: RecipeContext) -> Iterator[str]:
    values, given = context.values, context.given
    if {"max_steps", "num_train_epochs"} <= given and values["max_steps"] > 0:
        epochs, steps = values["num_train_epochs"], values["max_steps"]
        yield f"num_train_epochs: {epochs} is ignored beside max_steps {steps}; keep one of them"
    if "max_steps" in given and values["max_steps"] == 0:
        yield "max_steps: 0 would save an untrained model; use at least 1, or leave it out for num_train_epochs"
    if values["num_train_epochs"] <= 0 and values["max_steps"] <= 0:
        yield f"num_train_epochs: {values['num_train_epochs']} must be above 0"
    if values["fp16"] and values["bf16"]:
        yield "fp16: true and bf16 true exclude each other; keep one"
    if values["use_peft"] and values.get("sync_ref_model"):
        yield "sync_ref_model: true does not work with use_peft; TRL keeps no reference model there, leave one out"
    reports = values["report_to"] if isinstance(values["report_to"], list) else [values["report_to"]]
    if "report_to" in given:
        yield from _report_to([report for report in reports if report])


def _report_to(reports: Sequence[str]) -> Iterator[str]:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    known = ["none", "all", *INTEGRATION_TO_CALLBACK]
    for report in reports:
        if report not in known:
            yield f"report_to: {report!r} is unknown; {nearest(report, known) or 'use one of ' + ', '.join(known)}"


def _rewards(context: RecipeContext) -> Iterator[str]:
    from trl_r1.rewards.registry import check_reward_specs

    rewards, weights = context.values["reward_funcs"], context.values["reward_weights"]
    if not rewards:
        yield "reward_funcs: missing; name at least one, such as [accuracy_reward, format_reward]"
        return
    yield from (named("reward_funcs", problem) for problem in check_reward_specs(rewards))
    if weights is not None and len(weights) != len(rewards):
        yield f"reward_weights: {len(weights)} weights for {len(rewards)} reward_funcs; give one each"


def _rollout(context: RecipeContext) -> Iterator[str]:
    """A rollout must hold whole groups, or TRL could not compare the completions of a prompt."""
    values = context.values
    generations, batch = values["num_generations"], values["per_device_train_batch_size"] * context.processes
    if not context.batch_known or not generations or generations < 2:
        return  # reported already
    steps = values["steps_per_generation"] or values["gradient_accumulation_steps"]
    rollout = values["generation_batch_size"]
    if rollout is None and batch * steps % generations:
        yield (
            f"num_generations: {generations} does not divide a rollout of {batch * steps} completions "
            f"(per_device_train_batch_size {values['per_device_train_batch_size']} x {context.processes} processes x "
            f"{steps} steps a rollout); set `prompts_per_step` and leave the rest out"
        )
    if rollout is not None and batch > 0 and rollout % batch:
        yield f"generation_batch_size: {rollout} is no multiple of {batch}, the batch of all processes; make it one"
    elif rollout is not None and rollout % generations:
        yield f"generation_batch_size: {rollout} is no multiple of num_generations {generations}; make it one"


def _processes(context: RecipeContext) -> Iterator[str]:
    if context.processes > 1 and "RANK" not in os.environ:
        yield f"WORLD_SIZE: {context.processes} in the environment, but no launcher started this process; unset it"
        return
    expected = context.values["expected_processes"]
    if expected is not None and expected != context.processes:
        yield (
            f"expected_processes: {expected}, but the launcher started {context.processes}; "
            f"start with `torchrun --nproc_per_node` or `accelerate launch`, or change the field"
        )
