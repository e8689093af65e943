"""Records of a run: which evaluation belongs to which stage, and what is no record at all."""

import json

import pytest
from fake_run import FakeRun, measured

from trl_r1.errors import RecordError
from trl_r1.run_records import RunRecords, weights_of, write_pipeline_record
from trl_r1.stage_record import hash_weights, read_stage_record


@pytest.fixture
def run(tmp_path):
    made = FakeRun(tmp_path / "run")
    made.stage("zero", "grpo", weights=b"zero")
    made.stage("base", "script", weights=b"base")
    made.stage("evaluation", "evaluate", evaluations=[measured(hash_weights(made.folder / "zero"))])
    return made


def test_recorded_weights_hash_is_that_of_the_files(run):
    folder = run.folder / "zero"
    assert weights_of(folder, read_stage_record(folder)) == hash_weights(folder)
    assert weights_of(run.folder / "evaluation", read_stage_record(run.folder / "evaluation")) is None


def test_evaluations_follow_the_weights(run, tmp_path):
    moved = run.folder.rename(tmp_path / "elsewhere")
    records = RunRecords.read(moved)
    assert [(stage.name, item.suite) for stage, item in records.evaluations()] == [("zero", "test")]
    assert records.stages["base"].evaluations == ()


def test_order_is_the_pipelines(run):
    assert list(RunRecords.read(run.folder).stages) == ["base", "evaluation", "zero"]  # same time: by folder
    write_pipeline_record(run.folder, {"stages": [{"name": name} for name in ("zero", "base", "evaluation")]})
    assert list(RunRecords.read(run.folder).stages) == ["zero", "base", "evaluation"]


def test_what_was_thrown_away_does_not_count(run):
    (run.folder / "zero").rename(run.folder / ".discarded")
    assert set(RunRecords.read(run.folder).stages) == {"base", "evaluation"}


def test_pipeline_record_is_written_only_when_it_changes(run):
    write_pipeline_record(run.folder, {"seed": 1})
    path = run.folder / "pipeline.json"
    before = path.stat().st_ino
    write_pipeline_record(run.folder, {"seed": 1})
    assert path.stat().st_ino == before
    write_pipeline_record(run.folder, {"seed": 2})
    assert json.loads(path.read_text()) == {"seed": 2}


@pytest.mark.parametrize("text", ["{", ""])
def test_damaged_pipeline_record(run, text):
    (run.folder / "pipeline.json").write_text(text)
    with pytest.raises(RecordError, match=r"pipeline\.json: not valid JSON"):
        RunRecords.read(run.folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the record: .*where an object belongs"),
        ({"stages": None}, "stages: None, where a list belongs"),
        ({"stages": [1]}, r"stages\[0\]: 1, where an object belongs"),
        ({"stages": [{"name": 5}]}, r"stages\[0\].name: 5, where a text belongs"),
        ({"questions": "six"}, "questions: 'six', where a whole number belongs"),
        ({"license": ["mit"]}, r"license: \['mit'\], where a text belongs"),
        ({"surprise": 1}, "surprise: no such field"),
    ],
)
def test_a_pipeline_record_that_holds_something_else(run, content, message):
    (run.folder / "pipeline.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=rf"pipeline\.json: {message}.*delete it and run the pipeline again"):
        RunRecords.read(run.folder)


def test_ways_to_ask_are_apart_and_their_words_are_a_condition(tmp_path):
    run = FakeRun(tmp_path / "worded")
    run.stage("zero", "grpo", weights=b"zero")
    entry = measured(hash_weights(run.folder / "zero"))
    worded = [{**entry, "instruction": text} for text in ("{problem}", "Please: {problem}")]
    run.stage("evaluation", "evaluate", evaluations=[entry, *worded, {**entry, "variant": "polite"}])
    older, plain, polite, variant = (found for _, found in RunRecords.read(run.folder).evaluations())
    assert older.conditions == plain.conditions != polite.conditions
    assert (older.mode, variant.mode) == (entry["mode"], f"{entry['mode']}, polite")
