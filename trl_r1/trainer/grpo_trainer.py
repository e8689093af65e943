"""`GRPOTrainer` with what the R1 recipe needs on top: rows no reward can judge, and a resume that changes nothing.

With default options it trains bit for bit as TRL's [`~trl.GRPOTrainer`]: same tokens, same gradients, same logs.
Every override calls its parent; none copies a parent's body. `tests/compat` pins the hooks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

from trl_r1.rewards import ErrorBudget
from trl_r1.stage_record import has_stage_record
from trl_r1.trainer.grpo_state import GRPOState, load_reference, restore_epoch, save_reference
from trl_r1.trainer.reward_errors import failed_rows, reward_budgets


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
    - `create_model_card`: leaves the card of a finished stage alone.

    Source: DeepSeek-R1, https://arxiv.org/abs/2501.12948.
    """

    args: GRPOConfig
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

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        budgets = reward_budgets(self)
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if not getattr(self.args, "skip_unscorable", False):  # a plain GRPOConfig has no such field
            return rewards
        training = self.model is not None and self.model.training
        num_generations = (self.num_generations if training else self.num_generations_eval) or 1
        unscorable = find_unscorable(rewards, num_generations)
        if budgets:
            unscorable |= failed_rows(self, len(prompts))
        self._metrics["train" if training else "eval"]["unscorable_rows"].append(float(unscorable.sum().item()))
        # TRL leaves rows that are NaN throughout out of a group's mean and deviation and gives them advantage 0
        return rewards.masked_fill(unscorable.unsqueeze(1), torch.nan)

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        sampler: Sampler[int] = super()._get_train_sampler(dataset)
        self._train_sampler = sampler
        return sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not self.args.save_only_model:
            folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            # Before the parent saves: it deletes older checkpoints at its end, and this one should be whole by then
            GRPOState.capture(self).save(folder, self.args.process_index)
            if self.args.sync_ref_model:
                save_reference(self, folder)
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[no-untyped-call]
        if checkpoint is None:
            return
        GRPOState.load(checkpoint, self.args.process_index, self.args.world_size).restore(self)
        restore_epoch(self._train_sampler, self.state)
        if self.args.sync_ref_model and self.state.global_step >= self.args.ref_model_sync_steps:
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


def find_unscorable(rewards: torch.Tensor, num_generations: int) -> torch.Tensor:
    """
    Find the rows that some reward function could not judge although it judged others of their group.

    `None` for a whole group is no fault: the reward does not apply to this type of prompt. `None` for one of its
    completions is, and TRL's `nansum` would count it as a 0.

    Args:
        rewards (`torch.Tensor`):
            Rewards of shape `(rows, functions)`, NaN where a function returned `None`; groups are neighbours.
        num_generations (`int`):
            Rows of a group.

    Returns:
        `torch.Tensor`: booleans of shape `(rows,)`.
    """
    missing = rewards.isnan().view(-1, num_generations, rewards.size(1))
    partly = missing & ~missing.all(dim=1, keepdim=True)
    return partly.any(dim=2).flatten()
