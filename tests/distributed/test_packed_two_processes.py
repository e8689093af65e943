"""The packed row in two processes ends with TRL's weights, also when one process has nothing to compute."""

from pathlib import Path

import torch
from launching import torchrun


HERE = Path(__file__).parent


def test_two_processes_end_where_trl_ends(tmp_path):
    torchrun(HERE / "packed_worker.py", tmp_path)
    accounts = {
        name: [torch.load(tmp_path / f"{name}_{rank}.pt", weights_only=True) for rank in (0, 1)]
        for name in ("stock", "packed")
    }
    for first, second in accounts.values():
        assert first["processes"] == second["processes"] == 2
        assert all(torch.equal(tensor, second["weights"][key]) for key, tensor in first["weights"].items())
    for key, tensor in accounts["stock"][0]["weights"].items():
        torch.testing.assert_close(accounts["packed"][0]["weights"][key], tensor, rtol=1e-4, atol=1e-6)


def test_sharded_weights_get_the_gradient_of_trl(tmp_path):
    torchrun(HERE / "packed_sharded_worker.py", tmp_path)
    for rank in (0, 1):
        account = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert account["refusals"] == (None, None)
        assert account["norm"] > 0
        assert all(found <= 2e-6 for found in account["distances"].values()), account
