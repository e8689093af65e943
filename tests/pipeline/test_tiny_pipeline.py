"""The tiny pipeline with few steps: killed once in every stage, it ends with the weights of an undisturbed run."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from trl_r1.data import read_jsonl
from trl_r1.pipeline import load_pipeline
from trl_r1.run_records import RunRecords


ROOT = Path(__file__).parents[2]
FEW_STEPS = {"max_steps": 6, "save_steps": 2, "logging_steps": 2}
EVERYTHING = {"keep_correct": False, "keep_well_formed": False, "keep_language_consistent": False}
SHORT = {
    "grpo": {**FEW_STEPS, "prompts_per_step": 4},
    "sft": {**FEW_STEPS, "per_device_train_batch_size": 2},
    "reward_model": FEW_STEPS,
    "rejection_sample": {**EVERYTHING, "max_train_rows": 256},
}
LIMIT = 1500  # seconds for all stages of a run


@pytest.fixture
def short_pipeline(tmp_path):
    """A copy of the recipe in a folder of its own, with few steps a stage."""
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    path = tmp_path / "recipes" / "tiny" / "pipeline.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, stage in content["stages"].items():
        few = {"max_steps": 300} if "base" in name else SHORT.get(stage["script"], {})
        if few:
            stage["args"] = {**stage.get("args", {}), **few}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def start(pipeline, output_dir):
    """Start the runner, in the folder the recipes' paths begin at."""
    command = [sys.executable, "-m", "trl_r1.cli", "run", str(pipeline), "--output_dir", str(output_dir)]
    log = output_dir.with_suffix(".log").open("ab")
    return subprocess.Popen(command, cwd=pipeline.parents[2], stdout=log, stderr=subprocess.STDOUT)


def kill_tree(process):
    """SIGKILL the runner and everything below it."""
    for victim in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        victim.kill()
    process.wait()


def run_to_the_end(pipeline, output_dir):
    code = start(pipeline, output_dir).wait(timeout=LIMIT)
    assert code == 0, output_dir.with_suffix(".log").read_text()[-3000:]


def kill_in_every_stage(pipeline, output_dir):
    """Kill each stage once, a little after it has begun; returns those that were caught."""
    names, caught = list(load_pipeline(str(pipeline)).stages), []
    deadline = time.monotonic() + LIMIT
    runner = start(pipeline, output_dir)
    while runner.poll() is None and time.monotonic() < deadline:
        running = [
            name
            for name in names
            if name not in caught
            and (output_dir / "logs" / f"{name}.log").exists()
            and not (output_dir / name / "stage.json").exists()
        ]
        if running:
            time.sleep(3 + len(caught) % 5)  # in the imports, the loading or the training
            kill_tree(runner)
            caught += running
            runner = start(pipeline, output_dir)
        time.sleep(0.2)
    assert runner.wait(timeout=LIMIT) == 0, output_dir.with_suffix(".log").read_text()[-3000:]
    return caught


def outcome(folder):
    """Weights, sampled rows and measurements of every stage."""
    records = RunRecords.read(folder)
    files = {
        (stage.name, item.path): item.sha256
        for stage in records.stages.values()
        for item in stage.record.artefacts
        if item.path.endswith(".safetensors")
    }
    for path in folder.glob("*_data/train.jsonl"):  # each row names its teacher's folder, which differs
        files[path.parent.name] = [{**row, "teacher": None} for row in read_jsonl(path)]
    measured = {
        (name, entry["checkpoint"], entry["suite"], entry["mode"]): entry["metrics"]
        for name, stage in records.stages.items()
        for entry in stage.record.evaluations
    }
    return files, measured


@pytest.mark.slow
@pytest.mark.timeout(3 * LIMIT)
def test_a_kill_in_every_stage_changes_nothing(short_pipeline, tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    run_to_the_end(short_pipeline, undisturbed)
    caught = kill_in_every_stage(short_pipeline, disturbed)
    assert {"base", "r1_zero", "cold_start", "reasoning_rl", "sft", "r1", "student_distilled"} <= set(caught)
    assert outcome(disturbed) == outcome(undisturbed)
    before = {path: path.stat().st_mtime_ns for path in disturbed.rglob("stage.json")}
    run_to_the_end(short_pipeline, disturbed)
    assert {path: path.stat().st_mtime_ns for path in disturbed.rglob("stage.json")} == before
