"""`trl-r1 evaluate` with each engine, and what it refuses before a model is loaded."""

import json

import pytest
import yaml
from loopback_openai import ModelServer

from trl_r1.data import write_jsonl
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.generation import TransformersEngine
from trl_r1.scripts.evaluate import main
from trl_r1.stage_record import read_stage_record


QUESTIONS = [{"problem": f"what is {n} plus 0 ?", "solution": str(n)} for n in range(4)]
SAMPLED = {"sampled": {"num_samples": 2, "temperature": 0.6}}


@pytest.fixture
def run(tmp_path, checkpoint):
    """Run an evaluation of the tiny checkpoint, or what replaces it; returns exit code and folder."""
    write_jsonl(tmp_path / "questions" / "test.jsonl", QUESTIONS)

    def call(suite=(), **fields):
        content = {
            "output_dir": str(tmp_path / "out"),
            "checkpoints": [{"name": "tiny", "path": checkpoint}],
            "suites": [{"name": "sums", "dataset_name": str(tmp_path / "questions"), "modes": SAMPLED, **dict(suite)}],
            "max_completion_length": 8,
            **fields,
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return main(["--config", str(tmp_path / "recipe.yaml")]), tmp_path / "out"

    return call


@pytest.mark.parametrize("renders", [False, True])
def test_a_model_behind_a_server_is_measured(run, checkpoint, renders):
    with ModelServer() as server:
        fields = {"server_tokenizer": checkpoint} if renders else {}
        served = [{"name": "served", "path": "stand-in"}]
        code, folder = run(engine="server", server_base_url=server.url, checkpoints=served, **fields)
    assert code == 0
    [record] = read_stage_record(folder).evaluations
    assert (record["engine"]["engine"], record["engine"]["model"], record["n"]) == ("server", "stand-in", 8)
    assert record["weights_sha256"] is None
    assert (record["template_sha256"] is None) != renders
    assert ("chain_tokens" in record["metrics"]) == renders
    rows = list(read_samples(folder / record["samples"]))
    assert all(row["num_tokens"] > 0 and row["seed"] is not None for row in rows)
    assert record["metrics"]["completion_tokens"]["value"] == sum(row["num_tokens"] for row in rows) / 8
    assert server.url not in json.dumps(record)


def test_what_another_evaluation_left_in_the_folder_is_not_of_the_record(run):
    _, folder = run({"name": "old"})
    left = {path.name for path in folder.glob("*old*")}
    assert left >= {"samples-tiny-old-sampled.parquet", "evaluation-old-questions.png"}
    code, folder = run()
    assert code == 0
    record = read_stage_record(folder)
    assert not left & {item.path for item in record.artefacts}
    assert "samples-tiny-sums-sampled.parquet" in {item.path for item in record.artefacts}
    [note] = [note for note in record.notes if note.startswith("Not of this evaluation: ")]
    assert all(name in note for name in left)


def test_a_suite_that_cannot_be_asked_is_told_before_a_server_is_asked_anything(run, capsys):
    with ModelServer() as server:
        served = [{"name": "served", "path": "stand-in"}]
        code, folder = run({"group_by": "nowhere"}, engine="server", server_base_url=server.url, checkpoints=served)
        assert server.requests == []
    assert code == 2
    assert "nowhere" in capsys.readouterr().err
    assert not list(folder.glob("samples-*"))


def test_nothing_is_put_in_the_mouth_of_a_policy_whose_chats_a_server_shows(run, capsys):
    with ModelServer() as server:
        modes = {"forced": {"temperature": 0, "prefill": "<think> a"}}
        served = [{"name": "served", "path": "stand-in"}]
        code, _ = run({"modes": modes}, engine="server", server_base_url=server.url, checkpoints=served)
    assert code == 2
    assert "prefill: a server shows chats in its own way" in capsys.readouterr().err


@pytest.fixture
def no_model(monkeypatch):
    def load(*arguments, **options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(TransformersEngine, "from_pretrained", load)


@pytest.mark.parametrize(
    ("suite", "fields", "words"),
    [
        ({}, {"max_completion_length": 250}, ["suites.sums.modes.sampled: 4 of 4 questions", "at most"]),
        ({}, {"max_completion_length": 300}, ["do not fit the 256 positions of tiny with max_completion_length 300"]),
        ({"group_by": "level"}, {}, ["group_by: "]),
        ({"cluster_by": "level"}, {}, ["cluster_by: "]),
        ({"metrics": ["acuracy"]}, {}, ["metrics: 'acuracy' is unknown; did you mean 'accuracy'?"]),
        ({"split": "validation"}, {}, ["split 'validation'"]),
        ({"modes": {"begun": {"prefill_column": "begun"}}}, {}, ["modes.begun.prefill_column: "]),
    ],
)
def test_what_cannot_be_asked_is_refused_before_a_model_is_loaded(run, no_model, capsys, suite, fields, words):
    code, folder = run(suite, **fields)
    assert code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert all(word in told for word in words), told
    assert not folder.exists()


def test_the_second_checkpoint_is_checked_before_the_first_is_loaded(run, no_model, checkpoint, tmp_path, capsys):
    both = [{"name": "tiny", "path": checkpoint}, {"name": "broken", "path": str(tmp_path)}]
    assert run(checkpoints=both)[0] == 2
    assert "checkpoints.broken: the tokenizer of" in capsys.readouterr().err


def test_each_way_to_ask_is_measured_by_itself_and_compared(run, checkpoint):
    variants = [
        {"name": "bare"},
        {"name": "so: plain", "instruction": "so {problem}", "system_prompt": "hello friend"},
        {"name": "text", "prompt_template": "r1_zero", "examples": [["what is 1 ?", "1"]]},
    ]
    two = [{"name": name, "path": checkpoint} for name in ("tiny", "copy")]
    pair = {"before": "tiny", "after": "copy", "suite": "sums", "mode": "sampled", "metric": "completion_tokens"}
    code, folder = run({"prompt_variants": variants}, checkpoints=two, comparisons=[{**pair, "variant": "so: plain"}])
    assert code == 0
    record = read_stage_record(folder)
    assert [entry["variant"] for entry in record.evaluations] == ["bare", "so: plain", "text"] * 2
    assert len({entry["prompts_sha256"] for entry in record.evaluations}) == 3
    assert [entry["prompt_kind"] for entry in record.evaluations[:3]] == ["chat", "chat", "plain"]
    assert record.evaluations[1]["system_prompt"] == "hello friend"
    assert record.evaluations[2]["examples"] == [["what is 1 ?", "1"]]
    rows = list(read_samples(folder / "samples-tiny-sums-sampled-so__plain.parquet"))
    assert {row["variant"] for row in rows} == {"so: plain"}
    assert len({row["question_id"] for row in rows}) == 4
    measured = record.metrics["copy - tiny (sums, sampled, so: plain, completion_tokens)"]
    assert (measured.value, measured.n) == (0.0, 4)
    spread = record.metrics["prompt spread (tiny, sums, sampled)"]
    apart = record.metrics["prompt spread: copy - tiny (sums, sampled)"]
    assert (spread.n, apart.n, apart.value) == (3, 3, 0.0)
    assert spread.low <= spread.value < spread.high
    assert (folder / "sensitivity-copy-sums-sampled.json").is_file()


def test_the_results_are_shown_and_left_as_tables(run, capsys):
    code, folder = run()
    assert code == 0
    assert "accuracy" in capsys.readouterr().err
    [record] = read_stage_record(folder).evaluations
    entries = json.loads((folder / "evaluation.json").read_text())
    found = {entry["metric"]: entry["value"] for entry in entries if entry["part"] is None}
    assert found == {name: measured["value"] for name, measured in record["metrics"].items()}
    assert "sums" in (folder / "evaluation.md").read_text()
    assert (folder / "evaluation.csv").read_text().count("\n") == len(entries) + 1
    parts = {entry["part"] for entry in entries if entry["part"] is not None}
    assert parts == set(record["by_difficulty"])
