"""Stop a run in any way, start it again: the weights and the log rows are those of a run that was never stopped."""

import json
import logging
import os
import shutil
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
import torch
from killed_run import main, make_sft
from tiny_run import make_grpo, questions
from trl import GRPOTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import RecordError
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import WholeCheckpointCallback, last_whole_checkpoint, train_or_resume
from trl_r1.trainer.callbacks.checkpoints import MARKER_NAME
from trl_r1.trainer.grpo_state import GRPOState
from trl_r1.trainer.log_state import as_plain


class Mood(StrEnum):
    CALM = "calm"


HERE = Path(__file__).parent
SAVING = {"save_strategy": "steps", "save_steps": 2, "max_steps": 8, "lr_scheduler_type": "constant"}
# One epoch is 12 micro-batches of 4 rows (GRPO) and 6 batches of 2 rows (SFT).
RUNS = {
    "grpo": ("grpo", {}),
    "grpo, second epoch": ("grpo", {"gradient_accumulation_steps": 4}),
    "grpo, rollout serves four steps": ("grpo", {"steps_per_generation": 2, "num_iterations": 2, "save_steps": 3}),
    "grpo, refreshed reference": (
        "grpo",
        {"beta": 0.1, "sync_ref_model": True, "ref_model_sync_steps": 3, "ref_model_mixup_alpha": 1.0},
    ),
    "grpo, log row over three steps": ("grpo", {"logging_steps": 3}),
    "sft, second epoch": ("sft", {}),
}


def run(output_dir, kind, options, **kill):
    """Run `killed_run.py` in a process of its own. Returns its exit status."""
    job = {"kind": kind, "output_dir": str(output_dir), "options": {**SAVING, **options}, **kill}
    command = [sys.executable, str(HERE / "killed_run.py"), json.dumps(job)]
    path = os.pathsep.join([os.environ["PYTHONPATH"], str(HERE.parents[1]), str(HERE.parent)])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def finish_here(folder, kind, options):
    """Run to the end in this process, from the last whole checkpoint where there is one."""
    main({"kind": kind, "output_dir": str(folder), "options": {**SAVING, **options}})
    return result(folder)


def result(folder):
    return torch.load(folder / "result.pt", weights_only=True)


def assert_same(found, expected):
    assert found["weights"].keys() == expected["weights"].keys()
    assert all(torch.equal(tensor, expected["weights"][name]) for name, tensor in found["weights"].items())
    assert found["logs"] == expected["logs"]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_between_checkpoints_ends_the_same(name, tmp_path):
    kind, options = RUNS[name]
    expected = finish_here(tmp_path / "whole", kind, options)
    assert run(tmp_path / "killed", kind, options, kill_at=5) == -9
    assert not (tmp_path / "killed" / "result.pt").exists()
    assert_same(finish_here(tmp_path / "killed", kind, options), expected)


def test_a_run_killed_while_saving_ends_the_same(tmp_path):
    kind, options = RUNS["grpo"]
    assert run(tmp_path / "killed", kind, options, kill_while_saving=6) == -9
    partial = tmp_path / "killed" / "checkpoint-6"
    assert (partial / "model.safetensors").is_file()
    assert last_whole_checkpoint(tmp_path / "killed") == str(tmp_path / "killed" / "checkpoint-4")
    assert run(tmp_path / "killed", kind, options) == 0
    assert_same(result(tmp_path / "killed"), finish_here(tmp_path / "whole", kind, options))


@pytest.mark.parametrize("kind", ["grpo", "sft"])
def test_a_finished_run_started_again_makes_no_step(kind, tmp_path):
    expected = finish_here(tmp_path / "run", kind, {})
    assert_same(finish_here(tmp_path / "run", kind, {}), expected)


def test_the_trainer_alone_makes_one_step_too_many(tmp_path):
    # Why `train_or_resume` exists. If this fails, transformers has mended it: take `_stop_at_last_step` out.
    trainer = make_sft(str(tmp_path / "out"), **{**SAVING, "max_steps": 2})
    trainer.train()
    trainer = make_sft(str(tmp_path / "out"), **{**SAVING, "max_steps": 2})
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == 3


@pytest.mark.parametrize(
    "name", ["grpo, second epoch", "grpo, rollout serves four steps", "grpo, refreshed reference"]
)
def test_trl_alone_does_not_resume_these(name, tmp_path):
    # Why `GRPOState` exists. If this fails, TRL has mended it: take that part out.
    _, options = RUNS[name]
    options = {**SAVING, **options}
    uninterrupted = make_grpo(GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **options)
    uninterrupted.train()
    resumed = make_grpo(GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **options)
    before_last = f"checkpoint-{7 // options['save_steps'] * options['save_steps']}"
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / before_last))
    expected = uninterrupted.model.state_dict()
    assert any(not torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())


def save_one_checkpoint(folder, **options):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder), **{**SAVING, "max_steps": 3, **options})
    train_or_resume(trainer)
    return trainer


def test_only_whole_checkpoints_are_found(tmp_path, caplog):
    out = tmp_path / "out"
    assert last_whole_checkpoint(out) is None
    save_one_checkpoint(out)
    assert last_whole_checkpoint(out) == str(out / "checkpoint-3")
    shutil.copytree(out / "checkpoint-3", out / "checkpoint-9-best")
    assert last_whole_checkpoint(out) == str(out / "checkpoint-3")
    optimizer = out / "checkpoint-3" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert last_whole_checkpoint(out) == str(out / "checkpoint-2")
    assert "checkpoint-3 is not whole" in caplog.text
    optimizer.unlink()
    assert last_whole_checkpoint(out) == str(out / "checkpoint-2")
    (out / "checkpoint-2" / MARKER_NAME).write_text("{half")
    assert last_whole_checkpoint(out) is None


