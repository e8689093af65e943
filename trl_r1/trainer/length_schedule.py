"""Longer completions from a step on: R1-Zero goes from 32,768 to 65,536 tokens after 8,200 steps.

TRL copies `max_completion_length` into half a dozen places when the trainer is made. All of them change together, and
only where a rollout begins: a rollout is generated, scored and trained on with one length.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trl_r1.errors import RecipeError
from trl_r1.grpo_checks import parse_schedule


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


logger = logging.getLogger(__name__)

_OWN_LIMITS = ("max_completion_length", "max_completion_len", "max_len")  # as reward functions call theirs


class LengthSchedule(TrainerCallback):
    """
    Sets `max_completion_length` to the lengths of `max_completion_length_schedule`, up or down.

    A length holds from the first rollout that begins once so many optimiser steps are made. The rollout in use then
    keeps its completions and, with `dr_grpo`, its divisor. A reward function whose own limit was the length before
    gets the new one too; another limit stays, with a warning.

    Args:
        trainer ([`R1GRPOTrainer`]):
            After its construction; `args.max_completion_length_schedule` is set.

    Raises:
        [`RecipeError`]: when the model has no positions for a length that the run reaches.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        args: Any = trainer.args
        self._trainer = trainer
        self._initial: int | None = trainer.max_completion_length
        self._lengths = parse_schedule(args.max_completion_length_schedule)
        if args.max_steps > 0:
            self._lengths = {step: length for step, length in self._lengths.items() if step < args.max_steps}
        self._check_positions()
        self._warn_of_other_limits()
        trainer._stateful["length_schedule"] = self

    def length_at(self, step: int) -> int | None:
        """Length of a rollout that begins after `step` optimiser steps."""
        reached = [length for since, length in self._lengths.items() if since <= step]
        return reached[-1] if reached else self._initial

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Change the length where this step begins a rollout."""
        own: Any = args
        if self._trainer._step % ((own.steps_per_generation or 1) * self._trainer.num_iterations) == 0:
            self._use(self.length_at(state.global_step))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the configuration as it was given; the trainer keeps the length it has reached."""
        own: Any = args
        own.max_completion_length = self._initial

    def state_dict(self) -> dict[str, Any]:
        """The length in use, which that of the step does not tell inside a rollout."""
        return {"max_completion_length": self._trainer.max_completion_length}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the length a checkpoint was written at."""
        self._use(state["max_completion_length"])

    def _use(self, length: int | None) -> None:
        trainer: Any = self._trainer
        before, trainer.args.max_completion_length = trainer.max_completion_length, length
        if length == before:
            return
        logger.info("max_completion_length: %s from step %d on, was %s", length, trainer.state.global_step, before)
        trainer.max_completion_length = length
        if trainer.use_vllm:
            trainer.vllm_generation.max_completion_length = length
        else:
            trainer.generation_kwargs["max_new_tokens"] = length
            trainer.generation_config.max_new_tokens = length
        for _, function, name in self._limits():
            if getattr(function, name) == before and not getattr(trainer.args, "reward_workers", 0):
                setattr(function, name, length)

    def _limits(self) -> Iterator[tuple[str, Any, str]]:
        """Reward functions with a length limit of their own: their name, they themselves, the attribute."""
        rewards: list[Any] = self._trainer.reward_funcs
        for label, reward in zip(self._trainer.reward_func_names, rewards, strict=True):
            leaves = reward.leaves() if hasattr(reward, "leaves") else [reward]
            for function in (getattr(leaf, "function", leaf) for leaf in leaves):
                for name in _OWN_LIMITS:
                    if isinstance(getattr(function, name, None), int):
                        yield label, function, name

    def _warn_of_other_limits(self) -> None:
        elsewhere = getattr(self._trainer.args, "reward_workers", 0) > 0
        for label, function, name in self._limits():
            limit = getattr(function, name)
            if self._lengths and (elsewhere or limit != self._initial):
                logger.warning(
                    "%s: its %s stays %d while max_completion_length changes to %s%s; start a new stage at that step "
                    "where it should follow",
                    label,
                    name,
                    limit,
                    ", ".join(map(str, self._lengths.values())),
                    " (reward_workers hold copies)" if elsewhere else "",
                )

    def _check_positions(self) -> None:
        model: Any = self._trainer.model
        limit = positions(model.config.get_text_config())
        too_long = {step: length for step, length in self._lengths.items() if limit is not None and length >= limit}
        if too_long:
            raise RecipeError(
                [
                    f"max_completion_length_schedule: {length} tokens from step {step} on do not fit the model's "
                    f"{limit} positions beside a prompt; use a length below, or a model with more"
                    for step, length in too_long.items()
                ]
            )


def positions(config: Any) -> int | None:
    """
    Tokens a model has positions for, prompt and completion together; `None` where its configuration does not say.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Of the text model. Stretched rotary positions (YaRN and its like) count at their stretched number.
    """
    limit: int | None = getattr(config, "max_position_embeddings", None)
    rotary = getattr(config, "rope_parameters", None) or {}
    factor, original = rotary.get("factor"), rotary.get("original_max_position_embeddings")
    if limit is None or not factor or not original:
        return limit
    return max(limit, int(factor * original))
