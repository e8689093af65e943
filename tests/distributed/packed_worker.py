"""TRL's run and one with the packed row, in two processes: `torchrun --nproc_per_node 2 packed_worker.py FOLDER`.

Every process writes `FOLDER/<run>_<rank>.pt`: the weights it ends with. In the second step every completion of the
second process is too long and masked, so that process has nothing to compute, and must not keep the other waiting.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo, make_tokenizer, policy_on_disk

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.fast.packed_forward import PackedForward


ONLY_PACKED = {"fast": True, "fast_micro_batches": False, "fast_skip_zero_advantage": False, "fast_generation": False}


def fixed_rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Completions made from a row's place in the whole batch and from the step."""
    rank, step = trainer.accelerator.process_index, trainer.state.global_step
    end = [] if (rank, step) == (1, 1) else [trainer.processing_class.eos_token_id]
    places = [rank * len(prompts) + index for index in range(len(prompts))]
    completions = [[4 + (7 * place + 3 * at + step) % 30 for at in range(1 + place % 4)] + end for place in places]
    return {
        "prompt_ids": trainer.processing_class(prompts)["input_ids"],
        "completion_ids": completions,
        "logprobs": None,
    }


def run(folder: Path, name: str, **options: Any) -> Any:
    """Four optimiser steps."""
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(folder / name),
        optim="sgd",
        learning_rate=0.05,
        max_steps=4,
        mask_truncated_completions=True,
        beta=0.04,
        run={"rollout_func": fixed_rollout},
        **options,
    )
    trainer.train()
    return trainer


def main(folder: Path) -> None:
    """Both runs, one after the other."""
    state = PartialState(cpu=True)
    with state.main_process_first():
        policy_on_disk(str(folder / "stock"), make_tokenizer())
    for name, options in (("stock", {}), ("packed", ONLY_PACKED)):
        trainer = run(folder, name, **options)
        assert isinstance(getattr(trainer._fast, "_forward", None), PackedForward) == (name == "packed")
        weights = {key: tensor.detach().clone() for key, tensor in trainer.model.state_dict().items()}
        torch.save({"weights": weights, "processes": state.num_processes}, folder / f"{name}_{state.process_index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
