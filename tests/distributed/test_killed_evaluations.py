"""An evaluation killed at any moment, in any of its processes, ends with the record of one that never was."""

import os
import random
import signal
import time

import pytest
import yaml
from killing import Server, alive, wait_for
from tiny_models import make_model, make_tokenizer

from trl_r1.data import write_jsonl
from trl_r1.stage_record import read_stage_record


MOMENTS = ["before verdicts", "before answers", "after answers", "before record", "after record"]
MOMENTS += ["before cleaning an evaluation"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server") / "log")
    yield started
    started.process.stdin.close()
    started.process.wait()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two tiny policies and 40 questions."""
    folder = tmp_path_factory.mktemp("inputs")
    tokenizer = make_tokenizer()
    for seed, name in enumerate(("first", "second")):
        make_model(tokenizer, seed=seed).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    rows = [{"problem": f"what is {n % 10} plus {n // 10} ?", "solution": str(n % 10)} for n in range(40)]
    write_jsonl(folder / "questions" / "test.jsonl", rows)
    return folder


def recipe(inputs, path, output_dir, questions=20, samples=2):
    suite = {
        "name": "sums",
        "dataset_name": str(inputs / "questions"),
        "modes": {"sampled": {"num_samples": samples}, "greedy": {"temperature": 0}},
        "max_rows": questions,
    }
    content = {
        "output_dir": str(output_dir),
        "checkpoints": [{"name": name, "path": str(inputs / name)} for name in ("first", "second")],
        "suites": [suite],
        "comparisons": [
            {"before": "first", "after": "second", "suite": "sums", "mode": "sampled", "metric": "chain_tokens"}
        ],
        "max_completion_length": 12,
        "generation_batch_size": 10,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return ["--config", str(path)]


def outcome(folder):
    """What a finished evaluation leaves, but for times. The work is gone."""
    record = read_stage_record(folder)
    left = {path.name for path in folder.iterdir()}
    assert not [name for name in left if name.startswith(".") or name == "progress.json"]
    evaluations = [{name: value for name, value in entry.items() if name != "cost"} for entry in record.evaluations]
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
    assert {entry["samples"] for entry in evaluations} == files.keys()
    return evaluations, record.metrics, record.data, record.parents, files


def finished(folder):
    """Batches that are on disk, of all checkpoints, modes and steps."""
    return len(list((folder / ".work").glob("*/*/*.parquet")))


@pytest.mark.parametrize(
    ("questions", "samples", "kills"),
    [(20, 1, 1), pytest.param(40, 4, 20, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_an_evaluation_killed_again_and_again_leaves_what_one_undisturbed_does(
    server, inputs, tmp_path, questions, samples, kills
):
    sizes = {"questions": questions, "samples": samples}
    server.run("evaluate", recipe(inputs, tmp_path / "whole.yaml", tmp_path / "whole", **sizes))  # in one process
    whole = outcome(tmp_path / "whole")
    folder, argv = tmp_path / "killed", recipe(inputs, tmp_path / "killed.yaml", tmp_path / "killed", **sizes)
    batches = 2 * 2 * (samples + 1) * questions // 10  # checkpoints, steps
    chance = random.Random(f"{kills} kills")
    for kill in range(kills):
        processes = server.start("evaluate", argv, world_size=2)
        wait_for(lambda kill=kill: finished(folder) > kill * batches // (kills + 1), processes)
        time.sleep(chance.uniform(0, 0.1))
        order = [process for process in chance.sample(processes, 2) if alive(process)]
        for process, number in zip(
            order, [signal.SIGKILL, chance.choice([signal.SIGKILL, signal.SIGTERM])], strict=False
        ):
            os.kill(process, number)
        codes = server.wait()
        assert codes[0] != 0, server.log.read_text(encoding="utf-8")[-4000:]
        assert not (folder / "stage.json").exists()
    server.run("evaluate", argv, world_size=2)
    assert outcome(folder) == whole
    assert read_stage_record(folder).hardware["world_size"] == 2


def test_a_kill_while_the_result_is_written_costs_no_answer(server, inputs, tmp_path):
    server.run("evaluate", recipe(inputs, tmp_path / "whole.yaml", tmp_path / "whole", 10, 1))
    argv = recipe(inputs, tmp_path / "out.yaml", tmp_path / "out", 10, 1)
    drawn = {}
    for moment in MOMENTS:
        server.start("evaluate", argv, die=moment)
        assert server.wait() == [-signal.SIGKILL], moment
        files = (tmp_path / "out" / ".work").glob("*/samples/*.parquet")
        there = {f"{path.parts[-3]}/{path.name}": path.stat().st_mtime_ns for path in files}
        assert there.items() >= drawn.items(), f"drawn again after {moment}"
        drawn = there
    assert len(drawn) == 4  # checkpoints times modes
    server.run("evaluate", argv)
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")
