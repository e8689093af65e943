"""`push_to_hub` with two processes: one pushes, nobody waits in vain, and a Hub that fails does not fail the run."""

import pytest
from launching import torchrun
from tiny_sft import ONE_STEP, TOKEN, write_chats

from trl_r1.stage_record import hash_file, read_stage_record


@pytest.fixture
def train(tmp_path, checkpoint, hub_server, monkeypatch):
    """Train for a step under torchrun, with a token of this role; returns the output folder and what was printed."""
    values = ONE_STEP | {
        "model_name_or_path": checkpoint,
        "dataset_name": write_chats(tmp_path / "chats"),
        "output_dir": tmp_path / "student",
        "expected_processes": 2,
    }

    def train(role="write"):
        hub_server.add_user("me", token=TOKEN, role=role)
        for name, value in hub_server.environment(tmp_path / "cache").items():
            monkeypatch.setenv(name, value)
        options = [part for name, value in values.items() for part in (f"--{name}", value)]
        return tmp_path / "student", torchrun("-m", "trl_r1.scripts.sft", *options)

    return train


def test_the_main_process_pushes(train, hub_server):
    folder, said = train()
    assert hub_server.files("me/student")["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert len([request for request in hub_server.requests if "/commit/" in request.path]) == 1
    assert said.count("all read back") == 1
    assert read_stage_record(folder).hardware["world_size"] == 2


def test_a_hub_that_fails_at_the_end_holds_nobody_up(train, hub_server):
    hub_server.fault("POST", "/commit/", status=403, times=None)
    folder, said = train()  # fails when a process fails, or does not end
    assert said.count(f"trl-r1 publish {folder} --repo_id me/student") == 1
    record = read_stage_record(folder)
    for artefact in record.artefacts:
        assert hash_file(folder / artefact.path) == artefact.sha256
    assert (folder / "README.md").is_file()


def test_a_refusal_ends_both_before_training(train, hub_server):
    with pytest.raises(AssertionError, match=r"push_to_hub: token: its role is 'read'") as caught:
        train(role="read")
    assert "no end after" not in str(caught.value)
    assert str(caught.value).count("error: push_to_hub") == 1
    assert not hub_server.repositories
