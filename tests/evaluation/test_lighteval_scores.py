"""The half of lighteval's adapter that needs no lighteval: what is kept of questions, and what their answers score."""

import json
import math

import pytest
from datasets import load_dataset

from trl_r1.errors import DataError, R1Error
from trl_r1.evaluation.lighteval_adapter import lighteval_task
from trl_r1.evaluation.lighteval_adapter.questions import QUERY, QUESTION, store_questions
from trl_r1.evaluation.lighteval_adapter.scores import (
    Judge,
    mean_of_decided,
    score_names,
    score_question,
    text_of_answer,
)
from trl_r1.evaluation.questions import load_questions
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite
from trl_r1.verifiers import Judgement, Verdict
from trl_r1.verifiers.math import use_math_verify


ROW = {"question_id": "a", "problem": "2 + 3?", "solution": "5", "response_format": "r1", "prompt_tail": ""}
OTHER = {**ROW, "question_id": "b", "problem": "1 + 1?", "solution": "2"}
RIGHT, WRONG = r"<think>hm</think> \boxed{5}", r"<think>hm</think> \boxed{6}"


def judge(num_samples=4, max_undecidable=0.05):
    return Judge("task", num_samples, "auto", max_undecidable)


def test_questions_are_kept_as_an_evaluation_asks_them(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "é 2 + 3?", "answer": "#### 5"}) + "\n")
    suite = EvaluationSuite.from_mapping({"benchmark": "gsm8k", "data_files": str(rows)})
    questions = load_questions(None, suite, Checkpoint(name="x", path="")).rows
    folder = store_questions(questions, "trl_r1_gsm8k", tmp_path / "kept")
    [row] = load_dataset(str(folder), name="default", split="test")
    assert row[QUERY].startswith("é 2 + 3?\nPlease reason step by step")
    assert json.loads(row[QUESTION])["solution"] == "5"
    assert store_questions(questions, "trl_r1_gsm8k", tmp_path / "kept") == folder
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [folder.name]  # and nothing half made
    other = store_questions([{**questions[0], "solution": "6"}], "trl_r1_gsm8k", tmp_path / "kept")
    assert other != folder


def test_a_chat_of_several_messages_is_refused(tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 3?"}]
    with pytest.raises(DataError, match="question a: it is a chat of 2 messages"):
        store_questions([{**ROW, "prompt": chat}], "task", tmp_path)
    with pytest.raises(DataError, match="question a: it cannot be written as JSON"):
        store_questions([{**ROW, "prompt": "2 + 3?", "weight": math.nan}], "task", tmp_path)
    assert not list(tmp_path.iterdir())


def test_scores_are_those_of_an_evaluation():
    judged = judge().judge([ROW, OTHER], [[RIGHT, WRONG, WRONG, RIGHT], [WRONG] * 4])
    assert [score_question(own, "accuracy") for own in judged] == [0.5, 0.0]
    assert score_question(judged[0], "pass@2") == pytest.approx(1 - 1 / 6)
    assert score_question(judged[0], "cons@4") == 0.5  # a tie
    suite = EvaluationSuite.from_mapping({"benchmark": "humaneval", "num_samples": 8})
    assert score_names(suite) == ["accuracy", "pass@8"]


@pytest.mark.parametrize("answers", [[RIGHT] * 3, [RIGHT] * 5, [RIGHT, RIGHT, RIGHT, None], []])
def test_missing_answers_refuse_the_score(answers):
    with pytest.raises(R1Error, match=r"task: question b has \d of 4 answers"):
        judge().judge([ROW, OTHER], [[RIGHT] * 4, answers])


def test_answers_are_judged_once_for_all_scores(monkeypatch):
    calls = []
    own = judge(1)
    monkeypatch.setattr(own, "_by_question", lambda questions, answers: calls.append(answers) or [])
    own.judge([ROW], [[RIGHT]])
    own.judge([ROW], [[RIGHT]])
    assert len(calls) == 1
    own.judge([ROW], [[WRONG]])
    assert len(calls) == 2


def test_what_cannot_be_judged_is_no_zero(monkeypatch):
    fault = Judgement(Verdict.UNDECIDABLE, "the worker broke", "fault")
    monkeypatch.setattr(
        "trl_r1.data.judging.judge_parsed", lambda rows, parsed, verifier: [fault] + [found] * (len(rows) - 1)
    )
    found = Judgement(Verdict.CORRECT, "5 is 5", "exact")
    with pytest.raises(R1Error, match=r"task: 1 of 4 answers could not be judged.*the worker broke"):
        judge().judge([ROW], [[RIGHT] * 4])
    [own] = judge(max_undecidable=0.5).judge([ROW], [[RIGHT] * 4])
    assert score_question(own, "accuracy") == 1.0
    assert math.isnan(score_question(own, "pass@4"))
    assert mean_of_decided([math.nan, 0.25, 0.75]) == 0.5
    with pytest.raises(R1Error, match="of none of 1 questions"):
        mean_of_decided([math.nan])


def test_a_chain_that_came_apart_is_joined():
    assert text_of_answer("5", None) == "5"
    assert text_of_answer(None, "hm") is None
    [[sample]] = judge(1).judge([ROW], [[text_of_answer(r"\boxed{5}", "hm")]])
    assert (sample.correct, sample.parsed.reasoning) == (True, "hm")


def test_without_lighteval_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("trl_r1.evaluation.lighteval_adapter.adapter.find_spec", lambda name: None)
    with pytest.raises(R1Error, match=r"lighteval is not installed.*pip install"):
        lighteval_task("gsm8k")


def test_a_folder_without_math_verify_is_refused(tmp_path):
    with pytest.raises(R1Error, match=r"math_verify: .* holds none; run `pip install --target"):
        use_math_verify(tmp_path)
