"""The published settings as TRL fields, and the batch arithmetic that fits them to any number of processes.

What a paper does not publish is left out, so TRL's default holds: `docs/paper.md` lists both, value by value. A preset
never says anything about hardware.

Sources: R1 is Guo et al., Nature 645, 633-638 (2025) and arXiv 2501.12948v2; DAPO is arXiv 2503.14476; Dr. GRPO is
arXiv 2503.20783v2 with its published launch script.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Collection, Mapping
from typing import Any, Final

from trl_r1.errors import RecipeError


PROMPTS_PER_STEP: Final = "prompts_per_step"
UPDATES_PER_ROLLOUT: Final = "updates_per_rollout"
CONVENIENCES: Final = (PROMPTS_PER_STEP, UPDATES_PER_ROLLOUT)

MAX_DERIVED_BATCH: Final = 8  # largest per-device batch chosen for a recipe that states none
_DEFAULT_NUM_GENERATIONS: Final = 8  # TRL's

# Shared by both RL stages of R1 (Nature, Methods, "Training details" of R1-Zero and of the first RL stage).
_R1_COMMON: Final[dict[str, Any]] = {
    "loss_type": "grpo",  # Eq. 1 as run per token with a mean per sample; TRL's default is "dapo"
    "importance_sampling_level": "token",  # DeepSeekMath Eq. 3-4; R1 prints sequence symbols and never says
    "scale_rewards": "group",  # Eq. 3: divided by the group's standard deviation
    "num_iterations": 1,  # "1 inner epoch"
    "beta": 0.001,  # KL coefficient; TRL's default 0.0 loads no reference model
    "use_bias_correction_kl": False,  # Eq. 2 is the plain k3 estimator; TRL 1.16 multiplies it by the ratio
    "sync_ref_model": True,  # the reference model is replaced by the policy ...
    "ref_model_sync_steps": 400,  # ... every 400 steps
    "ref_model_mixup_alpha": 1.0,  # replaced, not mixed: TRL's 0.6 keeps 40 % of the old one
    "learning_rate": 3.0e-6,
    "temperature": 1.0,  # of rollouts
    "num_generations": 16,  # outputs a question
    "max_completion_length": 32_768,  # see the schedule of `r1_zero_paper`
    PROMPTS_PER_STEP: 32,  # questions a step: batch 512
    UPDATES_PER_ROLLOUT: 16,  # 8,192 outputs a rollout, split into 16 mini-batches of 512
    "skip_unscorable": True,  # ours: a fault of the grader must not read as a wrong answer
}

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "r1_zero_paper": {
        **_R1_COMMON,  # no epsilon: R1-Zero's clip range is not published, TRL's 0.2 stays
        "max_steps": 10_400,  # one step is one policy update
        "max_completion_length_schedule": {8_200: 65_536},  # "before the 8.2k step ... 65,536 afterwards"
    },
    "r1_paper": {
        **_R1_COMMON,
        "epsilon": 10.0,  # first RL stage: "plays a crucial role"; its number of steps is not published
    },
    "dapo": {
        "loss_type": "dapo",  # token-level loss (Eq. 8)
        "importance_sampling_level": "token",
        "scale_rewards": "group",  # Eq. 9
        "num_iterations": 1,
        "beta": 0.0,  # 2.3: no KL term
        "epsilon": 0.2,  # 3.1 clip-higher: low ...
        "epsilon_high": 0.28,  # ... and high
        "dynamic_sampling": True,  # 3.2: groups whose rewards are all equal are replaced
        "mask_truncated_completions": True,  # 3.4 overlong filtering
        "learning_rate": 1.0e-6,  # 4.1
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 320,  # 20 rollout steps of 16 updates
        "num_generations": 16,
        "max_completion_length": 20_480,  # 16,384 expected + 4,096 punished softly (get_soft_overlong_punishment)
        PROMPTS_PER_STEP: 32,  # mini-batch of 512 completions
        UPDATES_PER_ROLLOUT: 16,  # 512 prompts a rollout
        "skip_unscorable": True,
    },
    "dr_grpo": {
        "loss_type": "dr_grpo",  # sum over tokens divided by a constant: no bias towards long wrong answers
        "importance_sampling_level": "token",
        "scale_rewards": "none",  # advantage is reward minus the group's mean
        "num_iterations": 1,  # 1 inner epoch
        "beta": 0.0,
        "epsilon": 0.2,
        "learning_rate": 1.0e-6,
        "lr_scheduler_type": "constant",
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "temperature": 1.0,
        "num_generations": 8,
        "max_completion_length": 3_000,
        PROMPTS_PER_STEP: 16,  # published script: train batch of 128 completions
        UPDATES_PER_ROLLOUT: 8,  # published script: rollout of 128 prompts
        "skip_unscorable": True,
    },
}

# Published settings of the stages that are no reinforcement learning, for comparison (Nature supplement, B.3-B.4).
PUBLISHED: Final[dict[str, dict[str, Any]]] = {
    "sft": {
        "learning_rate": 5.0e-5,  # cold start and 800k SFT
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr": 5.0e-6},
        "num_train_epochs": 2,  # "two" in version 1, "2-3" in version 2
        "max_length": 32_768,
        "rows_per_step": 128,
    },
    "distillation": {  # the learning rate is in STUDENT_RATES
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "num_train_epochs": 2,  # "2-3"
        "max_length": 32_768,
        "rows_per_step": 64,
    },
    "reward_model": {
        "learning_rate": 6.0e-6,
        "num_train_epochs": 1,
        "max_length": 8_192,
        "rows_per_step": 256,
    },
}

# Base of each of the paper's six students -> initial learning rate (arXiv v2, table 6).
STUDENT_RATES: Final[dict[str, float]] = {
    "Qwen/Qwen2.5-Math-1.5B": 1.0e-4,
    "Qwen/Qwen2.5-Math-7B": 8.0e-5,
    "Qwen/Qwen2.5-14B": 7.0e-5,
    "Qwen/Qwen2.5-32B": 6.0e-5,
    "meta-llama/Llama-3.1-8B": 5.0e-5,
    "meta-llama/Llama-3.3-70B-Instruct": 2.0e-5,
}

# A line the user writes also overrules these lines of a preset, which would otherwise win silently or clash.
_OVERRULED: Final[dict[str, tuple[str, ...]]] = {
    "num_train_epochs": ("max_steps",),
    "steps_per_generation": (UPDATES_PER_ROLLOUT,),
    "generation_batch_size": (UPDATES_PER_ROLLOUT,),
    "max_completion_length": ("max_completion_length_schedule",),
}
_REFERENCE_FIELDS: Final = ("sync_ref_model", "ref_model_sync_steps", "ref_model_mixup_alpha")


def world_size() -> int:
    """Number of processes the launcher started, from the environment; 1 without a launcher."""
    try:
        return max(1, int(os.environ.get("WORLD_SIZE", "1")))
    except ValueError as error:
        value = os.environ["WORLD_SIZE"]
        raise RecipeError([f"WORLD_SIZE: {value!r} in the environment is not a number; unset it"]) from error


def nearest(name: str, known: Collection[str]) -> str:
    """A hint for an unknown name: the nearest known one, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def apply_preset(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Values of a preset, overruled by the user's own.

    Args:
        name (`str`):
            A key of `PRESETS`.
        values (`Mapping[str, Any]`):
            What the user set, by field name. Always wins, also over preset lines that would contradict it.

    Raises:
        [`RecipeError`]: when there is no such preset.
    """
    if name not in PRESETS:
        hint = nearest(name, PRESETS) or f"use one of {', '.join(PRESETS)}"
        raise RecipeError([f"preset: {name!r} is unknown; {hint}"])
    preset = dict(PRESETS[name])
    for field in values:
        for overruled in _OVERRULED.get(field, ()):
            preset.pop(overruled, None)
    if {"per_device_train_batch_size", "gradient_accumulation_steps"} <= values.keys():
        preset.pop(PROMPTS_PER_STEP, None)  # the two of them already say how large an update is
    if values.get("beta") == 0:
        for field in _REFERENCE_FIELDS:  # beta 0 has no reference model to refresh
            preset.pop(field, None)
    return {**preset, **values}


def derive_batch(values: Mapping[str, Any], processes: int | None = None) -> dict[str, Any]:
    """
    Replace `prompts_per_step` and `updates_per_rollout` by the TRL fields they mean.

    One update sees `prompts_per_step * num_generations` completions, which is also
    `per_device_train_batch_size * processes * gradient_accumulation_steps`. A per-device batch or an accumulation the
    user gives is kept; without either, the largest batch up to 8 that divides is taken. A rollout feeds
    `updates_per_rollout` updates (1 unless given), so `steps_per_generation` is that many accumulations.

    Args:
        values (`Mapping[str, Any]`):
            Values by field name.
        processes (`int`, *optional*):
            World size; the environment's when not given.

    Returns:
        `dict[str, Any]`: the values without the two conveniences; unchanged where neither is set.

    Raises:
        [`RecipeError`]: when the numbers do not divide; the message says which would.
    """
    result = {key: value for key, value in values.items() if key not in CONVENIENCES}
    prompts, updates = (values.get(key) for key in CONVENIENCES)
    if prompts is None and updates is None:
        return result
    processes = world_size() if processes is None else processes
    for name, value in ((PROMPTS_PER_STEP, prompts), (UPDATES_PER_ROLLOUT, updates)):
        if value is not None and value < 1:
            raise RecipeError([f"{name}: {value} must be at least 1"])
    if prompts is not None:
        generations = values.get("num_generations") or _DEFAULT_NUM_GENERATIONS
        result.update(_split_update(result, prompts, generations, processes))
    taken = [key for key in ("steps_per_generation", "generation_batch_size") if result.get(key) is not None]
    if taken and updates is not None:
        raise RecipeError([f"{UPDATES_PER_ROLLOUT}: {updates} and {taken[0]} say the same; keep one of them"])
    if not taken:
        result["steps_per_generation"] = (updates or 1) * result.get("gradient_accumulation_steps", 1)
    return result


def _split_update(values: Mapping[str, Any], prompts: int, generations: int, processes: int) -> dict[str, int]:
    """Per-device batch and accumulation of one update."""
    completions = prompts * generations
    stated = f"{PROMPTS_PER_STEP}: {prompts} x num_generations {generations}"
    if completions % processes:
        step = processes // math.gcd(processes, generations)
        fits = {number for number in (prompts // step * step, -(-prompts // step) * step) if number}
        raise RecipeError(
            [
                f"{stated} = {completions} completions cannot be shared by {processes} processes; "
                f"{' or '.join(map(str, sorted(fits)))} would work"
            ]
        )
    share = completions // processes
    batch, accumulation = values.get("per_device_train_batch_size"), values.get("gradient_accumulation_steps")
    if batch is None and accumulation is None:
        batch = max(size for size in range(1, MAX_DERIVED_BATCH + 1) if share % size == 0)
    batch = batch or max(1, share // (accumulation or 1))
    accumulation = accumulation or max(1, share // batch)
    if batch * accumulation != share:
        raise RecipeError(
            [
                f"{stated} is {share} completions a process, not per_device_train_batch_size {batch} x "
                f"gradient_accumulation_steps {accumulation}; leave one out, or use divisors of {share}"
            ]
        )
    return {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
