"""The scripts on recipes of the tiny pipeline, two processes each, by both documented launch lines."""

import random
import sys

import pytest
from launching import ROOT, accelerate_launch, torchrun

from trl_r1.chat_template import load_template
from trl_r1.data import write_jsonl
from trl_r1.stage_record import read_stage_record


TINY = ROOT / "recipes" / "tiny"
CONFIGURATIONS = ROOT / "recipes" / "accelerate_configs"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """An untrained base model of the tiny world, with a few questions and a few chats."""
    sys.path.insert(0, str(TINY))
    import make_base
    import make_data
    import world

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = world.build_tokenizer(load_template("r1"))
    tokenizer.save_pretrained(folder / "base")
    make_base.make_model(tokenizer, make_base.SIZES["student"]).save_pretrained(folder / "base")
    write_jsonl(folder / "questions" / "train.jsonl", make_data.draw_questions(random.Random(0), 32, (2, 3), "train"))
    write_jsonl(folder / "chats" / "train.jsonl", make_data.draw_general(random.Random(0), 32))
    return folder


def overrides(base, data, output_dir, **options):
    """Command-line arguments that shrink a recipe to two steps in a folder of the test."""
    paths = {"model_name_or_path": base / "base", "dataset_name": base / data, "output_dir": output_dir}
    few = {"max_steps": 2, "logging_steps": 1, "expected_processes": 2}
    return [part for key, value in {**paths, **few, **options}.items() for part in (f"--{key}", value)]


def check_record(folder, kind):
    record = read_stage_record(folder)
    assert record.kind == kind
    assert record.hardware["world_size"] == 2
    assert record.hardware["distributed_type"] == "MULTI_CPU"
    assert [row["step"] for row in record.history if "loss" in row] == [1, 2]
    assert (folder / "model.safetensors").is_file()
    return record


def test_sft_by_torchrun(base, tmp_path):
    arguments = overrides(base, "chats", tmp_path / "out", per_device_train_batch_size=4)
    torchrun("-m", "trl_r1.scripts.sft", "--config", TINY / "cold_start.yaml", *arguments)
    check_record(tmp_path / "out", "sft")


def test_grpo_by_accelerate(base, tmp_path):
    batch = {"prompts_per_step": 2, "num_generations": 4, "per_device_train_batch_size": 4}
    arguments = overrides(base, "questions", tmp_path / "out", **batch, max_completion_length=12)
    script = ["-m", "trl_r1.scripts.grpo", "--config", TINY / "r1_zero.yaml"]
    accelerate_launch(CONFIGURATIONS / "two_cpu.yaml", *script, *arguments)
    record = check_record(tmp_path / "out", "grpo")
    for row in record.history:
        total = row["rewards/accuracy_reward/mean"] + 0.1 * row["rewards/format_reward/mean"]
        assert row["reward"] == pytest.approx(total)
    assert sum(row["completions/max_length"] for row in record.history) > 0


def test_expected_processes_refuses_one(base, tmp_path):
    arguments = overrides(base, "questions", tmp_path / "out", prompts_per_step=2, per_device_train_batch_size=4)
    with pytest.raises(AssertionError, match=r"expected_processes: .*2"):
        torchrun("-m", "trl_r1.scripts.grpo", "--config", TINY / "r1_zero.yaml", *arguments, processes=1)
    assert not (tmp_path / "out").exists()
