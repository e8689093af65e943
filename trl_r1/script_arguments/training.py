"""Arguments of the verbs that train, beside TRL's configurations."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.common import R1ScriptArguments
from trl_r1.script_arguments.values import JsonMapping, RewardSpec


@dataclass
class HeldOutArguments(R1ScriptArguments):
    """
    Arguments of the verbs that can measure the policy while they train it.

    Args:
        evaluation_suites (`list[dict]`, *optional*):
            What is asked: suites as of `trl-r1 evaluate`, small ones. Training rows that ask one of their questions
            are left out, and counted.
        evaluation_every (`int`, *optional*, defaults to `50`):
            Optimiser steps between two evaluations; one is made before the first step and one after the last.
        evaluation_max_completion_length (`int`, *optional*):
            Longest answer, in tokens, where neither mode nor suite says. Defaults to the `max_completion_length` that
            the policy is trained with, and to 256 where its training has none, as SFT.
    """

    evaluation_suites: list[JsonMapping] = field(
        default_factory=list, metadata={"help": "Suites of questions that the policy is asked while it is trained."}
    )
    evaluation_every: int = field(default=50, metadata={"help": "Optimiser steps between two evaluations."})
    evaluation_max_completion_length: int | None = field(
        default=None,
        metadata={"help": "Longest answer of an evaluation during training, in tokens (default: as in training)."},
    )


@dataclass
class GRPOScriptArguments(HeldOutArguments):
    """
    Script arguments of `trl-r1 grpo`.

    Args:
        reward_funcs (`list[str | dict]`):
            Reward functions: a name of `trl_r1.rewards` or `trl.rewards`, a dotted path, a file (`path.py:name`), or
            a mapping of one of these to its parameters. Weights go into `reward_weights`.
        canary (`str`, *optional*, defaults to `"none"`):
            Second opinion on a sample of each rollout, from other code than the reward: `"math"` (Math-Verify alone),
            `"exact"` (the same characters) or `"none"`. It is logged and watched, and never enters the reward.
        prompt_augmentation (`str`, *optional*):
            Bank of prompt variants that questions are asked in, so that the policy does not come to need one phrasing:
            `"default"`, `"formats"`, `"languages"` or a YAML file. Each question is asked in one, drawn by the seed;
            rows that no gold answer decides, such as code and conversation, stay as they are.
        prompt_augmentation_copies (`int`, *optional*, defaults to `1`):
            Ways in which each question is asked, each a row of its own.
        merge_adapter (`bool`, *optional*, defaults to `True`):
            With `use_peft`, whether to write the merged model too, into `merged/` of the output folder. It is made on
            the CPU, with four bytes a weight, and checked against the adapter.
    """

    reward_funcs: list[RewardSpec] = field(
        default_factory=list,
        metadata={
            "help": "Reward functions: names, dotted paths, path.py:name, or JSON of a name and its parameters."
        },
    )
    canary: str = field(
        default="none",
        metadata={
            "help": "Second opinion on a sample of each rollout, from other code than the reward.",
            "choices": ["none", "exact", "math"],
        },
    )
    prompt_augmentation: str | None = field(
        default=None, metadata={"help": "Bank of prompt variants, or a YAML file, that questions are asked in."}
    )
    prompt_augmentation_copies: int = field(
        default=1, metadata={"help": "Ways in which each question is asked, each a row of its own."}
    )
    merge_adapter: bool = field(
        default=True, metadata={"help": "With use_peft, whether to write the merged model too, into merged/."}
    )


@dataclass
class StopProbeArguments(R1ScriptArguments):
    """
    Arguments of the verbs that teach a model whole answers, and so must teach it to end them.

    Args:
        stop_probe_prompts (`int`, *optional*, defaults to `32`):
            Training prompts that the trained model completes greedily, to see whether it stops by itself; `0` asks
            none. What is found is recorded and changes nothing.
        stop_probe_max_tokens (`int`, *optional*, defaults to `2048`):
            Longest answer, in tokens, of the prompts that are taken. A completion may be half as long again.
        merge_adapter (`bool`, *optional*, defaults to `True`):
            With `use_peft`, whether to write the merged model too, into `merged/` of the output folder. It is made on
            the CPU, with four bytes a weight, and checked against the adapter.
    """

    stop_probe_prompts: int = field(
        default=32, metadata={"help": "Prompts completed after training to see whether the model stops; 0 for none."}
    )
    stop_probe_max_tokens: int = field(
        default=2048, metadata={"help": "Longest answer, in tokens, of the prompts the stop probe takes."}
    )
    merge_adapter: bool = field(
        default=True, metadata={"help": "With use_peft, whether to write the merged model too, into merged/."}
    )


@dataclass
class SFTScriptArguments(StopProbeArguments, HeldOutArguments):
    """Script arguments of `trl-r1 sft`: those of every stage, of evaluations during it, and of the probe after it."""


@dataclass
class RewardModelScriptArguments(R1ScriptArguments):
    """Script arguments of `trl-r1 reward_model`: those of every stage."""
