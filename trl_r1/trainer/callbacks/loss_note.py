"""Why the loss of GRPO is near 0, said where it is shown: the question everyone asks who sees it first."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOConfig


logger = logging.getLogger(__name__)

NEAR_ZERO: Final = 1e-2
_MEAN_OF_ROWS: Final = ("grpo",)
_SUM_OF_TOKENS: Final = ("dapo", "bnpo", "dr_grpo", "luspo")


class LossNoteCallback(TrainerCallback):
    """Logs once, beside the first loss near 0, why that is fine, if for these settings it is."""

    def __init__(self) -> None:
        self._said = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the row just logged."""
        loss = (logs or {}).get("loss")
        if self._said or loss is None or not abs(loss) < NEAR_ZERO or "aux_loss" in (logs or {}):
            return
        self._said = True
        note = explain_loss(vars(args))
        if note is not None and state.is_world_process_zero:
            logger.info("the loss is %.1e, and that is fine: %s", loss, note)


def explain_curve(settings: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str | None:
    """The same for a whole run, if its loss came near 0: `history` is `trainer.state.log_history`."""
    near_zero = any(abs(row["loss"]) < NEAR_ZERO for row in history if "loss" in row)
    other_parts = any("aux_loss" in row for row in history)
    return explain_loss(settings) if near_zero and not other_parts else None


def explain_loss(settings: Mapping[str, Any]) -> str | None:
    """
    Why the value of the loss says nothing, for some settings.

    Args:
        settings (`Mapping[str, Any]`):
            Fields of a [`~trl.GRPOConfig`]; those left out have TRL's default.

    Returns:
        `str` or `None`: the reason, after "the loss is near 0, and that is fine:"; `None` where the loss has other
        parts (an entropy bonus, weights for the sampler, a loss type whose value is not near 0).

    Example:

    ```python
    >>> explain_loss({"loss_type": "cispo"}) is None
    True
    ```
    """
    get = {**_DEFAULTS, **settings}.__getitem__
    steps = get("steps_per_generation")
    if steps is None and get("generation_batch_size") is not None:
        return None  # how many updates a rollout serves depends on the processes
    loss_type = get("loss_type")
    if loss_type not in _MEAN_OF_ROWS + _SUM_OF_TOKENS or get("entropy_coef") or get("use_adaptive_entropy"):
        return None
    if get("top_entropy_quantile") < 1 or (get("use_vllm") and get("vllm_importance_sampling_correction")):
        return None
    even = loss_type in _MEAN_OF_ROWS and not get("mask_truncated_completions")
    parts = [_first_part(even, _serves_several_updates(steps, get), loss_type)]
    if get("beta"):
        parts.append(
            f"beta {get('beta'):g} times the KL to the reference is added, which is 0 while the two are equal"
        )
    return "; ".join([*parts, "watch the reward, and evaluate"])


def _first_part(even: bool, several_updates: bool, loss_type: str) -> str:
    groups = "the advantages of a group add up to 0"
    trains = "its gradient is not 0, and trains the policy"
    if several_updates:
        return (
            f"{groups}, but a rollout serves several updates, each of which sees only parts of the groups, and all "
            f"but the first a policy that has moved (ratio near 1), so the value wanders about 0; {trains}"
        )
    if even:
        return f"{groups} and the policy is compared with itself (ratio 1), so the value is 0 always; {trains}"
    weights = "truncated completions are left out" if loss_type in _MEAN_OF_ROWS else "long completions weigh more"
    side = (
        "" if loss_type in _MEAN_OF_ROWS else ", above 0 where the better completions of a group are the shorter ones"
    )
    return (
        f"{groups} and the policy is compared with itself (ratio 1), so only that {weights} keeps the value from 0"
        f"{side}; {trains}"
    )


def _serves_several_updates(steps_per_generation: int | None, get: Any) -> bool:
    """Whether a rollout serves several updates, so that not all of them are made on the policy that sampled it."""
    accumulation: int = get("gradient_accumulation_steps")
    return bool(accumulation % ((steps_per_generation or accumulation) * get("num_iterations")))


_DEFAULTS: Final = {spec.name: spec.default for spec in fields(GRPOConfig) if spec.default is not MISSING}
