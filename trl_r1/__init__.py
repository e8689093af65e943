"""The whole DeepSeek-R1 recipe on top of TRL: from a raw base model to carded checkpoints."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from trl_r1.chat_template import ParsedCompletion, ThinkParser
    from trl_r1.configs import R1GRPOConfig
    from trl_r1.pipeline import run_pipeline
    from trl_r1.recipe import load_recipe
    from trl_r1.rewards import (
        accuracy_reward,
        format_reward,
        get_choice_reward,
        get_code_reward,
        get_instruction_reward,
        get_json_schema_reward,
        get_judge_reward,
        get_language_consistency_reward,
        get_length_reward,
        get_preference_reward,
        get_reasoning_gym_reward,
        get_repair_reward,
        get_repetition_reward,
        get_routed_reward,
    )
    from trl_r1.trainer import R1GRPOTrainer
    from trl_r1.verifiers import Judgement, Verdict, verify_code, verify_math

__version__ = "0.1.0"
__all__ = [
    "Judgement",
    "ParsedCompletion",
    "R1GRPOConfig",
    "R1GRPOTrainer",
    "ThinkParser",
    "Verdict",
    "accuracy_reward",
    "format_reward",
    "get_choice_reward",
    "get_code_reward",
    "get_instruction_reward",
    "get_json_schema_reward",
    "get_judge_reward",
    "get_language_consistency_reward",
    "get_length_reward",
    "get_preference_reward",
    "get_reasoning_gym_reward",
    "get_repair_reward",
    "get_repetition_reward",
    "get_routed_reward",
    "load_recipe",
    "run_pipeline",
    "verify_code",
    "verify_math",
]

_HOMES = {
    "Judgement": "verifiers",
    "ParsedCompletion": "chat_template",
    "R1GRPOConfig": "configs",
    "R1GRPOTrainer": "trainer",
    "ThinkParser": "chat_template",
    "Verdict": "verifiers",
    "accuracy_reward": "rewards",
    "format_reward": "rewards",
    "get_choice_reward": "rewards",
    "get_code_reward": "rewards",
    "get_instruction_reward": "rewards",
    "get_json_schema_reward": "rewards",
    "get_judge_reward": "rewards",
    "get_language_consistency_reward": "rewards",
    "get_length_reward": "rewards",
    "get_preference_reward": "rewards",
    "get_reasoning_gym_reward": "rewards",
    "get_repair_reward": "rewards",
    "get_repetition_reward": "rewards",
    "get_routed_reward": "rewards",
    "load_recipe": "recipe",
    "run_pipeline": "pipeline",
    "verify_code": "verifiers",
    "verify_math": "verifiers",
}


def __getattr__(name: str) -> Any:
    # Late, because torch and TRL take seconds to import and the command line often needs neither.
    if name not in _HOMES:
        raise AttributeError(f"module 'trl_r1' has no attribute {name!r}")
    return getattr(importlib.import_module(f"trl_r1.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