def test_a_new_run_unmarks_what_it_will_overwrite(tmp_path):
    out = tmp_path / "out"
    save_one_checkpoint(out)
    fresh = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(out), **{**SAVING, "max_steps": 1})
    fresh.add_callback(WholeCheckpointCallback())
    fresh.train()
    assert last_whole_checkpoint(out) == str(out / "checkpoint-1")


def test_weights_without_optimiser_are_no_whole_checkpoint(tmp_path):
    save_one_checkpoint(tmp_path / "out", save_only_model=True)
    assert (tmp_path / "out" / "checkpoint-3" / "model.safetensors").is_file()
    assert last_whole_checkpoint(tmp_path / "out") is None


def test_one_kept_checkpoint_is_warned_about(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        save_one_checkpoint(tmp_path / "out", save_total_limit=1)
    assert "save_total_limit=1" in caplog.text


def resume(folder, **options):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder), **{**SAVING, "max_steps": 4, **options})
    return trainer.train(resume_from_checkpoint=str(folder / "checkpoint-3"))


def test_the_table_after_a_resume_inside_a_rollout_is_that_of_the_rollout(tmp_path):
    options = {"steps_per_generation": 4, "save_steps": 3, "max_steps": 4, "log_completions": True}
    options["num_completions_to_print"] = 0
    save_one_checkpoint(tmp_path / "out", **options)
    table = tmp_path / "out" / "completions" / "completions_00004.parquet"
    expected = table.read_bytes()
    table.unlink()
    resume(tmp_path / "out", **options)
    assert table.read_bytes() == expected


def test_what_is_no_plain_value_stays_readable_in_a_checkpoint(tmp_path):
    values = [{"image": object(), "n": np.float32(0.5)}, (1, None), torch.ones(2)]
    # Subclasses of plain types, which `weights_only` refuses to read, and arrays
    values += [np.float64(0.5), np.str_("a"), np.bool_(True), np.arange(2), np.datetime64("2025-01-20"), Mood.CALM]
    torch.save(as_plain(values), tmp_path / "kept")
    kept = torch.load(tmp_path / "kept", weights_only=True)
    assert kept[0]["image"].startswith("<object object")
    assert kept[0]["n"] == 0.5
    assert kept[1] == [1, None]
    assert kept[2].tolist() == [1.0, 1.0]
    assert kept[3:] == [0.5, "a", True, [0, 1], "2025-01-20", "calm"]


def test_a_checkpoint_copies_no_rollout_and_reads_any_number(tmp_path, monkeypatch):
    state = GRPOState(step=1, num_processes=1, rollout=[{"ids": torch.ones(2)}], metrics={"own": [np.float64(0.5)]})
    saved = []
    monkeypatch.setattr(
        torch, "save", lambda content, path, save=torch.save: saved.append(content) or save(content, path)
    )
    state.save(tmp_path, 0)
    assert saved[0]["rollout"][0]["ids"] is state.rollout[0]["ids"]  # on a GPU there may be no room for a copy
    assert GRPOState.load(tmp_path, 0, 1).metrics == {"own": [0.5]}


def test_a_streamed_dataset_resumes_too(tmp_path):
    def train(max_steps):
        run = {"train_dataset": questions().to_iterable_dataset()}
        trainer = make_grpo(
            R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **{**SAVING, "max_steps": max_steps}, run=run
        )
        train_or_resume(trainer)
        return trainer.model.state_dict()

    expected = train(4)
    shutil.rmtree(tmp_path / "out")
    train(2)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in train(4).items())


def test_a_checkpoint_of_another_trainer_is_refused(tmp_path):
    save_one_checkpoint(tmp_path / "out")
    (tmp_path / "out" / "checkpoint-3" / "grpo_state_0.pt").unlink()
    with pytest.raises(RecordError, match=r"grpo_state_0.pt; R1GRPOTrainer did not write"):
        resume(tmp_path / "out")


def test_a_lost_reference_is_refused(tmp_path):
    options = {"beta": 0.1, "sync_ref_model": True, "ref_model_sync_steps": 2}
    save_one_checkpoint(tmp_path / "out", **options)
    (tmp_path / "out" / "checkpoint-3" / "reference_model.safetensors").unlink()
    with pytest.raises(RecordError, match=r"sync_ref_model is on and reference_model\.safetensors is missing"):
        resume(tmp_path / "out", **options)


def test_half_a_rollout_of_more_processes_is_refused(tmp_path):
    save_one_checkpoint(tmp_path / "out", steps_per_generation=2)
    path = tmp_path / "out" / "checkpoint-3" / "grpo_state_0.pt"
    torch.save({**torch.load(path, weights_only=True), "num_processes": 2}, path)
    with pytest.raises(RecordError, match="written by 2 processes inside a rollout, this run has 1"):
        resume(tmp_path / "out", steps_per_generation=2)


def test_half_a_rollout_of_the_fast_step_is_refused_without_it(tmp_path):
    save_one_checkpoint(tmp_path / "out", steps_per_generation=2, fast=True)
    with pytest.raises(RecordError, match="written with fast: true inside a rollout"):
        resume(tmp_path / "out", steps_per_generation=2)


def test_half_a_rollout_of_stock_can_be_ended_by_the_fast_step(tmp_path):
    options = {"steps_per_generation": 2, "learning_rate": 1e-4}
    save_one_checkpoint(tmp_path / "out", **options)
    losses = [resume(tmp_path / "out", **options, fast=fast).training_loss for fast in (False, True)]
    assert abs(losses[0]) > 1e-4
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
