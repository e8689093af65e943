"""The runner: order, parallel stages, what is skipped, resumed or made again, and every way to be stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from trl_r1.errors import PipelineError, RecipeError
from trl_r1.stage_record import read_stage_record, write_json


CLI = "import sys; from trl_r1.pipeline import run_pipeline; sys.exit(run_pipeline(sys.argv[1]))"


def wait_until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never saw: {what}"
        time.sleep(0.02)


def start_runner(world):
    """The runner in a process of its own, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-c", CLI, str(world.path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_runs_in_order_and_records(world):
    world.write({"b": world.stage("a", text="two"), "a": world.stage(text="one")}, seed=7, env={"EXTRA": 1})
    assert world.run() == 0
    assert world.ran() == ["a", "b"]
    assert (world.output / "b" / "out.txt").read_text() == "two 7"
    record = read_stage_record(world.output / "a")
    assert (record.stage, record.kind, record.seeds) == ("a", "script", {"seed": 7})
    assert record.config["text"] == "one"
    assert "out.txt" in {artefact.path for artefact in record.artefacts}
    assert record.fingerprint
    assert record.cpu_seconds > 0
    assert "hello from a" in (world.output / "logs" / "a.log").read_text()
    written = json.loads((world.output / "pipeline.json").read_text())
    assert [stage["name"] for stage in written["stages"]] == ["a", "b"]


def test_second_run_starts_nothing(world, monkeypatch):
    world.write({"a": world.stage(), "b": world.stage("a")})
    assert world.run() == 0
    monkeypatch.setattr(subprocess, "Popen", None)
    assert world.run() == 0
    assert world.ran() == ["a", "b"]
    assert world.text.count("finished before") == 2


def test_finished_run_imports_no_torch(world):
    world.write({"a": world.stage()})
    assert world.run() == 0
    code = CLI.replace("sys.exit(", "code = ").removesuffix(")") + "; sys.exit(code or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(world.path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_changed_stage_and_what_needs_it_are_made_again(world):
    stages = {"a": world.stage(text="old"), "b": world.stage("a"), "c": world.stage()}
    world.write(stages)
    assert world.run() == 0
    stages["a"] = world.stage(text="new")
    world.write(stages)
    assert world.run() == 0
    assert world.ran() == ["a", "b", "c", "a", "b"]
    assert (world.output / "a" / "out.txt").read_text().startswith("new")
    assert (world.output / "a" / "half.txt").read_text() == "1"  # the old folder is gone
    assert "its settings, code or inputs changed" in world.text


@pytest.mark.parametrize("spoil", ["delete", "damage", "artefact"])
def test_spoilt_stage_is_made_again(world, spoil):
    world.write({"a": world.stage(), "b": world.stage("a")})
    assert world.run() == 0
    folder = world.output / "b"
    if spoil == "delete":
        for path in folder.iterdir():
            path.unlink()
    elif spoil == "damage":
        (folder / "stage.json").write_text("{")
    else:
        (folder / "out.txt").unlink()
    assert world.run() == 0
    assert world.ran() == ["a", "b", "b"]


def test_stage_follows_a_need_made_again(world):
    world.write({"a": world.stage(), "b": world.stage("a")})
    assert world.run() == 0
    for path in (world.output / "a").iterdir():
        path.unlink()
    time.sleep(1.1)  # records are stamped to the second
    assert world.run() == 0
    assert world.ran() == ["a", "b", "a", "b"]


