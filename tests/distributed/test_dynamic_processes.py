"""Dynamic sampling in two processes with unequal needs: same rounds, own prompts, one count of everything."""

import json
from pathlib import Path

import pytest
import torch
from dynamic_worker import GROUPS, G
from launching import torchrun


HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamic_processes")
    torchrun(HERE / "dynamic_worker.py", folder)
    return folder


def accounts(folder, name):
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_both_processes_make_the_same_rounds_with_prompts_of_their_own(folder):
    first, second = accounts(folder, "whole")
    assert [(one["step"], len(one["prompts"])) for one in first["rounds"]] == [
        (one["step"], len(one["prompts"])) for one in second["rounds"]
    ]
    assert len(first["rounds"]) > 4  # of four steps
    for step in range(4):
        groups = [
            one["prompts"][start]
            for account in (first, second)
            for one in account["rounds"]
            if one["step"] == step
            for start in range(0, len(one["prompts"]), G)
        ]
        assert len(set(groups)) == len(groups)


def test_every_group_of_the_needy_process_has_signal(folder):
    for account in accounts(folder, "whole"):
        assert account["logs"][-1]["dynamic_sampling/groups_without_signal"] == 0
        assert (account["advantages"] != 0).sum() == G * GROUPS


def test_the_episode_is_a_group_that_was_trained_on(folder):
    episode = json.loads((folder / "whole" / "episode.json").read_text(encoding="utf-8"))
    rounds = [one["prompts"] for one in accounts(folder, "whole")[0]["rounds"] if one["step"] == episode["step"]]
    assert len(rounds) > 1  # later ones are for the other process, this one throws its groups of them away
    assert episode["prompt"] == rounds[0][0]
    assert episode == json.loads((folder / "stopped" / "episode.json").read_text(encoding="utf-8"))


def test_counts_are_those_of_both_processes(folder):
    first, second = accounts(folder, "whole")
    assert first["totals"] == second["totals"]
    assert first["logs"] == second["logs"]
    assert first["seen"] == second["seen"]
    tokens = [tokens for account in (first, second) for one in account["rounds"] for tokens in one["tokens"]]
    totals = first["totals"]
    assert totals["generated_tokens"] == sum(tokens)
    assert totals["generated_completions"] == len(tokens)
    assert totals["trained_completions"] == 4 * 2 * GROUPS * G
    assert first["items"] == second["items"] == first["kept"] + second["kept"]
    prompts = {prompt for account in (first, second) for one in account["rounds"] for prompt in one["prompts"]}
    assert len(first["seen"]["rates"]) == len(prompts)


def test_weights_are_the_same_and_a_resume_is_exact(folder):
    first, second = accounts(folder, "whole")
    for resumed in accounts(folder, "resumed"):
        assert resumed["totals"] == first["totals"]
        assert resumed["logs"] == first["logs"]
        for key, tensor in first["weights"].items():
            assert torch.equal(tensor, second["weights"][key])
            assert torch.equal(tensor, resumed["weights"][key])
