"""An adapter on a base of the Hub, by recipe: trained, merged, carried on, published, and loaded elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from trl_r1.hub import Lineage
from trl_r1.stage_record import hash_weights, read_stage_record


TOKEN = "hf_" + "aB3dE" * 6
CHAT = [{"role": "user", "content": "what is 3 plus 4 ?"}, {"role": "assistant", "content": "<think> 7 </think> 7"}]
QUESTIONS = [{"problem": f"what is {a} plus 4 ?", "solution": str(a + 4)} for a in range(4)]
SHARED = {
    "use_peft": True,
    "lora_r": 4,
    "lora_target_modules": ["q_proj", "down_proj"],
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "max_steps": 1,
    "learning_rate": 0.1,
    "per_device_train_batch_size": 2,
    "push_to_hub": True,
}
LOAD = """
import sys
sys.modules["trl_r1"] = None  # not installed there
import torch
from huggingface_hub import snapshot_download
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

ids = torch.tensor([[5, 6, 7]])

for repository in sys.argv[1:]:
    adapter = AutoPeftModelForCausalLM.from_pretrained(repository)(input_ids=ids).logits
    merged = AutoModelForCausalLM.from_pretrained(snapshot_download(repository) + "/merged")(input_ids=ids).logits
    assert torch.allclose(adapter, merged, rtol=1e-4, atol=1e-5)
    assert len(AutoTokenizer.from_pretrained(repository)) > 7
print("loaded")
"""


@pytest.fixture
def world(tmp_path, checkpoint, hub_server):
    """A base on the Hub, data in folders; `run(verb, name, **values)` trains in a process of its own."""
    hub_server.add_user("me", token=TOKEN, role="write")
    card = b"---\nlicense: mit\nlanguage: en\n---\n# Base\n"
    files = {path.name: path.read_bytes() for path in Path(checkpoint).iterdir()}
    hub_server.seed("lab/base", files | {"README.md": card})
    for name, rows in ("chats", [{"messages": CHAT}] * 4), ("questions", QUESTIONS):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = os.environ | hub_server.environment(tmp_path / "cache")

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=600, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(verb, name, **values):
        recipe = tmp_path / f"{name}.yaml"
        recipe.write_text(yaml.safe_dump(SHARED | {"output_dir": name, "hub_model_id": f"me/{name}"} | values))
        python("-m", f"trl_r1.scripts.{verb}", "--config", str(recipe))
        return tmp_path / name

    run.python = python
    return run


@pytest.mark.slow
def test_from_a_base_of_the_hub_to_two_repositories(world, checkpoint, tmp_path, monkeypatch):
    first = world("sft", "first", model_name_or_path="lab/base", dataset_name="chats")
    second = world(
        "grpo",
        "second",
        model_name_or_path="first",
        dataset_name="questions",
        reward_funcs=["accuracy_reward"],
        num_generations=2,
        max_completion_length=8,
    )
    [base] = read_stage_record(first).parents
    assert (base.name_or_path, base.license, base.languages) == ("lab/base", "mit", ["en"])
    assert base.weights_sha256 == hash_weights(checkpoint)
    assert json.loads((first / "adapter_config.json").read_text())["revision"] in (base.revision, "main")
    [parent] = read_stage_record(second).parents
    assert (parent.name_or_path, parent.stage, parent.weights_sha256) == ("first", "first", hash_weights(first))
    monkeypatch.chdir(tmp_path)
    lineage = Lineage.from_folder(second)
    assert [node.name for node in lineage.nodes.values()] == ["lab/base", "first", "second"]
    assert lineage.license() == "mit"
    header = ModelCard.load(second / "README.md").data
    assert (header.base_model, header.base_model_relation, header.library_name) == (["me/first"], "adapter", "peft")
    assert "loaded" in world.python("-W", "ignore", "-c", LOAD, "me/first", "me/second")