def test_folder_of_unknown_origin_is_left_alone(world):
    world.write({"a": world.stage(), "b": world.stage("a")})
    (world.output / "b").mkdir(parents=True)
    (world.output / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(PipelineError, match="no pipeline put there"):
        world.run()
    assert world.ran() == []
    assert (world.output / "b" / "thesis.txt").read_text() == "mine"


def test_failing_stage(world):
    stages = {
        "bad": world.stage(fail="because of that"),
        "good": world.stage(sleep="0.5"),
        "after_bad": world.stage("bad"),
        "later": world.stage("good"),
    }
    world.write(stages, jobs=2)
    assert world.run() == 1
    assert sorted(world.ran()) == ["bad", "good"]
    assert read_stage_record(world.output / "good").stage == "good"
    assert not (world.output / "bad" / "stage.json").exists()
    assert "bad failed: exit code 1" in world.text
    assert "because of that" in world.text
    assert "Traceback" not in world.text
    stages["bad"] = world.stage()
    world.write(stages, jobs=2)
    assert world.run() == 0
    assert sorted(world.ran()) == ["after_bad", "bad", "bad", "good", "later"]


def test_jobs_run_at_the_same_time(world):
    both = {
        "a": world.stage(wait_for=f"{world.run_log}.b"),
        "b": world.stage(wait_for=f"{world.run_log}.a"),
    }
    world.write(both, jobs=2)  # each waits for the other to have started
    assert world.run() == 0


def test_the_longest_chain_starts_first(world):
    world.write({"a": world.stage(), "aside": world.stage("a"), "b": world.stage("a"), "c": world.stage("b")})
    assert world.run() == 0
    assert world.ran() == ["a", "b", "aside", "c"]


def test_only(world):
    world.write({"a": world.stage(), "b": world.stage("a"), "c": world.stage()})
    assert world.run(only=["b"]) == 0
    assert world.ran() == ["a", "b"]
    with pytest.raises(RecipeError, match="'x' is no stage"):
        world.run(only=["x"])


def test_killed_stage_is_resumed(world):
    world.write({"a": world.stage(), "b": world.stage("a", wait_for=world.gate)})
    runner = start_runner(world)
    wait_until((world.output / "b" / "half.txt").exists, "stage b under way")
    leader = int(subprocess.check_output(["pgrep", "-f", f"{world.folder}/stage.py.*out/b"]).split()[0])
    os.kill(leader, signal.SIGKILL)
    shown, _ = runner.communicate(timeout=30)
    assert runner.returncode == 1
    assert b"killed by SIGKILL" in shown
    world.open_gate()
    assert world.run() == 0
    assert world.ran() == ["a", "b", "b"]
    assert (world.output / "b" / "half.txt").read_text() == "1+", world.text  # it found what was left
    assert "goes on" in world.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_stages(world, number):
    world.write({"a": world.stage(wait_for="/nowhere")})
    runner = start_runner(world)
    wait_until((world.output / "a" / "half.txt").exists, "stage a under way")
    runner.send_signal(number)
    runner.communicate(timeout=30)
    assert runner.returncode == 128 + number
    assert subprocess.run(["pgrep", "-f", f"{world.folder}/stage.py"], check=False).returncode == 1
    world.write({"a": world.stage(wait_for="/nowhere"), "b": world.stage()})


def test_killed_runner_leaves_nothing_that_blocks(world):
    world.write({"a": world.stage(wait_for=world.gate), "b": world.stage("a")})
    runner = start_runner(world)
    wait_until((world.output / "a" / "half.txt").exists, "stage a under way")
    runner.kill()
    runner.communicate()
    second = start_runner(world)  # waits for the stage that still writes into its folder
    time.sleep(1)
    assert second.poll() is None
    world.open_gate()
    shown, _ = second.communicate(timeout=30)
    assert second.returncode == 0, shown
    assert world.ran() == ["a", "a", "b"]  # a left no record: its runner was gone


def test_one_run_at_a_time(world):
    world.write({"a": world.stage(wait_for=world.gate)})
    runner = start_runner(world)
    wait_until((world.output / "a" / "half.txt").exists, "stage a under way")
    with pytest.raises(PipelineError, match=f"another run .process {runner.pid}. is at work"):
        world.run()
    world.open_gate()
    runner.communicate(timeout=30)
    assert runner.returncode == 0


def test_another_folder_and_seed(world):
    (world.folder / "read.yaml").write_text(f"# header\ntext: {world.output}/a\nsentence: see {world.output}x\n")
    (world.folder / "reader.py").write_text(
        "import argparse, pathlib, shutil\n"
        "parser = argparse.ArgumentParser()\n"
        "[parser.add_argument('--' + name) for name in ('config', 'output_dir', 'seed', 'path')]\n"
        "options = parser.parse_args()\n"
        "folder = pathlib.Path(options.output_dir)\n"
        "shutil.copy(options.config, folder / 'seen.yaml')\n"
        "(folder / 'seen.txt').write_text(options.path)\n"
    )
    reader = {
        "script": "reader.py",
        "config": "read.yaml",
        "needs": ["a"],
        "args": {"path": f"{world.output}/a/x"},
    }
    world.write({"a": world.stage(text="t"), "b": reader}, seed=1)
    other = world.folder / "elsewhere"
    assert world.run(output_dir=other, seed=5) == 0
    assert (other / "a" / "out.txt").read_text() == "t 5"
    assert (other / "b" / "seen.txt").read_text() == f"{other}/a/x"
    seen = (other / "b" / "seen.yaml").read_text()
    assert f"text: {other}/a\n" in seen
    assert f"see {world.output}x" in seen  # another path that only begins alike
    assert not world.output.exists()


def test_moved_folder_stays_finished(world):
    world.write({"a": world.stage(), "b": world.stage("a")})
    assert world.run() == 0
    world.output.rename(world.folder / "moved")
    assert world.run(output_dir=world.folder / "moved") == 0
    assert world.ran() == ["a", "b"]


def test_stage_without_a_record_of_this_run_fails(world):
    (world.folder / "liar.py").write_text(
        "import argparse, pathlib\n"
        "parser = argparse.ArgumentParser(); parser.add_argument('--output_dir')\n"
        "(pathlib.Path(parser.parse_args().output_dir) / 'stage.json').write_text('{}')\n"
    )
    world.write({"a": {"script": "liar.py"}})
    assert world.run() == 1
    assert "no usable record" in world.text


def test_progress_is_shown(world):
    from rich.console import Console

    from trl_r1.pipeline.display import Display, Status

    console = Console(record=True, force_terminal=True, width=120)
    with Display(["one", "two"], console) as display:
        display.set_status("one", Status.RUNNING)
        display.show_progress("one", 65, {"step": 5, "max_steps": 20, "metrics": {"reward": 0.25, "odd": "x"}})
        display.show_progress("two", 1, {"step": "many"})
        display.refresh()
    shown = console.export_text()
    assert "1:05" in shown
    assert "step 5/20 reward 0.25" in shown


def test_half_written_progress_is_no_error(tmp_path):
    from trl_r1.pipeline.stage_process import StageProcess

    running = StageProcess("a", [], None, tmp_path, tmp_path / "log", None, 0.0)
    assert running.progress() == {}
    (tmp_path / "progress.json").write_text('{"step": 1')
    assert running.progress() == {}
    write_json(tmp_path / "progress.json", {"step": 1})
    assert running.progress() == {"step": 1}


def test_another_seed_does_not_throw_stages_away(world):
    world.write({"a": world.stage(text="one")}, seed=1)
    assert world.run() == 0
    with pytest.raises(PipelineError, match="holds the stages of seed 1, not 2; give this seed a folder of its own"):
        world.run(seed=2)
    with pytest.raises(RecipeError, match="seed: -1 must be at least 0"):
        world.run(seed=-1)
    assert world.run() == 0
