"""`GRPOTrainer` with what the R1 recipe needs on top. Each addition is a module; this file says where it acts.

With default options it trains bit for bit as TRL's [`~trl.GRPOTrainer`]: same tokens, same gradients, same logs.
Every override calls its parent; none copies a parent's body. `tests/compat` pins the hooks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch.utils.data import Sampler
from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

from trl_r1.configs import R1GRPOConfig
from trl_r1.rewards import ErrorBudget
from trl_r1.stage_record import has_stage_record
from trl_r1.trainer.callbacks.alarms import AlarmCallback, alarm_callback
from trl_r1.trainer.callbacks.signals import RolloutSignals
from trl_r1.trainer.curriculum import Curriculum
from trl_r1.trainer.dynamic_sampling import DynamicSampler
from trl_r1.trainer.fast import FastStep
from trl_r1.trainer.grpo_state import GRPOState, Stateful, restore_epoch
from trl_r1.trainer.length_schedule import LengthSchedule
from trl_r1.trainer.log_state import CompletionTable, LossWindow
from trl_r1.trainer.reference import check_reference, load_reference, reference_from, save_reference
from trl_r1.trainer.reward_errors import failed_rows, find_unscorable, reward_budgets
from trl_r1.trainer.reward_workers import RewardWorkers
from trl_r1.trainer.rollout import Rollout, RolloutCallback, tied_groups


class R1GRPOTrainer(GRPOTrainer):
    """
    Trainer of the reinforcement learning stages.

    Takes the arguments of [`~trl.GRPOTrainer`], with an [`R1GRPOConfig`] (or a plain [`~trl.GRPOConfig`]) as `args`.
    It overrides:

    - `_calculate_rewards`: with `skip_unscorable`, a completion that a reward function could not judge, although it
      judged others of the same group, takes no part (advantage 0), instead of counting as a reward of 0; with
      `reward_error_budget`, so do the rows a reward function failed on, instead of ending the run;
    - `_save_checkpoint`, `_load_optimizer_and_scheduler`, `_get_train_sampler`: a run stopped at any checkpoint and
      resumed ends with the weights of an uninterrupted one (bit for bit on the CPU), also inside a rollout that
      serves several steps, in a later epoch, and with a synchronised reference model (see also `train_or_resume`);
    - `create_model_card`: leaves the card of a finished stage alone;
    - `__init__`: the reference model is a copy of the policy that was passed, not what its name on disk holds;
    - `_prepare_inputs`, `_compute_loss`, `_get_per_token_logps_and_entropies`, `_generate_single_turn`: the exact
      speed-ups of `fast`;
    - `_generate`: starts the reward functions in their processes (`reward_workers`);
    - `_generate_and_score_completions`: `dynamic_sampling` and `drop_tied_groups`.

    Source: DeepSeek-R1, https://arxiv.org/abs/2501.12948.
    """

    args: GRPOConfig
    _buffered_inputs: Any
    _train_sampler: Sampler[int] | None = None  # none for a streamed dataset
    _reward_budgets: tuple[ErrorBudget, ...] = ()  # see `reward_budgets`

    _tag_names = ["trl", "grpo", "trl_r1"]  # noqa: RUF012  (TRL's own attribute)
    _name = "GRPO"
    _paper = {  # noqa: RUF012
        "title": "DeepSeek-R1: Incentivizing Reasoning Capability in LLMs via Reinforcement Learning",
        "id": "2501.12948",
        "citation": (
            "@article{deepseekai2025deepseekr1,\n"
            "    title  = {{DeepSeek-R1: Incentivizing Reasoning Capability in LLMs via Reinforcement Learning}},\n"
            "    author = {DeepSeek-AI},\n"
            "    year   = 2025,\n"
            "    eprint = {arXiv:2501.12948},\n"
            "}\n"
        ),
    }

    def __init__(self, model: str | PreTrainedModel | PeftModel, *args: Any, **kwargs: Any) -> None:
        with reference_from(model):
            super().__init__(model, *args, **kwargs)
        self._policy_was_passed = not isinstance(model, str)  # its name does not say what the reference model is
        check_reference(self)
        own: Any = self.args
        loss = LossWindow(self)
        self.add_callback(loss)
        # What a checkpoint keeps beside the fields of GRPOState
        self._stateful: dict[str, Stateful] = {"loss_window": loss, "completion_table": CompletionTable(self)}
        self._last_rollout: Rollout | None = None
        self._rollout_rows: list[dict[str, Any]] = []
        if not isinstance(own, R1GRPOConfig):  # a plain GRPOConfig has none of our options
            self._fast = self._dynamic_sampler = self._curriculum = self._reward_workers = None
            return
        if own.max_completion_length_schedule:
            self.add_callback(LengthSchedule(self))
        if own.stop_on_alarm and alarm_callback(self) is None:  # the option alone would stop nothing
            signals = RolloutSignals()
            self.add_callback(signals)
            self.add_callback(AlarmCallback(signals))
        self._curriculum = Curriculum(self) if own.curriculum != "none" else None
        self._dynamic_sampler = DynamicSampler(self) if own.dynamic_sampling else None
        self._reward_workers = RewardWorkers(self) if own.reward_workers else None
        self._fast = FastStep(self) if own.fast else None

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        rollout = self._buffered_inputs
        inputs: dict[str, Any] = super()._prepare_inputs(generation_batch)
        if self._fast is None or not self._is_training():
            return inputs
        if self._buffered_inputs is not rollout:
            self._buffered_inputs = self._fast.regroup(self._buffered_inputs)
        steps = self.args.steps_per_generation or 1
        micro_batch: dict[str, Any] = self._buffered_inputs[self._step % steps]
        return micro_batch

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self._dynamic_sampler is not None and self._is_training():
            return self._dynamic_sampler.fill(inputs, self._generate_and_score)
        return self._generate_and_score(inputs)

    def _generate_and_score(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """One round of generation: what TRL does, and advantage 0 for tied groups where that is asked for."""
        self._rollout_rows = inputs
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if getattr(self.args, "drop_tied_groups", False) and self._last_rollout is not None:
            rollout = self._last_rollout
            tied = tied_groups(rollout.totals, rollout.num_generations).repeat_interleave(rollout.num_generations)
            output["advantages"][tied[rollout.offset : rollout.offset + len(inputs)]] = 0.0
        return output

    def _generate(self, prompts: list[Any]) -> Any:
        output = super()._generate(prompts)
        if self._reward_workers is not None:
            self._reward_workers.start(self._rollout_rows, prompts, output)
        return output

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        if self._fast is None:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        with self._fast.generation():
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **others: Any,
    ) -> Any:
        if self._fast is not None and not any(value is not None and value is not False for value in others.values()):
            found = self._fast.log_probs(model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy)
            if found is not None:
                return *found, None  # no load-balancing loss: it is asked for among the others
        return super()._get_per_token_logps_and_entropies(
            model,
            input_ids,
            attention_mask,
            logits_to_keep,
            batch_size=batch_size,
            compute_entropy=compute_entropy,
            **others,
        )

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if self._fast is None:
            loss: torch.Tensor = super()._compute_loss(model, inputs)
            return loss
        return self._fast.loss(super()._compute_loss, model, inputs)

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        budgets = reward_budgets(self)
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if getattr(self.args, "skip_unscorable", False):  # a plain GRPOConfig has no such field
            unscorable = find_unscorable(rewards, self._group_size())
            if budgets:
                unscorable |= failed_rows(self, len(prompts))
            self._metrics[self._mode()]["unscorable_rows"].append(float(unscorable.sum().item()))
            # TRL leaves rows that are NaN throughout out of a group's mean and deviation and gives them advantage 0
            rewards = rewards.masked_fill(unscorable.unsqueeze(1), torch.nan)
        self._show_rollout(inputs, prompts, completions, completion_ids_list, rewards)
        return rewards

    def _show_rollout(
        self,
        rows: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]],
        rewards: torch.Tensor,
    ) -> None:
        """Keep the rollout for the rest of this step, and let callbacks and the curriculum see it."""
        self._last_rollout = rollout = Rollout.of(self, rows, prompts, completions, completion_ids, rewards)
        if not self._is_training():
            return
        if self._curriculum is not None:
            self._curriculum.observe(rollout)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, RolloutCallback):
                callback.on_rollout(rollout, lambda name, value: self._metrics["train"][name].append(value))

    def _group_size(self) -> int:
        return (self.num_generations if self._is_training() else self.num_generations_eval) or 1

    def _is_training(self) -> bool:
        return self.model is not None and self.model.training

    def _mode(self) -> str:
        return "train" if self._is_training() else "eval"

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        sampler: Sampler[int] = super()._get_train_sampler(dataset)
        if self._curriculum is not None:
            sampler = self._curriculum.sampler(sampler)
        self._train_sampler = sampler
        return sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not self.args.save_only_model:
            folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            # Before the parent saves: it deletes older checkpoints at its end, and this one should be whole by then
            GRPOState.capture(self).save(folder, self.args.process_index)
            save_reference(self, folder)
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[no-untyped-call]
        if checkpoint is None:
            return
        GRPOState.load(checkpoint, self.args.process_index, self.args.world_size).restore(self)
        restore_epoch(self._train_sampler, self.state)
        load_reference(self, checkpoint)

    def create_model_card(  # type: ignore[override]  # TRL's signature, not that of transformers
        self,
        model_name: str | None = None,
        dataset_name: str | None = None,
        tags: str | list[str] | None = None,
    ) -> None:
        """TRL's draft of a card, unless the folder holds a finished stage, whose card is made from its record."""
        if not has_stage_record(str(self.args.output_dir)):
            super().create_model_card(model_name, dataset_name, tags)
