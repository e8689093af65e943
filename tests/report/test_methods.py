"""Several ways to train one model, side by side, from records alone."""

import dataclasses
import io

import pytest
from fake_run import FakeRun, measured
from rich.console import Console

from trl_r1.cli import main
from trl_r1.errors import RecordError
from trl_r1.report import compare_methods, print_methods
from trl_r1.stage_record import DataSource, Measurement, hash_weights


def accuracy(value):
    return {"accuracy": dataclasses.asdict(Measurement(value=value, n=512, low=value - 0.03, high=value + 0.03))}


@pytest.fixture
def make_run(tmp_path):
    """A pipeline's folder: traces of a teacher elsewhere, SFT on them, and RL on top of it."""

    def make(name, reached, gain):
        run = FakeRun(tmp_path / name)
        run.stage("traces", "rejection_sample")
        source = DataSource(
            source=str(run.folder / "traces"), split="train", fingerprint="f" * 64, rows_in=9, rows_kept=9
        )
        tokens = {"num_tokens": Measurement(value=1_500.0)}
        distilled = run.stage("distilled", "sft", weights=b"one", data=[source], metrics=tokens)
        rl = run.stage("rl", "grpo", weights=b"two", parents=[("distilled", "base")], metrics=tokens)
        asked = [
            measured(hash_weights(folder), checkpoint=folder.name, metrics=accuracy(value), samples="a.jsonl")
            for folder, value in ((distilled, reached), (rl, reached + gain))
        ]
        asked.append(measured("e" * 64, checkpoint="teacher", metrics=accuracy(0.97), samples="a.jsonl"))
        label = "rl - distilled (test, greedy, accuracy)"
        difference = {label: Measurement(value=gain, n=512, low=gain - 0.02, high=gain + 0.02)}
        run.stage("evaluation", "evaluate", evaluations=asked, metrics=difference)
        return run.folder

    return make


def cells(table):
    return {row[0].value: [f"{cell.value} {cell.interval}".strip() for cell in row[1:]] for row in table.rows}


def test_costs_add_up_and_models_of_all_seeds_share_a_row(make_run):
    first, second, reached, differences = compare_methods([make_run("seed0", 0.8, 0.1), make_run("seed1", 0.7, -0.1)])
    assert (first.title, second.title) == ("cost, seed0", "cost, seed1")
    assert cells(first) == {
        "distilled": ["traces", "121", "116", "1,500"],
        "rl": ["distilled, traces", "181", "174", "3,000"],
    }
    assert reached.columns == ["model", "seed0", "seed1"]
    assert cells(reached) == {
        "distilled": [".80 .77–.83", ".70 .67–.73"],
        "rl": [".90 .87–.93", ".60 .57–.63"],
        "teacher": [".97 .94–1.00", ".97 .94–1.00"],
    }
    assert cells(differences) == {"rl - distilled (test, greedy, accuracy)": ["+0.100 .08–.12", "-0.100 -.12–-.08"]}


def test_the_command_prints_them(make_run, capsys):
    folder = make_run("seed0", 0.8, 0.1)
    assert main(["compare", str(folder), "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "cost, seed0" in printed
    assert "| distilled | .80 .77–.83 |" in printed
    console = Console(file=io.StringIO(), width=100)
    print_methods([folder], console)
    assert "distilled" in console.file.getvalue()


def test_folders_without_an_evaluation_are_refused(make_run, tmp_path, capsys):
    FakeRun(tmp_path / "early").stage("rl", "grpo", weights=b"one")
    with pytest.raises(RecordError, match="early: no evaluation has finished"):
        compare_methods([make_run("seed0", 0.8, 0.1), tmp_path / "early"])
    assert main(["compare", str(tmp_path / "none")]) == 2
    assert "does not exist; run the pipeline first" in capsys.readouterr().err
