"""What is looked at before a stage trains, so that it does not fail at its end, and what it says when it does."""

import copy
import importlib.metadata
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from fake_run import FakeRun

from trl_r1.errors import CheckpointError, RecordError, RewardError
from trl_r1.hub.lineage import Lineage
from trl_r1.scripts.common import StageRecorder
from trl_r1.scripts.training import (
    check_ancestry,
    check_will_save,
    finish_files,
    save_whole,
    template_hashes,
    train_and_record,
)
from trl_r1.stage_record import (
    RECORDED_PACKAGES,
    DataSource,
    collect_versions,
    describe_parent,
    hash_file,
    hash_weights,
)


def test_the_model_a_stage_started_from_is_recorded_before_it_trains(tmp_path):
    """A week later its folder may hold another model, or be gone."""
    base = FakeRun(tmp_path).stage("base", "script", weights=b"base")
    loaded = hash_weights(base)

    def train(resume_from_checkpoint):
        (base / "model.safetensors").write_bytes(b"another")
        raise RewardError("the end")

    trainer = SimpleNamespace(
        train=train,
        args=SimpleNamespace(resume_from_checkpoint="checkpoint-1"),
        is_deepspeed_enabled=False,
        is_world_process_zero=lambda: True,
    )
    recipe = SimpleNamespace(training_args=trainer.args, model_args=SimpleNamespace(model_name_or_path=str(base)))
    recorder = SimpleNamespace(parents=[])
    with pytest.raises(RewardError, match="the end"):
        train_and_record(trainer, recipe, recorder)
    assert [(parent.role, parent.stage, parent.weights_sha256) for parent in recorder.parents] == [
        ("base", "base", loaded)
    ]


@pytest.mark.parametrize(
    ("zero", "refused"),
    [
        ({"stage": 3}, True),
        ({"stage": 3, "stage3_gather_16bit_weights_on_model_save": False}, True),
        ({"stage": 3, "stage3_gather_16bit_weights_on_model_save": True}, False),
        ({"stage": 2}, False),
        ({}, False),
    ],
)
def test_sharded_weights_that_nobody_gathers_are_refused_before_training(zero, refused):
    plugin = SimpleNamespace(deepspeed_config={"zero_optimization": zero})
    accelerator = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))
    trainer = SimpleNamespace(is_deepspeed_enabled=True, accelerator=accelerator)
    if refused:
        with pytest.raises(CheckpointError, match="zero3_save_16bit_model"):
            check_will_save(trainer)
    else:
        check_will_save(trainer)


@pytest.mark.parametrize("sharded", [True, False])
def test_shards_are_gathered_to_be_saved(sharded):
    done = []
    plugin = SimpleNamespace(set_state_dict_type=done.append)
    trainer = SimpleNamespace(
        is_fsdp_enabled=sharded,
        accelerator=SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin)),
        args=SimpleNamespace(output_dir="out"),
        save_model=done.append,
    )
    save_whole(trainer)
    assert done == ["FULL_STATE_DICT", "out"][not sharded :]


def test_a_checkpoint_that_is_not_whole_says_how_to_go_on(tmp_path):
    recipe = SimpleNamespace(
        verb="sft",
        training_args=SimpleNamespace(output_dir=str(tmp_path)),
        script_args=SimpleNamespace(prompt_template=None),
        model_args=SimpleNamespace(model_name_or_path=str(tmp_path)),
    )
    with pytest.raises(CheckpointError, match=r"there are none(?s:.*)stays there.*the same command goes on"):
        finish_files(recipe)


def test_a_clock_that_is_set_back_costs_no_card(tmp_path, caplog):
    """Between two stages, or while one runs: their records still agree."""
    run = FakeRun(tmp_path)
    base = run.stage("base", "script", weights=b"base")
    ahead = datetime.now(UTC) + timedelta(hours=2)
    run.edit("base", started=ahead.isoformat(), finished=(ahead + timedelta(minutes=1)).isoformat())
    model_args = SimpleNamespace(model_name_or_path=str(base))
    recorder = StageRecorder(
        kind="sft", output_dir=str(tmp_path / "sft"), config={}, command=["trl-r1", "sft"], stage="sft"
    )
    recorder.parents, recorder.seeds = [describe_parent(str(base), "base")], {"seed": 1}
    check_ancestry(SimpleNamespace(model_args=model_args), recorder)
    assert "yet to come" in caplog.text
    recorder._wall -= 5 * 3600  # took longer than the clock says
    record = recorder.write()
    assert datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started) >= timedelta(hours=5)
    assert [node.name for node in Lineage.from_folder(tmp_path / "sft").nodes.values()] == ["base", "sft"]


def test_records_that_a_stage_leads_to_are_checked_before_it_trains(tmp_path):
    run = FakeRun(tmp_path)
    data = run.stage("data", "script")
    recorder = StageRecorder(kind="sft", output_dir=str(tmp_path / "sft"), config={}, command=[], stage="sft")
    recorder.data = [SimpleNamespace(source=f"org/questions + {data}")]
    recipe = SimpleNamespace(model_args=SimpleNamespace(model_name_or_path="org/model"))
    check_ancestry(recipe, recorder)
    (data / "train.jsonl").write_text("{}\n{}\n")
    with pytest.raises(RecordError, match=r"train.jsonl: 3 bytes, but the file has 6"):
        check_ancestry(recipe, recorder)


def test_a_result_does_not_overwrite_the_model_it_is_made_of(tmp_path):
    base = FakeRun(tmp_path).stage("base", "script", weights=b"base")
    recipe = SimpleNamespace(model_args=SimpleNamespace(model_name_or_path=str(base)))
    options = {"output_dir": f"{base}/", "config": {}, "command": [], "stage": "base"}
    with pytest.raises(CheckpointError, match=r"output_dir: .*choose a folder of its own"):
        check_ancestry(recipe, StageRecorder(kind="sft", **options))
    check_ancestry(recipe, StageRecorder(kind="rejection_sample", **options))  # writes rows, and no weights


def test_rows_in_the_folder_of_the_stage_itself_make_no_circle(tmp_path):
    run = FakeRun(tmp_path)
    source = DataSource(source=str(tmp_path / "sft/rows"), split="train", fingerprint="f" * 64, rows_in=1, rows_kept=1)
    folder = run.stage("sft", "sft", weights=b"sft", parents=[("org/base", "base")], data=[source])
    (folder / "rows").mkdir()
    assert [node.name for node in Lineage.from_folder(folder).nodes.values()] == ["org/base", "sft"]
    recipe = SimpleNamespace(model_args=SimpleNamespace(model_name_or_path="org/base"))
    again = StageRecorder(kind="sft", output_dir=str(folder), config={}, command=[], stage="sft", data=[source])
    (folder / "model.safetensors").write_bytes(b"of another recipe, that was stopped")
    check_ancestry(recipe, again)


def test_of_several_templates_the_one_that_is_used_is_recorded(tokenizer, tmp_path):
    """Hermes 3 and Command R come with one for tools beside it."""
    several = copy.deepcopy(tokenizer)
    several.chat_template = {"default": tokenizer.chat_template, "tool_use": "{{ tools }}"}
    several.save_pretrained(tmp_path)
    recipe = SimpleNamespace(script_args=SimpleNamespace(prompt_template=None))
    assert template_hashes(recipe, several) == {"chat_template": hash_file(tmp_path / "chat_template.jinja")}


def test_a_package_whose_version_is_not_known_is_left_out(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: None if name == "peft" else "1.0")
    assert set(RECORDED_PACKAGES) - set(collect_versions()) == {"peft"}
