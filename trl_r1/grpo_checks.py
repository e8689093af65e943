"""What `R1GRPOConfig` refuses: values out of range, unknown choices, settings that contradict each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from trl_r1.presets import nearest


# Values TRL's documentation of `GRPOConfig` allows; TRL itself looks at most of them after the first generation only.
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_mode": ("server", "colocate"),
    "vllm_model_impl": ("transformers", "vllm"),
    "curriculum": ("none", "easy_first", "pass_rate_band"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
}


def grpo_problems(values: Mapping[str, Any]) -> list[str]:
    """
    What is out of range or contradicts itself in GRPO settings, a line each.

    Args:
        values (`Mapping[str, Any]`):
            Every field of [`R1GRPOConfig`] by name, of the right type.
    """
    problems = []
    for name, allowed in CHOICES.items():
        value = values.get(name, allowed[0])
        if value not in allowed and not (name == "scale_rewards" and isinstance(value, bool)):
            hint = nearest(str(value), allowed) or f"use one of {', '.join(allowed)}"
            problems.append(f"{name}: {value!r} is unknown; {hint}")
    if values["num_generations"] is None or values["num_generations"] < 2:
        problems.append(
            f"num_generations: {values['num_generations']} completion a prompt has nothing to be compared with; "
            "use 2 or more"
        )
    if values["sync_ref_model"] and values["beta"] == 0:
        problems.append("sync_ref_model: true without a reference model; set `beta` above 0 or leave it out")
    if values["generation_batch_size"] is not None and values["steps_per_generation"] is not None:
        problems.append("generation_batch_size: it and steps_per_generation say the same; keep one of them")
    if values["top_p"] is not None and not 0 < values["top_p"] <= 1:
        problems.append(f"top_p: {values['top_p']} must be above 0 and at most 1")
    if not 0 <= values["ref_model_mixup_alpha"] <= 1:
        problems.append(f"ref_model_mixup_alpha: {values['ref_model_mixup_alpha']} must be between 0 and 1")
    budget = values.get("reward_error_budget", 0.0)
    if not 0 <= budget < 1:
        problems.append(f"reward_error_budget: {budget} is no share below 1; use 0.01, say")
    elif budget and not values.get("skip_unscorable"):
        problems.append(
            f"reward_error_budget: {budget} without skip_unscorable would count failed rows as 0; "
            "set `skip_unscorable: true`"
        )
    return [*problems, *_bound_problems(values), *_data_problems(values), *_schedule_problems(values)]


def _data_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the choice of prompts."""
    band, wanted = values.get("pass_rate_band"), values.get("curriculum", "none") == "pass_rate_band"
    problems = []
    if band is not None and not wanted:
        problems.append(f"pass_rate_band: {band} has no effect; set `curriculum: pass_rate_band` or leave it out")
    elif wanted and band is None:
        problems.append("pass_rate_band: missing with `curriculum: pass_rate_band`; use [0.1, 0.9], say")
    elif band is not None and not (len(band) == 2 and 0 <= band[0] <= band[1] <= 1):
        problems.append(f"pass_rate_band: {band} must be two numbers, lowest and highest, from 0 to 1")
    return [*problems, *(_dynamic_sampling_problems(values) if values.get("dynamic_sampling") else ())]


def _dynamic_sampling_problems(values: Mapping[str, Any]) -> list[str]:
    """What a rollout of several rounds of generation rules out."""
    problems = []
    for name, wrong, right in (
        ("scale_rewards", "batch", "group"),
        ("multi_objective_aggregation", "normalize_then_sum", "sum_then_normalize"),
    ):
        if values[name] == wrong:
            problems.append(
                f"{name}: {wrong!r} with dynamic_sampling would take the spread of one round of generation, not of "
                f"the rows trained on; use {right!r}, or set `dynamic_sampling: false`"
            )
    batch, size = values["per_device_train_batch_size"], values["num_generations"]
    steps = values["steps_per_generation"] or values["gradient_accumulation_steps"]
    if values["generation_batch_size"] is None and size and batch * steps % size:
        problems.append(
            f"dynamic_sampling: true needs whole groups in a process, and per_device_train_batch_size {batch} x "
            f"{steps} steps of a rollout is no multiple of num_generations {size}; change one of them"
        )
    return problems


def parse_schedule(schedule: Mapping[Any, Any] | str | None) -> dict[int, int]:
    """
    Read `max_completion_length_schedule`: steps and lengths in order of the steps, also from JSON.

    Raises:
        `ValueError`: when it is no mapping of whole numbers above 0.
    """
    if schedule is None:
        return {}
    read = json.loads(schedule) if isinstance(schedule, str) else schedule
    if not isinstance(read, Mapping):
        raise ValueError("no mapping")
    steps = {_whole(step): _whole(length) for step, length in read.items()}
    if len(steps) != len(read):
        raise ValueError("a step stands twice")
    if any(step < 1 or length < 1 for step, length in steps.items()):
        raise ValueError("steps and lengths must be above 0")
    return dict(sorted(steps.items()))


def _whole(value: Any) -> int:
    """A whole number, also as the text that JSON makes of a key; no share of a token is dropped silently."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    raise ValueError(f"{value!r} is no whole number above 0")


def _schedule_problems(values: Mapping[str, Any]) -> list[str]:
    name = "max_completion_length_schedule"
    try:
        schedule = parse_schedule(values.get(name))
    except (ValueError, TypeError) as error:
        return [f"{name}: {values[name]!r} cannot be read ({error}); map steps to lengths, as {{8200: 65536}}"]
    if not schedule:
        return []
    fixed = [key for key in ("max_new_tokens", "max_tokens") if key in (values.get("generation_kwargs") or {})]
    problems = [f"generation_kwargs: {key} would win over {name}; leave it out" for key in fixed]
    room, longest = values.get("vllm_max_model_length"), max(schedule.values())
    if values.get("use_vllm") and room is not None and room <= longest:
        problems.append(
            f"vllm_max_model_length: {room} has no room for a prompt and {longest} tokens, which {name} asks for; "
            "raise it, or leave it out for the model's own"
        )
    return problems


# Lowest value, and whether it is itself allowed.
_BOUNDS: Final[dict[str, tuple[float, bool]]] = {
    "beta": (0, True),
    "epsilon": (0, True),
    "epsilon_high": (0, True),
    "temperature": (0, False),
    "learning_rate": (0, True),
    "max_completion_length": (1, True),
    "num_iterations": (1, True),
    "num_generations_eval": (1, True),
    "steps_per_generation": (1, True),
    "generation_batch_size": (1, True),
    "ref_model_sync_steps": (1, True),
    "per_device_train_batch_size": (1, True),
    "gradient_accumulation_steps": (1, True),
    "micro_batch_tokens": (1, True),
    "reward_workers": (0, True),
    "dynamic_sampling_max_rounds": (1, True),
}


def _bound_problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, (lowest, included) in _BOUNDS.items():
        value = values.get(name)
        if value is not None and (value < lowest or (value == lowest and not included)):
            problems.append(f"{name}: {value} must be {'at least' if included else 'above'} {lowest}")
    return problems
