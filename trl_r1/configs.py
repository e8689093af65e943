"""Configuration of every verb: TRL's dataclasses, names and defaults, with what R1 needs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from trl import GRPOConfig

from trl_r1.errors import RecipeError
from trl_r1.presets import CONVENIENCES, PRESETS, apply_preset, derive_batch, nearest
from trl_r1.script_arguments import (
    EvaluationArguments,
    GRPOScriptArguments,
    R1ScriptArguments,
    RejectionSamplingArguments,
    RewardModelScriptArguments,
    SFTScriptArguments,
)


if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "CHOICES",
    "PRESETS",
    "EvaluationArguments",
    "GRPOScriptArguments",
    "R1GRPOConfig",
    "R1ScriptArguments",
    "RejectionSamplingArguments",
    "RewardModelScriptArguments",
    "SFTScriptArguments",
    "derive_batch",
    "grpo_problems",
]

# Values TRL's documentation of `GRPOConfig` allows; TRL itself looks at most of them after the first generation only.
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_mode": ("server", "colocate"),
    "vllm_model_impl": ("transformers", "vllm"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
}


@dataclass
class R1GRPOConfig(GRPOConfig):
    """
    Configuration class for the [`R1GRPOTrainer`].

    Adds to [`~trl.GRPOConfig`] only what follows; with the defaults it trains as `GRPOConfig` does. Every value is
    checked when the object is made, not after the first generation.

    Args:
        skip_unscorable (`bool`, *optional*, defaults to `False`):
            Whether a completion that a reward function could not judge (`None`), in a group where it judged others,
            takes no part: it is left out of the group's mean and deviation and has no advantage. Otherwise TRL counts
            the missing reward as zero, and a fault of the grader reads as a wrong answer. The presets switch it on.
        reward_error_budget (`float`, *optional*, defaults to `0.0`):
            Share of the rows on which a reward function may raise or break its contract. Above 0, such a batch is
            scored again group by group, the rows that still fail take no part, and they are shown in
            `reward_errors_<process>.jsonl` of the output folder; a larger share than this, of at least 64 rows of a
            process, ends the run. At 0 the first error ends it. Needs `skip_unscorable`.

    Raises:
        [`RecipeError`]: with every value that is out of range.
    """

    skip_unscorable: bool = field(
        default=False,
        metadata={
            "help": "Whether a completion that a reward function could not judge, in a group where it judged others, "
            "takes no part: no advantage, and left out of the group's mean."
        },
    )
    reward_error_budget: float = field(
        default=0.0,
        metadata={
            "help": "Share of the rows on which a reward function may fail; those rows take no part. At 0 the first "
            "error ends the run."
        },
    )

    def __post_init__(self) -> None:
        problems = grpo_problems({spec.name: getattr(self, spec.name) for spec in fields(self)})
        if problems:
            raise RecipeError(problems)
        super().__post_init__()

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> Self:
        """
        A configuration with published settings.

        Args:
            name (`str`):
                `"r1_zero_paper"`, `"r1_paper"`, `"dapo"` or `"dr_grpo"`.
            **overrides:
                Fields that win over the preset, and `prompts_per_step` and `updates_per_rollout`, from which the
                per-device batch, the accumulation and `steps_per_generation` follow for the world size.

        Raises:
            [`RecipeError`]: for an unknown preset or field, or a batch that cannot be split.

        Example:

        ```python
        >>> R1GRPOConfig.from_preset("r1_zero_paper", output_dir="r1_zero", use_cpu=True).beta
        0.001
        ```
        """
        known = [*(spec.name for spec in fields(cls) if spec.init), *CONVENIENCES]
        unknown = [key for key in overrides if key not in known]
        if unknown:
            raise RecipeError(
                [f"{key}: no such field; {nearest(key, known) or 'see R1GRPOConfig'}" for key in unknown]
            )
        return cls(**derive_batch(apply_preset(name, overrides)))


def grpo_problems(values: Mapping[str, Any]) -> list[str]:
    """
    What is out of range or contradicts itself in GRPO settings, a line each.

    Args:
        values (`Mapping[str, Any]`):
            Every field of [`R1GRPOConfig`] by name, of the right type.
    """
    problems = []
    for name, allowed in CHOICES.items():
        value = values[name]
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
    return problems + _bound_problems(values)


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
}


def _bound_problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, (lowest, included) in _BOUNDS.items():
        value = values.get(name)
        if value is not None and (value < lowest or (value == lowest and not included)):
            problems.append(f"{name}: {value} must be {'at least' if included else 'above'} {lowest}")
    return problems
