"""Stock and fast GRPO on the same fixed rollouts: `torchrun --nproc_per_node 2 fast_worker.py FOLDER`.

Every process writes `FOLDER/fast_<rank>.pt`: for each setting and trainer, the gradient of each step and log rows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo, make_tokenizer, policy_on_disk, stable_logs

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.fast import step as fast_step
from trl_r1.trainer.fast.micro_batches import Regrouping


ROWS = 8  # of a rollout, on each process; a group has four
# On the first process one group has signal, on the second both, then none
RIGHT = {
    0: [[1, 0, 0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 1, 0, 0]],
    1: [[0, 1, 1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 0, 0, 0, 0]],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "dapo": {"loss_type": "dapo"},
    "grpo, sequence": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "vespo": {"loss_type": "vespo"},
    "reference": {"loss_type": "grpo", "beta": 0.1},
    "rows stay": {"loss_type": "dapo", "fast_micro_batches": False},
    "padded": {"loss_type": "dapo", "fast_packed_forward": False},
    "none empty": {"loss_type": "grpo"},
}
COMMON = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "num_iterations": 2,  # the second step is off-policy
    "num_generations": 4,
    "max_completion_length": 12,
    "max_grad_norm": 0.0,
    "max_steps": 4,
    "optim": "sgd",
    "learning_rate": 0.2,
    "lr_scheduler_type": "constant",
    "epsilon": 0.02,
    "shuffle_dataset": False,
}


def completion(place: int, step: int) -> list[int]:
    """Token ids of row `place` of all processes together at optimiser step `step`: 1 to 12 of them."""
    return [4 + (7 * place + 3 * position + step) % 30 for position in range(1 + (5 * place + step) % 12)]


def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Fixed completions."""
    first, step = trainer.accelerator.process_index * len(prompts), trainer.state.global_step
    completions = [completion(first + row, step) for row in range(len(prompts))]
    return {
        "prompt_ids": trainer.processing_class(prompts)["input_ids"],
        "completion_ids": completions,
        "logprobs": None,
    }


class Right:
    """The rewards of this process's rows, one list a rollout."""

    __name__ = "right"

    def __init__(self, rank: int) -> None:
        self.rank, self.rollouts = rank, 0

    def __call__(self, completions: list[str], **kwargs: Any) -> list[float]:
        found = [float(value) for value in RIGHT[self.rank][self.rollouts % 2]]
        self.rollouts += 1
        return found


class Watch(TrainerCallback):
    """Keeps the gradient of each optimiser step."""

    def __init__(self) -> None:
        self.gradients: list[torch.Tensor] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        self.gradients.append(torch.cat([weight.grad.flatten().clone() for weight in model.parameters()]))


def none_empty(**how: Any) -> Regrouping:
    """What is done where weights are sharded and each process makes as many passes."""
    return Regrouping(**{**how, "may_be_empty": False})


def train(trainer_class: type, config_class: type, folder: Path, rank: int, **options: Any) -> dict[str, Any]:
    """One run's account."""
    watch = Watch()
    run = {"reward_funcs": [Right(rank)], "rollout_func": rollout, "callbacks": [watch]}
    trainer = make_grpo(trainer_class, config_class, str(folder / "out"), run=run, **{**COMMON, **options})
    trainer.train()
    fast = getattr(trainer, "_fast", None)
    return {
        "gradients": watch.gradients,
        "logs": stable_logs(trainer.state.log_history),
        "refusals": sorted(fast.refusals) if fast else [],
    }


def main(folder: Path) -> None:
    """All settings, stock and fast."""
    state = PartialState(cpu=True)
    with state.main_process_first():
        policy_on_disk(str(folder / "out"), make_tokenizer())
    accounts = {}
    for name, options in SETTINGS.items():
        fast_step.Regrouping = none_empty if name == "none empty" else Regrouping  # type: ignore[misc,assignment]
        plain = {key: value for key, value in options.items() if not key.startswith("fast_")}
        accounts[name] = {
            "stock": train(GRPOTrainer, GRPOConfig, folder, state.process_index, **plain),
            "fast": train(R1GRPOTrainer, R1GRPOConfig, folder, state.process_index, fast=True, **options),
        }
        whole = {"per_device_train_batch_size": ROWS, "gradient_accumulation_steps": 1}
        accounts[name]["whole"] = train(GRPOTrainer, GRPOConfig, folder, state.process_index, **{**plain, **whole})
    torch.save(accounts, folder / f"fast_{state.process_index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
