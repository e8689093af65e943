"""Small GRPO and SFT runs, alike for one process and for several: `torchrun --nproc_per_node 2 worker.py FOLDER`.

Every process writes `FOLDER/<run>_<rank>.pt`. The rollout is fixed and depends on a row's place in the whole batch
only, so that two processes with four rows each see what one process with eight sees.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from killed_run import make_sft
from tiny_run import length_reward, make_grpo, make_tokenizer, policy_on_disk, stable_logs, token_reward

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import EpisodeCallback, train_or_resume


ROWS = 8  # of a step, over all processes
UNJUDGED = 6  # place of the row that the reward cannot judge: on the second process, in a group that spans both
COMMON = {"optim": "sgd", "learning_rate": 0.05, "max_steps": 4}


def fixed_rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Completions made from a row's place in the whole batch and from the step."""
    first = trainer.accelerator.process_index * len(prompts)
    completions = [completion_at(first + index, trainer.state.global_step) for index in range(len(prompts))]
    prompt_ids = trainer.processing_class(prompts)["input_ids"]
    return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": None}


def completion_at(place: int, step: int) -> list[int]:
    """Token ids of the completion of row `place` at optimiser step `step`."""
    return [4 + (7 * place + 3 * position + step) % 30 for position in range(2 + (place + step) % 5)]


class SometimesUnjudged:
    """Share of even tokens, but `None` for one row of each batch."""

    __name__ = "sometimes_unjudged"

    def __init__(self, rank: int, rows: int) -> None:
        self.unjudged = UNJUDGED - rank * rows

    def __call__(self, completion_ids: list[list[int]], **kwargs: Any) -> list[float | None]:
        rewards: list[float | None] = list(token_reward(completion_ids))
        if 0 <= self.unjudged < len(rewards):
            rewards[self.unjudged] = None
        return rewards


def fixed_grpo(folder: Path, rank: int, processes: int, **options: Any) -> Any:
    """GRPO on the fixed rollout; a group spans the processes."""
    rows = ROWS // processes
    judge = SometimesUnjudged(rank, rows)
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(folder / "grpo"),
        per_device_train_batch_size=rows,
        num_generations=ROWS,
        skip_unscorable=True,
        run={
            "reward_funcs": [judge, length_reward],
            "rollout_func": fixed_rollout,
            "callbacks": [EpisodeCallback()],
        },
        **COMMON,
        **options,
    )
    trainer.train()
    return trainer


def sampled_grpo(folder: Path, processes: int, **options: Any) -> Any:
    """GRPO with its own sampling, a rollout for two steps, stopped or resumed inside a rollout."""
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(folder),
        per_device_train_batch_size=ROWS // processes,
        num_generations=4,
        steps_per_generation=2,
        save_strategy="steps",
        save_steps=3,
        lr_scheduler_type="constant",
        run={"callbacks": [EpisodeCallback()]},
        **{**COMMON, **options},
    )
    train_or_resume(trainer)
    return trainer


def fixed_sft(folder: Path, processes: int) -> Any:
    """SFT on the same rows."""
    trainer = make_sft(str(folder / "sft"), **{**COMMON, "per_device_train_batch_size": 4 // processes})
    trainer.train()
    return trainer


def write(folder: Path, name: str, rank: int, trainer: Any) -> None:
    """One process's account of a run."""
    accelerator = trainer.accelerator
    account = {
        "world_size": accelerator.num_processes,
        "distributed_type": accelerator.distributed_type.value,
        "weights": {key: tensor.detach().clone() for key, tensor in trainer.model.state_dict().items()},
        "logs": stable_logs(trainer.state.log_history),
    }
    torch.save(account, folder / f"{name}_{rank}.pt")


def main(folder: Path) -> None:
    """All runs, one after another in the same process group."""
    state = PartialState(cpu=True)
    rank, processes = state.process_index, state.num_processes
    with state.main_process_first():
        policy_on_disk(str(folder / "grpo"), make_tokenizer())
    write(folder, "grpo", rank, fixed_grpo(folder, rank, processes))
    write(folder, "sft", rank, fixed_sft(folder, processes))
    if processes > 1:
        write(folder, "whole", rank, sampled_grpo(folder / "whole", processes, max_steps=6))
        sampled_grpo(folder / "stopped", processes, max_steps=3)
        write(folder, "resumed", rank, sampled_grpo(folder / "stopped", processes, max_steps=6))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
