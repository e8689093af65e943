"""Checkpoints of other settings are not gone on from unseen: the record would name settings nobody trained with."""

import json
import os

import pytest
import yaml
from transformers import AutoModelForCausalLM

from trl_r1.chat_template import load_template
from trl_r1.cli import main
from trl_r1.stage_record import read_stage_record


ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"what is {number} plus 1 ?"},
            {"role": "assistant", "content": f"<think> so {number + 1} </think> the answer is {number + 1}"},
        ]
    }
    for number in range(8)
]


@pytest.fixture
def train(tmp_path, checkpoint, capsys):
    """Run the same stage with some values changed; returns exit code, folder and what was said."""
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    folder = tmp_path / "stage"

    def run(**values):
        recipe = {
            "model_name_or_path": checkpoint,
            "dataset_name": str(tmp_path / "rows"),
            "output_dir": str(folder),
            "chat_template": "r1",
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-4,
            "max_steps": 2,
            "save_steps": 1,
            "logging_steps": 1,
            "use_cpu": True,
            "bf16": False,
            "activation_checkpointing": False,
            "report_to": "none",
        }
        file = tmp_path / "recipe.yaml"
        file.write_text(yaml.safe_dump(recipe | values))
        code = main(["sft", "--config", str(file)])
        return code, folder, " ".join(capsys.readouterr().err.split())

    return run


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_changed_settings_are_refused_before_the_model_is_loaded(train, monkeypatch):
    _, folder, _ = train()
    before = weights(folder)

    def none_is_loaded(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", none_is_loaded)
    code, _, said = train(learning_rate=0.05, weight_decay=0.1)
    assert code == 2
    assert "learning_rate: 0.05, and the checkpoints were made with 0.0001" in said
    assert "weight_decay: 0.1, and the checkpoints were made with its default" in said
    assert "to train anew" in said
    assert weights(folder) == before
    assert read_stage_record(folder).config["learning_rate"] == 1e-4


def test_what_decides_no_step_may_change(train):
    train()
    code, folder, said = train(max_steps=3, logging_steps=2, save_total_limit=2, hub_model_id="me/x")
    assert code == 0, said
    record = read_stage_record(folder)
    assert record.config["max_steps"] == 3
    assert not any("another setting" in note for note in record.notes)


def test_a_named_checkpoint_is_gone_on_from_and_the_record_says_so(train):
    _, folder, _ = train()
    code, _, said = train(learning_rate=0.05, max_steps=3, resume_from_checkpoint=str(folder / "checkpoint-1"))
    assert code == 0, said
    (note,) = [note for note in read_stage_record(folder).notes if "another setting" in note]
    assert "learning_rate: 0.05, and the checkpoints were made with 0.0001" in note
    assert note in (folder / "README.md").read_text().replace("\\_", "_")


def test_a_file_that_was_edited_is_refused_as_a_setting_is(train, tmp_path):
    template = tmp_path / "mine.jinja"
    template.write_text(load_template("r1"))
    _, folder, _ = train(chat_template=str(template))
    template.write_text(load_template("r1") + "{# edited #}")
    code, _, said = train(chat_template=str(template), max_steps=3)
    assert code == 2
    assert "mine.jinja: its content is not what the checkpoints were made with" in said
    named = str(folder / "checkpoint-1")
    code, _, said = train(chat_template=str(template), max_steps=3, resume_from_checkpoint=named)
    assert code == 0, said
    (note,) = [note for note in read_stage_record(folder).notes if "another setting" in note]
    assert "mine.jinja" in note


def test_checkpoints_of_a_version_that_compared_no_files_are_gone_on_from(train, tmp_path):
    template = tmp_path / "mine.jinja"
    template.write_text(load_template("r1"))
    _, folder, _ = train(chat_template=str(template))
    settings = json.loads((folder / ".settings.json").read_text())
    del settings["files"]
    (folder / ".settings.json").write_text(json.dumps(settings))
    code, _, said = train(chat_template=str(template), max_steps=3)
    assert code == 0, said


def test_an_empty_folder_forgets(train):
    _, folder, _ = train()
    for step in (1, 2):
        os.rename(folder / f"checkpoint-{step}", folder.parent / f"gone-{step}")
    code, _, said = train(learning_rate=0.05)
    assert code == 0, said
    assert read_stage_record(folder).config["learning_rate"] == 0.05


def test_checkpoints_of_a_version_that_wrote_no_settings_are_gone_on_from(train):
    _, folder, _ = train()
    (folder / ".settings.json").unlink()
    code, _, said = train(learning_rate=0.05, max_steps=3)
    assert code == 0, said


def test_a_step_may_be_split_otherwise_and_a_folder_moved(train):
    _, folder, _ = train()
    moved = folder.with_name("moved")
    folder.rename(moved)
    split = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    code, _, said = train(output_dir=str(moved), max_steps=3, **split)
    assert code == 0, said
    assert read_stage_record(moved).config["max_steps"] == 3


def test_a_step_of_another_size_is_refused(train):
    train()
    code, _, said = train(gradient_accumulation_steps=2)
    assert code == 2
    assert "rows_per_step: 8, and the checkpoints were made with 4" in said


def test_a_checkpoint_named_in_another_folder_has_settings_too(train):
    _, folder, _ = train()
    other = folder.with_name("other")
    values = {"output_dir": str(other), "learning_rate": 0.05, "max_steps": 3}
    code, _, said = train(resume_from_checkpoint=str(folder / "checkpoint-1"), **values)
    assert code == 0, said
    (note,) = [note for note in read_stage_record(other).notes if "another setting" in note]
    assert "learning_rate: 0.05, and the checkpoints were made with 0.0001" in note
    code, _, said = train(**values | {"learning_rate": 0.06})
    assert code == 2
    assert "learning_rate: 0.06, and the checkpoints were made with 0.05" in said


def test_the_runner_decides_for_its_own_stages_and_leaves_their_settings(train, monkeypatch):
    with monkeypatch.context() as runner:
        runner.setenv("TRL_R1_STAGE_FINGERPRINT", "f" * 64)
        train()
        code, _, said = train(max_steps=3)
        assert code == 0, said
    code, _, said = train(learning_rate=0.05, max_steps=4)
    assert code == 2
    assert "learning_rate: 0.05" in said
