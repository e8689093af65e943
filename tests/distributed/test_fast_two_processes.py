"""`fast: true` on two CPU processes, with unequal numbers of rows without signal: stock's gradients and metrics."""

from pathlib import Path

import pytest
import torch
from fast_worker import SETTINGS
from launching import torchrun


TOLERANCES = (2e-6, 2e-5, 2e-5, 2e-5)  # the weights differ by rounding after the first step


@pytest.fixture(scope="module")
def accounts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fast_two_processes")
    torchrun(Path(__file__).with_name("fast_worker.py"), folder)
    return [torch.load(folder / f"fast_{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_and_losses_are_stocks(accounts, name):
    for account in accounts:
        stock, fast = account[name]["stock"], account[name]["fast"]
        assert len(fast["gradients"]) == len(stock["gradients"]) == 4
        for expected, found, tolerance in zip(stock["gradients"], fast["gradients"], TOLERANCES, strict=True):
            assert expected.norm() > 1e-3
            assert (found - expected).norm() <= tolerance * expected.norm()
        losses = [[row["loss"] for row in run["logs"]] for run in (stock, fast)]
        assert losses[1] == pytest.approx(losses[0], rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_both_processes_hold_the_same_gradient(accounts, name):
    first, second = (account[name]["fast"]["gradients"] for account in accounts)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("name", SETTINGS)
def test_metrics_are_those_of_all_rows_in_one_micro_batch(accounts, name):
    skipped = "beta" not in SETTINGS[name]
    renamed = {"entropy", "vespo/phi_seq_mean"} if skipped else set()
    expected_rows, found_rows = (accounts[0][name][run]["logs"] for run in ("whole", "fast"))
    for expected, found in zip(expected_rows, found_rows, strict=True):
        assert found.keys() == {key + "_of_rows_with_signal" * (key in renamed) for key in expected}
        for key in expected.keys() - renamed:
            assert found[key] == pytest.approx(expected[key], rel=1e-4, abs=2e-6), key


def test_the_parts_ran(accounts):
    for name, options in SETTINGS.items():
        refused = {"fast_generation"} | ({"fast_skip_zero_advantage"} if "beta" in options else set())
        assert [set(account[name]["fast"]["refusals"]) for account in accounts] == [refused] * 2
