"""The kinds of reward the bench knows, their cases, and which of our rewards and TRL's is of which kind."""

from __future__ import annotations

import importlib
from typing import Any, Final

from trl_r1.bench.case import Case
from trl_r1.errors import R1Error


# Kind, and what a reward of that kind pays for. Each has a module of cases of its own name.
KINDS: Final[dict[str, str]] = {
    "accuracy": "1 for a right answer after the thoughts, else 0; None without a usable gold answer",
    "format": "1 for thoughts and answer each in their place, else 0",
    "language": "share of the words of the thoughts that are in the target language",
    "code": "1 for a program that passes all tests of its row, else 0",
    "repair": "1 for a patch after which all hidden tests pass, else 0",
    "choice": "1 for the right one of lettered options, else 0",
    "puzzle": "1 for a solved puzzle of reasoning-gym, else 0",
    "json_schema": "1 for JSON that the row's schema accepts, else 0",
    "instruction": "share of the row's instructions on the form that the answer follows",
    "repetition": "0, or less for a completion that goes round in circles",
    "length": "more for the shorter of a group's right answers, never a bonus for a wrong one",
    "overlong": "0 within the limit, falling to -1 by tokens in the stretch before it (DAPO, eq. 13)",
    "preference": "what a reward model prefers: relations of scores only, whatever the model",
    "judge": "1 or 0 as a judge says, None where it says nothing, and never what the submission says",
    "routed": "what the reward of the row's type pays: accuracy for reasoning, options for choice, None for helpful",
    "contract": "anything, but always one finite number or None a completion, in time (for rewards of your own)",
}
_KIND_OF: Final[dict[str, str]] = {
    "accuracy_reward": "accuracy",
    "reasoning_accuracy_reward": "accuracy",
    "format_reward": "format",
    "think_format_reward": "format",
    "language_consistency_reward": "language",
    "code_reward": "code",
    "repair_reward": "repair",
    "choice_reward": "choice",
    "reasoning_gym_reward": "puzzle",
    "json_schema_reward": "json_schema",
    "instruction_reward": "instruction",
    "repetition_reward": "repetition",
    "repetition_penalty_reward": "repetition",
    "length_reward": "length",
    "cosine_scaled_reward": "length",
    "soft_overlong_punishment_reward": "overlong",
}


def kind_of(reward: Any) -> str:
    """
    The kind of a reward: its own `bench_kind`, what ours and TRL's are known to be, or else `"contract"`.

    Args:
        reward (`Callable`):
            A reward function, wrapped or not.
    """
    inner = getattr(reward, "function", reward)
    own = getattr(inner, "bench_kind", None)
    if isinstance(own, str):
        return own
    return _KIND_OF.get(getattr(reward, "__name__", ""), "contract")


def cases_of(kind: str, reward: Any = None) -> list[Case]:
    """
    The cases for a kind of reward.

    Args:
        kind (`str`):
            One of `KINDS`.
        reward (`Callable`, *optional*):
            A reward whose parameters some cases go by, such as its limits on length.

    Raises:
        [`R1Error`]: when there is no such kind.
    """
    if kind not in KINDS:
        raise R1Error(f"kind: {kind!r} is unknown; use one of {', '.join(KINDS)}")
    module = importlib.import_module(f"trl_r1.bench.cases.{kind}")
    made: list[Case] = (
        module.cases_for(getattr(reward, "function", reward)) if hasattr(module, "cases_for") else module.CASES
    )
    return list(made)


def why_unfit(case: Case, reward: Any) -> str | None:
    """Why a case does not hold for a reward with its parameters, such as a fixed language; `None` where it does."""
    inner = getattr(reward, "function", reward)
    parameters = getattr(reward, "parameters", {})
    for name, value in case.holds_for.items():
        if (parameters.get(name) or False) != value:
            return f"it holds for {name}: {str(value).lower()}"
    target = getattr(inner, "target_language", None)
    languages = {row.columns.get("language") for row in case.rows} - {None}
    if target is not None and case.name.startswith("language/") and languages != {target}:
        return f"the reward's language is {target}"
    return None
