"""`trl-r1 decontaminate`: the rows, the report, the record, the exit code of a check."""

import json

import pytest
from datasets import load_dataset

from trl_r1.cli import main
from trl_r1.stage_record import read_stage_record


LONG = "Let $m$ be the number of apples that John has, and suppose that he eats 3 of them each day. How many are left?"
ROWS = [
    {"problem": LONG.replace("$", ""), "solution": "1"},
    {"problem": LONG.replace("3", "4"), "solution": "2"},
    {"problem": "Compute 17 + 25.", "solution": "42"},
    {"problem": "What is 1 + 2?", "solution": "3"},
    {"problem": "Name a prime.", "solution": "7", "completion": f"I know this one: {LONG} It is 1."},
]


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def recipe(tmp_path):
    write_rows(tmp_path / "data" / "train.jsonl", ROWS)
    questions = [{"question": LONG, "answer": "1"}, {"question": "What is $17+25$?", "answer": "42"}]
    write_rows(tmp_path / "bench" / "test.jsonl", questions)
    samples = [{"problem": each["question"], "metrics": {"accuracy": True}} for each in questions]
    write_rows(tmp_path / "evaluation" / "samples-a.jsonl", samples)
    path = tmp_path / "clean.yaml"
    path.write_text(
        f"# trl-r1 decontaminate --config {path}\ndataset_name: {tmp_path}/data\noutput_dir: {tmp_path}/out\n"
        f"benchmarks: [{tmp_path}/bench]\nsamples: [{tmp_path}/evaluation]\n"
    )
    return path


def test_a_stage_leaves_clean_rows_a_report_a_record_and_a_card(recipe, tmp_path):
    assert main(["decontaminate", "--config", str(recipe)]) == 0
    out = tmp_path / "out"
    assert load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))["problem"][:] == ["What is 1 + 2?"]
    report = json.loads((out / "contamination.json").read_text())
    assert report["rows_found"] == {"verbatim": 2, "short": 1, "renumbered": 1}
    assert report["scores"][0]["contaminated"] == 2
    assert "| verbatim |" in (out / "contamination.md").read_text()
    record = read_stage_record(out)
    (source,) = record.data
    assert (source.rows_in, source.rows_kept, sum(source.dropped.values())) == (5, 1, 4)
    assert source.dropped["contaminated:short"] == 1
    assert sum(check.removed for check in record.contamination) == 4
    assert {check.questions for check in record.contamination} == {2}
    card = (out / "README.md").read_text()
    assert "10-grams with numbers masked" in card
    assert "No check against a benchmark is on record" not in card


def test_renumbered_rows_are_kept_when_asked_for(recipe, tmp_path):
    assert main(["decontaminate", "--config", str(recipe), "--keep_renumbered", "true"]) == 0
    assert len(load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))) == 2


def test_a_check_writes_the_report_alone_and_fails(recipe, tmp_path):
    command = ["decontaminate", "--config", str(recipe), "--check_only", "true"]
    assert main(command) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"contamination.json", "contamination.md"}


def test_a_check_of_clean_data_is_a_finished_stage(recipe, tmp_path):
    write_rows(tmp_path / "data" / "train.jsonl", ROWS[3:4])
    assert main(["decontaminate", "--config", str(recipe), "--check_only", "true"]) == 0
    assert read_stage_record(tmp_path / "out").metrics["dropped"].value == 0
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_data_that_are_the_benchmark_leave_nothing_and_say_so(recipe, tmp_path, capsys):
    write_rows(tmp_path / "data" / "train.jsonl", ROWS[:3])
    assert main(["decontaminate", "--config", str(recipe)]) == 2
    assert "all of 3 rows" in capsys.readouterr().err
    assert (tmp_path / "out" / "contamination.md").exists()
    assert not (tmp_path / "out" / "stage.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--benchmarks", ":x"], "benchmarks: ':x'"),
        (["--benchmarks", "nowhere/at/all"], "benchmarks: 'nowhere/at/all'"),
        (["--min_coverage", "2"], "min_coverage: 2.0"),
        (["--ngram_size", "1"], "ngram_size: 1"),
        (["--near_duplicate_threshold", "0"], "near_duplicate_threshold: 0.0"),
        (["--samples", "nothing"], "samples: there is no 'nothing'"),
        (["--max_train_rows", "2"], "max_train_rows"),
        (["--check_only", "true", "--push_to_hub", "true"], "push_to_hub"),
        (["--trace_columns", "thoughts"], "trace_columns: there is no column 'thoughts'"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(recipe, tmp_path, capsys, options, message):
    assert main(["decontaminate", "--config", str(recipe), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
