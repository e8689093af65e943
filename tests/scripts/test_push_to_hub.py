"""`push_to_hub` in recipes, against the loopback Hub, in processes of their own: before, after, again, and in vain."""

import os
import subprocess
import sys

import pytest
import yaml
from tiny_sft import ONE_STEP, TOKEN, write_chats

from trl_r1.stage_record import read_stage_record


@pytest.fixture
def start(tmp_path, checkpoint, hub_server):
    """Run `sft` on a recipe of these values; returns exit code, output folder, and what it printed."""
    hub_server.add_user("me", token=TOKEN, role="write")
    inputs = {"model_name_or_path": checkpoint, "dataset_name": write_chats(tmp_path / "chats")}

    def start(*arguments, token=TOKEN, **values):
        output = tmp_path / "student"
        (tmp_path / "sft.yaml").write_text(yaml.safe_dump(ONE_STEP | inputs | {"output_dir": str(output)} | values))
        environment = os.environ | hub_server.environment(tmp_path / "cache", token)
        if not token:
            del environment["HF_TOKEN"]
        command = [sys.executable, "-m", "trl_r1.scripts.sft", "--config", str(tmp_path / "sft.yaml"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        return done.returncode, output, done.stdout + done.stderr

    return start


def test_it_arrives_private_and_a_second_start_sends_nothing(start, hub_server):
    code, folder, said = start(token=None, hub_token=TOKEN, hub_tag="v1", hub_revision="long", hub_license="mit")
    assert code == 0, said
    assert TOKEN not in said
    assert "hf auth login" in said  # what is better than a token in a recipe
    files = hub_server.files("me/student", revision="long")
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert hub_server.repository("me/student").private
    assert "refs/tags/v1" in hub_server.refs("me/student")
    assert b"license: mit" in files["README.md"]
    assert not [path for path in files if path.startswith("checkpoint-") or path == "training_args.bin"]
    for path in [item for item in folder.rglob("*") if item.is_file()]:
        assert TOKEN.encode() not in path.read_bytes(), path
    written = read_stage_record(folder)
    commits = len(hub_server.commits("me/student", revision="long"))
    code, _, said = start(hub_tag="v1", hub_revision="long", hub_license="mit")
    assert code == 0, said
    assert "is published, and not made again" in said
    assert read_stage_record(folder) == written
    assert len(hub_server.commits("me/student", revision="long")) == commits


def test_a_hub_that_fails_at_the_end_fails_nothing(start, hub_server):
    hub_server.fault("POST", "/commit/", status=403, times=None)
    code, folder, said = start()
    assert code == 0, said
    assert (folder / "README.md").is_file()
    assert read_stage_record(folder).kind == "sft"
    assert f"trl-r1 publish {folder} --repo_id me/student" in said
    assert TOKEN not in said


def test_a_token_that_may_not_write_is_refused_before_training(start, hub_server):
    hub_server.add_user("reader", token="hf_" + "readonly" * 4, role="read")
    code, folder, said = start(token="hf_" + "readonly" * 4)
    assert code == 2, said
    assert "push_to_hub: token: its role is 'read'" in said
    assert not folder.exists()
    assert not hub_server.repositories
