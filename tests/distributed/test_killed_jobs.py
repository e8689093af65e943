"""A sampling job killed at any moment, in any of its processes, ends with the rows of one that never was."""

import os
import random
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from killing import LIMIT, Server, alive, wait_for
from launching import ROOT, free_port
from tiny_models import make_model, make_tokenizer

from trl_r1.data import read_jsonl, write_jsonl
from trl_r1.stage_record import read_stage_record


BATCH = 20  # samples
MOMENTS = ["within rows", "between folders", "before record", "after record", "before card", "before cleaning"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server") / "log")
    yield started
    started.process.stdin.close()
    started.process.wait()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A tiny policy and 500 questions."""
    folder = tmp_path_factory.mktemp("inputs")
    tokenizer = make_tokenizer()
    make_model(tokenizer).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    chance = random.Random(0)
    rows = [
        {
            "problem": "what is " + " plus ".join(str(chance.randrange(9)) for _ in range(2 + index % 3)),
            "solution": "4",
        }
        for index in range(500)
    ]
    write_jsonl(folder / "questions" / "train.jsonl", rows)
    return folder


def arguments(inputs, output_dir, questions, samples=4, **options):
    values = {
        "model_name_or_path": inputs / "model",
        "dataset_name": inputs / "questions",
        "output_dir": output_dir,
        "num_generations": samples,
        "max_completion_length": 16,
        "generation_batch_size": BATCH,
        "max_train_rows": questions,
        **options,
    }
    return [str(word) for name, value in values.items() for word in (f"--{name}", value)]


def outcome(folder):
    """What a finished job leaves: rows and counts. The work is gone."""
    record = read_stage_record(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".work") or path.name == "progress.json"]
    if (folder / "train.jsonl").exists():
        rows = read_jsonl(folder / "train.jsonl")
    else:
        rows = [row for path in sorted((folder / "data").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert {item.path for item in record.artefacts if item.path.endswith("parquet")} == {
        f"data/{path.name}" for path in (folder / "data").glob("*")
    }
    assert (folder / "README.md").is_file()
    return rows, record.metrics


def finished(folder):
    """Batches that are on disk, of all steps."""
    return len(list((folder / ".work").glob("*/*.parquet")))


def kill_again_and_again(server, verb, argv, folder, kills, batches, steps=2):
    """Launch and kill, each time a little further on; now one process, now all of them."""
    chance = random.Random(f"{kills} kills of {batches} batches")
    ends = []
    for kill in range(kills):
        processes = server.start(verb, argv, world_size=2)
        target = kill * batches * steps // (kills + 1)
        wait_for(lambda target=target: finished(folder) > target, processes)
        time.sleep(chance.uniform(0, 0.1))
        order = [process for process in chance.sample(processes, 2) if alive(process)]  # one may be through already
        signals = [signal.SIGKILL, chance.choice([signal.SIGKILL, signal.SIGTERM])]  # as a launcher does to the others
        for process, number in zip(order, signals, strict=False):
            os.kill(process, number)
        ends.append(server.wait())
    server.run(verb, argv, world_size=2)
    return ends


TWENTY = [pytest.mark.slow, pytest.mark.timeout(1800)]
KEEP_ALL = dict.fromkeys(("keep_correct", "keep_well_formed", "keep_language_consistent"), "false")


@pytest.mark.parametrize(
    ("verb", "questions", "kills"),
    [
        ("generate", 60, 3),
        ("rejection_sample", 40, 2),
        pytest.param("generate", 500, 20, marks=TWENTY),
        pytest.param("rejection_sample", 500, 20, marks=TWENTY),
    ],
)
def test_a_job_killed_again_and_again_leaves_what_one_undisturbed_does(
    server, inputs, tmp_path, verb, questions, kills
):
    options = {**KEEP_ALL, "max_kept_per_prompt": 2} if verb == "rejection_sample" else {}
    server.run(verb, arguments(inputs, tmp_path / "whole", questions, **options))  # in one process
    rows, metrics = outcome(tmp_path / "whole")
    assert metrics["samples"].value == 4 * questions
    folder, batches = tmp_path / "killed", 4 * questions // BATCH
    argv = arguments(inputs, folder, questions, **options)
    ends = kill_again_and_again(server, verb, argv, folder, kills, batches)
    assert len(ends) == kills
    asked = {0, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM}  # 0: the second was through with its share
    wrong = [codes for codes in ends if -signal.SIGKILL not in codes or codes[0] == 0 or not asked.issuperset(codes)]
    assert wrong == [], server.log.read_text(encoding="utf-8")[-4000:]
    assert outcome(folder) == (rows, metrics)
    assert read_stage_record(folder).hardware["world_size"] == 2


def test_a_kill_while_the_result_is_written_costs_no_sample(server, inputs, tmp_path):
    argv = arguments(inputs, tmp_path / "out", 30, samples=1, rows_per_file=1)
    drawn = None
    for moment in MOMENTS:
        server.start("generate", argv, die=moment)
        assert server.wait() == [-signal.SIGKILL], moment
        files = (tmp_path / "out" / ".work" / "samples").glob("*.parquet")
        there = {path.name: path.stat().st_mtime_ns for path in files}
        assert len(there) == 2
        assert there == (drawn or there), f"drawn again after {moment}"
        drawn = there
    server.run("generate", argv)
    rows, _ = outcome(tmp_path / "out")
    assert len(rows) == 30


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_job_that_is_asked_to_stop_says_how_to_go_on(server, inputs, tmp_path, number, code):
    argv = arguments(inputs, tmp_path / "out", 100)
    processes = server.start("generate", argv)
    wait_for(lambda: finished(tmp_path / "out") > 0, processes)
    os.kill(processes[0], number)
    assert server.wait() == [code]
    assert "the same command goes on from what is saved" in server.log.read_text()
    assert not (tmp_path / "out" / "stage.json").exists()
    assert not list((tmp_path / "out" / ".work").glob("*/.*.partial"))
    server.run("generate", argv)
    assert len(outcome(tmp_path / "out")[0]) == 400


def torchrun(*command):
    path = os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_addr=127.0.0.1"]
    return subprocess.Popen(
        [*launcher, f"--master_port={free_port()}", "-m", "trl_r1.scripts.generate", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_launcher_that_is_killed_leaves_nothing_in_the_way(server, inputs, tmp_path):
    """Its processes stop by themselves, and the next launch waits for them."""
    server.run("generate", arguments(inputs, tmp_path / "whole", 500))
    folder = tmp_path / "killed"
    argv = arguments(inputs, folder, 500)
    for target in (0, 40):
        launcher = torchrun(*argv)
        wait_for(lambda target=target: finished(folder) > target, [launcher.pid])
        launcher.kill()  # not its processes
        launcher.stderr.close()
        launcher.wait()
    launcher = torchrun(*argv)
    _, errors = launcher.communicate(timeout=LIMIT)
    assert launcher.returncode == 0, errors[-6000:]
    assert outcome(folder) == outcome(tmp_path / "whole")
