"""TRL's pass and ours through FSDP2 in two processes: `torchrun --nproc_per_node 2 packed_sharded_worker.py FOLDER`.

The second process has no completion at all, so its pass computes nothing; yet it must gather and reduce as often as
the first. Every process writes `FOLDER/<rank>.pt`: the relative l2 distance of the gradients from TRL's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from forward_cases import SHAPES, distance, make_family, make_rows, make_trainer, stock

from trl_r1.trainer.fast.packed_forward import PackedForward
from trl_r1.trainer.fast.padded_forward import PaddedForward


def gradient(forward: Any, model: Any, rows: tuple[Any, Any, int]) -> torch.Tensor:
    """The whole gradient of a weighted sum of log-probabilities."""
    model.zero_grad()
    logps, _ = forward(model, *rows, False)
    weights = torch.linspace(-1, 1, logps.numel()).view_as(logps) * rows[1][:, -rows[2] :]
    (logps * weights).sum().backward()
    return torch.cat([parameter.grad.full_tensor().flatten() for parameter in model.parameters()])


def main(folder: Path) -> None:
    """One pass each."""
    rank = PartialState(cpu=True).process_index
    trainer = make_trainer(folder / str(rank), make_family("qwen2"))
    refusals = PackedForward.why_not(trainer), PaddedForward.why_not(trainer)
    passes = {"packed": PackedForward(trainer), "padded": PaddedForward(trainer)}
    mesh = init_device_mesh("cpu", (2,))
    for layer in trainer.model.model.layers:
        fully_shard(layer, mesh=mesh)
    model = fully_shard(trainer.model, mesh=mesh)
    rows = make_rows(SHAPES["groups"] if rank == 0 else [(5, 0, 0), (3, 0, 1)])
    expected = gradient(stock(trainer), model, rows)
    distances = {name: distance(gradient(forward, model, rows), expected) for name, forward in passes.items()}
    torch.save({"refusals": refusals, "norm": float(expected.norm()), "distances": distances}, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
