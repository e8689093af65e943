"""Stages that train an adapter: what they leave behind, and what the next stage starts from."""

import json
import shutil

import pytest
import yaml

from trl_r1.cli import main
from trl_r1.generation import SamplingParameters, TransformersEngine
from trl_r1.hub import Lineage
from trl_r1.hub.checkpoints.merge_record import read_merge_record
from trl_r1.stage_record import hash_weights, read_stage_record


LORA = {
    "use_peft": True,
    "lora_r": 4,
    "lora_target_modules": ["q_proj", "down_proj"],
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "save_strategy": "no",
    "max_steps": 2,
    "learning_rate": 0.1,
}
CHAT = [{"role": "user", "content": "what is 3 plus 4 ?"}, {"role": "assistant", "content": "<think> 7 </think> 7"}]


@pytest.fixture
def launch(tmp_path, checkpoint):
    """Run `sft` on one conversation; returns exit code and output folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text((json.dumps({"messages": CHAT}) + "\n") * 8)

    def run(name, **values):
        recipe, output = tmp_path / f"{name}.yaml", tmp_path / name
        given = {"model_name_or_path": checkpoint, "dataset_name": str(tmp_path / "data"), "output_dir": str(output)}
        recipe.write_text(yaml.safe_dump({**given, **LORA, **values}))
        return main(["sft", "--config", str(recipe)]), output

    return run


def test_the_next_stage_starts_from_the_merged_model(launch):
    code, first = launch("first")
    assert code == 0
    assert read_merge_record(first / "merged").change > 1e-3
    prompts, params = ["user : what is 3 plus 4 ?"], SamplingParameters(max_new_tokens=8)
    adapter, merged = (TransformersEngine.from_pretrained(str(path)) for path in (first, first / "merged"))
    assert adapter.generate(prompts, params) == merged.generate(prompts, params)
    code, second = launch("second", model_name_or_path=str(first), use_peft=False)
    assert code == 0
    [parent] = read_stage_record(second).parents
    assert (parent.name_or_path, parent.weights_sha256) == (str(first), hash_weights(first))
    assert [node.name for node in Lineage.from_folder(second).ancestors()][-1] == "first"


def test_an_adapter_that_was_not_merged_is_refused_before_training(launch, capsys):
    code, first = launch("first", merge_adapter=False)
    assert (code, (first / "merged").exists()) == (0, False)
    code, second = launch("second", model_name_or_path=str(first))
    assert code == 2
    assert "was not merged; merge it: python -c" in capsys.readouterr().err
    assert not (second / "stage.json").exists()


def test_a_tokenizer_without_an_end_is_refused_before_training(launch, checkpoint, tmp_path, capsys):
    folder = shutil.copytree(checkpoint, tmp_path / "base")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": None}))
    code, _ = launch("first", model_name_or_path=str(folder))
    assert code == 2
    assert "has no end token" in capsys.readouterr().err
