"""An evaluation that applies patches: its accuracy is the share of tasks whose hidden tests pass."""

import dataclasses
import json

import pytest
from scripted_engine import ScriptedEngine

from trl_r1.errors import DataError, RecipeError
from trl_r1.evaluation import Checkpoint, EvaluationSuite, Mode, evaluate_policy, preflight
from trl_r1.evaluation.preflight import Reader, check_suite
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.recipe.entries import suite_problems
from trl_r1.verifiers.sandbox import SandboxError


TEST = {"name": "sum", "broken": True, "function": "f.add", "arguments": "(2, 3)", "expected": "5"}
TASK = {"files": [{"path": "f.py", "text": "def add(a, b):\n    return a - b\n"}], "tests": [TEST]}
PATCH = "--- f.py\n+++ f.py\n@@ -2 +2 @@\n-    return a - b\n+    return {}\n"
ANSWERS = [f"<think> so </think> <answer>\n{PATCH.format(text)}</answer>" for text in ("a + b", "a * b", "5")]


@pytest.fixture
def suite(tmp_path):
    rows = [{"problem": f"add subtracts {i}", "repair_task": TASK, "reward_type": "repair"} for i in range(3)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values = {"name": "repairs", "dataset_name": str(tmp_path), "verifier": "repair", "metrics": ["accuracy"]}
    return EvaluationSuite.from_mapping({**values, "modes": {"sampled": {}}})


def test_patches_are_applied_and_tested(tokenizer, suite, tmp_path):
    (tmp_path / "plain.txt").write_text("user : {prompt}")
    checkpoint = Checkpoint(name="one", path="no/where", prompt_template=str(tmp_path / "plain.txt"))
    [record] = evaluate_policy(ScriptedEngine(tokenizer, ANSWERS), suite, checkpoint, tmp_path / "out")
    assert record["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    samples = list(read_samples(tmp_path / "out" / record["samples"]))
    assert [sample["verdict"] for sample in samples] == ["correct", "wrong", "correct"]
    assert samples[1]["reason"] == "test 'sum' still fails: another result"


def test_a_task_that_cannot_be_read_ends_the_evaluation(tokenizer, tmp_path):
    row = {"problem": "x", "repair_task": {"files": [], "tests": [TEST]}, "reward_type": "repair"}
    (tmp_path / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    (tmp_path / "plain.txt").write_text("user : {prompt}")
    checkpoint = Checkpoint(name="one", path="no/where", prompt_template=str(tmp_path / "plain.txt"))
    suite = EvaluationSuite(name="x", dataset_name=str(tmp_path), verifier="repair", modes={"sampled": Mode()})
    engine = ScriptedEngine(tokenizer, ANSWERS[:1])
    with pytest.raises(DataError, match=r"suites\.x: question 0: repair task: .*mend or drop the row"):
        evaluate_policy(engine, suite, checkpoint, tmp_path / "out")
    assert engine.prompts == []


def test_programs_that_cannot_be_isolated_are_refused_before_a_model_is_loaded(tokenizer, tmp_path, monkeypatch):
    def none(*given):
        raise SandboxError("the isolation does not hold")

    row = {"problem": "x", "tests": json.dumps({"test_list": ["assert f() == 1"]}), "reward_type": "code"}
    (tmp_path / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    (tmp_path / "plain.txt").write_text("user : {prompt}")
    checkpoint = Checkpoint(name="one", path="no/where", prompt_template=str(tmp_path / "plain.txt"))
    suite = EvaluationSuite(name="x", dataset_name=str(tmp_path), verifier="auto", modes={"sampled": Mode()})
    check_suite(Reader(tokenizer), suite, checkpoint)
    monkeypatch.setattr(preflight, "shared_sandbox", none)
    with pytest.raises(SandboxError, match="does not hold"):
        check_suite(Reader(tokenizer), suite, checkpoint)
    check_suite(Reader(tokenizer), dataclasses.replace(suite, verifier="math"), checkpoint)


def test_an_unknown_verifier_is_named():
    entry = {"name": "x", "dataset_name": "y", "verifier": "vibes"}
    with pytest.raises(RecipeError, match="'vibes' is unknown; use one of auto, math, repair"):
        EvaluationSuite.from_mapping(entry)
    assert list(suite_problems([entry])) == ["suites[0].verifier: 'vibes' is none of ('auto', 'math', 'repair')"]
    assert list(suite_problems([{**entry, "verifier": "repair"}])) == []
