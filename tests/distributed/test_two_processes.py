"""Two CPU processes against one: same rewards, same losses, same weights, and the same weights after a resume."""

import json
import statistics
from pathlib import Path

import pytest
import torch
from launching import torchrun
from worker import fixed_grpo, fixed_sft


HERE = Path(__file__).parent
ROUNDING = {"rtol": 1e-4, "atol": 1e-6}  # float32 sums in another order


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with the accounts of all runs of `worker.py`, by both processes."""
    folder = tmp_path_factory.mktemp("two_processes")
    torchrun(HERE / "worker.py", folder)
    return folder


def accounts(folder, name):
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", ["grpo", "sft", "whole", "resumed"])
def test_two_processes_ran_and_hold_the_same_weights(folder, name):
    first, second = accounts(folder, name)
    assert (first["world_size"], first["distributed_type"]) == (2, "MULTI_CPU")
    assert (second["world_size"], second["distributed_type"]) == (2, "MULTI_CPU")
    assert all(torch.equal(tensor, second["weights"][key]) for key, tensor in first["weights"].items())


def test_grpo_keeps_the_same_books_as_one_process(folder, tmp_path):
    expected = fixed_grpo(tmp_path, rank=0, processes=1)
    account = accounts(folder, "grpo")[0]
    rows = [row for row in expected.state.log_history if "loss" in row]
    assert len(account["logs"]) == len(rows) == 4
    for found, row in zip(account["logs"], rows, strict=True):
        assert row["unscorable_rows"] == 1.0
        assert found == pytest.approx({key: row[key] for key in found}, rel=1e-4, abs=1e-6)
    weights = expected.model.state_dict()
    for key, tensor in account["weights"].items():
        torch.testing.assert_close(tensor, weights[key], **ROUNDING)
    check_episode(read_episode(folder / "grpo"), read_episode(tmp_path / "grpo"))


def read_episode(run):
    return json.loads((run / "episode.json").read_text(encoding="utf-8"))


def check_episode(part, whole):
    """The main process's part of a group that spans both, with advantages of the whole group."""
    assert (part["step"], part["prompt"]) == (whole["step"], whole["prompt"])
    assert part["totals"] == pytest.approx(whole["totals"][: len(part["totals"])])
    judged = [total for total in whole["totals"] if total is not None]
    assert len(judged) == len(whole["totals"]) - 1
    for name, pick in (("best", max), ("worst", min)):
        shown = part["completions"][name]
        assert shown["total"] == pick(part["totals"])
        scale = statistics.stdev(judged) + 1e-4
        assert shown["advantage"] == pytest.approx((shown["total"] - statistics.mean(judged)) / scale, rel=1e-4)


def test_logged_rewards_are_the_means_over_both_processes(folder):
    from tiny_run import length_reward, token_reward
    from worker import ROWS, UNJUDGED, completion_at

    for step, row in enumerate(accounts(folder, "grpo")[0]["logs"]):
        judged = [completion_at(place, step) for place in range(ROWS) if place != UNJUDGED]
        evenness, length = token_reward(judged), length_reward(judged)
        assert row["rewards/sometimes_unjudged/mean"] == pytest.approx(sum(evenness) / len(judged))
        assert row["rewards/length_reward/mean"] == pytest.approx(sum(length) / len(judged))
        assert row["reward"] == pytest.approx((sum(evenness) + sum(length)) / len(judged))


def test_sft_agrees_with_one_process(folder, tmp_path):
    (tmp_path / "initial_policy").symlink_to(folder / "initial_policy")
    expected = fixed_sft(tmp_path, processes=1)
    account = accounts(folder, "sft")[0]
    rows = [row["loss"] for row in expected.state.log_history if "loss" in row]
    assert [row["loss"] for row in account["logs"]] == pytest.approx(rows, rel=1e-4)
    weights = expected.model.state_dict()
    for key, tensor in account["weights"].items():
        torch.testing.assert_close(tensor, weights[key], **ROUNDING)


def test_a_resume_inside_a_rollout_is_exact(folder):
    whole, resumed = accounts(folder, "whole")[0], accounts(folder, "resumed")[0]
    assert (folder / "stopped" / "checkpoint-3" / "whole.json").is_file()
    assert whole["logs"] == resumed["logs"]
    assert all(torch.equal(tensor, resumed["weights"][key]) for key, tensor in whole["weights"].items())
    assert read_episode(folder / "whole") == read_episode(folder / "stopped")
