"""Configuration of every verb: TRL's dataclasses, names and defaults, with what R1 needs beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from trl import GRPOConfig

from trl_r1.errors import RecipeError
from trl_r1.grpo_checks import CHOICES, grpo_problems
from trl_r1.presets import CONVENIENCES, PRESETS, apply_preset, derive_batch, nearest
from trl_r1.script_arguments import (
    CompositionArguments,
    DecontaminationArguments,
    DifficultyArguments,
    DistillationScriptArguments,
    EvaluationArguments,
    GeneralDataArguments,
    GenerationArguments,
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
    "CompositionArguments",
    "DecontaminationArguments",
    "DifficultyArguments",
    "DistillationScriptArguments",
    "EvaluationArguments",
    "GRPOScriptArguments",
    "GeneralDataArguments",
    "GenerationArguments",
    "R1GRPOConfig",
    "R1ScriptArguments",
    "RejectionSamplingArguments",
    "RewardModelScriptArguments",
    "SFTScriptArguments",
    "derive_batch",
    "grpo_problems",
]


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

        > Parameters that control speed (same tokens, same gradient; `docs/trainer.md` gives the exact terms)

        fast (`bool`, *optional*, defaults to `False`):
            Whether to leave out what a step computes in vain. Each of the following does so in one way, and says once
            why where it would not be exact; without `fast` none of them acts.
        fast_skip_zero_advantage (`bool`, *optional*, defaults to `True`):
            Whether rows whose advantage is exactly 0 are left out of the policy's forward and backward pass.
        fast_micro_batches (`bool`, *optional*, defaults to `True`):
            Whether the rows of one accumulation window are dealt out anew, those that fit together in one
            micro-batch, which is then cut to its own longest row.
        fast_packed_forward (`bool`, *optional*, defaults to `True`):
            Whether a micro-batch is one sequence without padding in which each distinct prompt occurs once.
        fast_generation (`bool`, *optional*, defaults to `True`):
            Whether completions that have ended leave the batch, and each distinct prompt is read once.
        micro_batch_tokens (`int`, *optional*):
            Tokens of one micro-batch with `fast_micro_batches`. By default as many as TRL's largest micro-batch of
            the same rollout would have had, padding included, so that it needs no more memory.
        reward_workers (`int`, *optional*, defaults to `0`):
            Processes in which reward functions run while the log-probabilities of the reference model and of the
            old policy are computed. At 0 they run in the training process, afterwards.

        > Parameters that control which prompts are trained on

        drop_tied_groups (`bool`, *optional*, defaults to `False`):
            Whether groups whose rewards are all equal have advantage 0. Rounding gives them advantages up to 3e-4
            otherwise, and Adam then moves the weights as far as for a true signal. Changes the gradient.
        dynamic_sampling (`bool`, *optional*, defaults to `False`):
            Whether groups whose rewards are all equal are replaced by groups of fresh prompts before a step is made
            (DAPO, arXiv 2503.14476, section 3.2).
        dynamic_sampling_max_rounds (`int`, *optional*, defaults to `10`):
            Rounds of generation for one rollout, the first included; what still lacks then is filled with groups
            without signal, and counted.
        curriculum (`str`, *optional*, defaults to `"none"`):
            `"easy_first"` orders the prompts by their pass rate, highest first; `"pass_rate_band"` draws prompts only
            while their pass rate lies in `pass_rate_band`. Both read the data column `pass_rate` and what training
            itself has seen.
        pass_rate_band (`list[float]`, *optional*):
            Lowest and highest pass rate, for `curriculum="pass_rate_band"`.

        > Parameters that control long runs

        max_completion_length_schedule (`dict[int, int]` or `str`, *optional*):
            New `max_completion_length` from a step on, as `{8200: 65536}` (R1-Zero): it holds from the first rollout
            that begins once so many steps are made.
        stop_on_alarm (`bool`, *optional*, defaults to `False`):
            Whether training stops, with a checkpoint, when an alarm is raised.

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
    fast: bool = field(
        default=False,
        metadata={"help": "Whether to leave out what a step computes in vain: same tokens, same gradient, less time."},
    )
    fast_skip_zero_advantage: bool = field(
        default=True,
        metadata={"help": "With `fast`: rows whose advantage is exactly 0 are left out of the policy pass."},
    )
    fast_micro_batches: bool = field(
        default=True,
        metadata={"help": "With `fast`: rows of one accumulation window are dealt out anew, by length and prompt."},
    )
    fast_packed_forward: bool = field(
        default=True,
        metadata={"help": "With `fast`: a micro-batch is one sequence without padding, each distinct prompt once."},
    )
    fast_generation: bool = field(
        default=True,
        metadata={
            "help": "With `fast`: completions that have ended leave the batch, each distinct prompt is read once."
        },
    )
    micro_batch_tokens: int | None = field(
        default=None,
        metadata={"help": "Tokens of one micro-batch with `fast_micro_batches`; by default what TRL would have used."},
    )
    reward_workers: int = field(
        default=0,
        metadata={
            "help": "Processes in which reward functions run beside the log-probabilities; 0 runs them afterwards, in "
            "place."
        },
    )
    drop_tied_groups: bool = field(
        default=False,
        metadata={
            "help": "Whether groups whose rewards are all equal have advantage 0, not one made of rounding. Changes "
            "the gradient."
        },
    )
    dynamic_sampling: bool = field(
        default=False,
        metadata={
            "help": "Whether groups whose rewards are all equal are replaced by groups of fresh prompts (DAPO)."
        },
    )
    dynamic_sampling_max_rounds: int = field(
        default=10,
        metadata={"help": "Rounds of generation for one rollout with `dynamic_sampling`, the first included."},
    )
    curriculum: str = field(
        default="none",
        metadata={"help": "`easy_first` or `pass_rate_band`: which prompts come when, by their pass rate."},
    )
    pass_rate_band: list[float] | None = field(
        default=None,
        metadata={"help": "Lowest and highest pass rate of the prompts drawn with `curriculum: pass_rate_band`."},
    )
    max_completion_length_schedule: dict[int, int] | str | None = field(
        default=None,
        metadata={"help": "New `max_completion_length` from a step on, as `{8200: 65536}` (R1-Zero)."},
    )
    stop_on_alarm: bool = field(
        default=False,
        metadata={"help": "Whether training stops, with a checkpoint, when an alarm is raised."},
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
