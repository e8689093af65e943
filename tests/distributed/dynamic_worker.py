"""GRPO with dynamic sampling where one process needs fresh groups and the other has enough.

    torchrun --nproc_per_node 2 dynamic_worker.py FOLDER

Prompts are taken in the dataset's order: of each rollout, the first process gets prompts with signal and the second
gets prompts without. Every process writes `FOLDER/<run>_<rank>.pt`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo, make_tokenizer, policy_on_disk, stable_logs

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import EpisodeCallback, train_or_resume
from trl_r1.trainer.rollout import RolloutCallback


G, GROUPS = 4, 2  # rows of a group, groups of a process
WORDS = [*"abcdefgh01234567"]


def by_kind(kind: list[str], completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    """0, 1, 0, 1 in a live group, 0 in a dead one."""
    return [float(row % 2) if name == "live" else 0.0 for row, name in enumerate(kind)]


class Rounds(RolloutCallback):
    """Prompts, completions and rewards of each round, of this process."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, Any]] = []

    def on_rollout(self, rollout: Any, log_metric: Any) -> None:
        self.rounds.append(
            {"step": rollout.step, "prompts": list(rollout.prompts), "tokens": list(map(len, rollout.completion_ids))}
        )


def run(folder: Path, **options: Any) -> tuple[Any, Rounds]:
    """A few steps; returns the trainer and what it generated."""
    kinds = [*["live"] * GROUPS, *["dead"] * GROUPS] * 12
    texts = [f"user : what is {WORDS[row // 16]} {WORDS[row % 16]} ? assistant :" for row in range(len(kinds))]
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(folder),
        dynamic_sampling=True,
        shuffle_dataset=False,
        curriculum="pass_rate_band",
        pass_rate_band=[0.0, 1.0],
        per_device_train_batch_size=G * GROUPS,
        num_generations=G,
        optim="sgd",
        learning_rate=0.05,
        lr_scheduler_type="constant",
        save_strategy="steps",
        save_steps=2,
        run={"train_dataset": Dataset.from_dict({"prompt": texts, "kind": kinds}), "reward_funcs": [by_kind]},
        **options,
    )
    rounds = Rounds()
    trainer.add_callback(rounds)
    trainer.add_callback(EpisodeCallback())
    return trainer, rounds


def write(folder: Path, name: str, rank: int, trainer: Any, rounds: Rounds) -> None:
    """One process's account."""
    account = {
        "weights": {key: tensor.detach().clone() for key, tensor in trainer.model.state_dict().items()},
        "logs": stable_logs(trainer.state.log_history),
        "rounds": rounds.rounds,
        "totals": {
            name: getattr(trainer._dynamic_sampler.totals, name) for name in trainer._dynamic_sampler.totals.__slots__
        },
        "seen": trainer._curriculum.state_dict()["seen"],
        "items": trainer._buffered_inputs[0]["num_items_in_batch"],
        "kept": trainer._buffered_inputs[0]["completion_mask"].sum(),
        "advantages": trainer._buffered_inputs[0]["advantages"],
    }
    torch.save(account, folder / f"{name}_{rank}.pt")


def main(folder: Path) -> None:
    """A whole run, and one that is stopped and resumed."""
    state = PartialState(cpu=True)
    rank = state.process_index
    with state.main_process_first():
        policy_on_disk(str(folder / "whole"), make_tokenizer())
    trainer, rounds = run(folder / "whole", max_steps=4)
    train_or_resume(trainer)
    write(folder, "whole", rank, trainer, rounds)
    trainer, _ = run(folder / "stopped", max_steps=2)
    train_or_resume(trainer)
    trainer, rounds = run(folder / "stopped", max_steps=4)
    train_or_resume(trainer)
    write(folder, "resumed", rank, trainer, rounds)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
