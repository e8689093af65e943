"""Answers judged by a model with the reference: which rows, what its silence costs, and that nothing is paid twice."""

import json
import re

import pytest
from scripted_chat import ScriptedChat
from scripted_engine import ScriptedEngine

from trl_r1.chat_template import ThinkParser
from trl_r1.data import ModelJudge, RejectionFilters, load_prompts, rejection_sample
from trl_r1.data.judging import judge_by_row, route_of
from trl_r1.errors import DataError, GenerationError, RecipeError
from trl_r1.generation import SamplingParameters
from trl_r1.verifiers import Verdict


ESSAY = {"problem": "why is the sky blue?", "solution": "Light is scattered.", "reward_type": "judge"}
SUM = {"problem": "what is 4 plus 5?", "solution": "9", "reward_type": "reasoning"}
GOOD, BAD = "<think> so </think> scattering, I think", "<think> so </think> the sea is mirrored"
ONE = SamplingParameters(num_samples=1)
ANY_LANGUAGE = RejectionFilters(keep_language_consistent=False)


def verdict(messages):
    answer = re.search(r"\[SUBMISSION (\w+)\]\n(.*)\n\[END OF SUBMISSION \1\]", messages[1]["content"], re.S)[2]
    if "silent" in answer:
        return "I would rather not say."
    return json.dumps({"analysis": "because", "correctness": "correct" if "scatter" in answer else "incorrect"})


@pytest.fixture
def load(script_args, tokenizer):
    return lambda rows: load_prompts(script_args(rows), None, tokenizer).dataset


def judge_at(chat, **options):
    return ModelJudge.from_endpoint(
        "judge", **{"base_url": chat.url, "backoff": 0.001, "max_retries": 1, "timeout": 20.0, **options}
    )


def test_marked_rows_are_judged_by_the_model_and_others_by_rule(load, tokenizer):
    rows = load([ESSAY, SUM, ESSAY | {"problem": "why?"}])
    texts = [GOOD, r"<think> so </think> \boxed{9}", BAD]
    with ScriptedChat(verdict) as chat:
        result = rejection_sample(ScriptedEngine(tokenizer, texts), rows, ONE, ANY_LANGUAGE, judge=judge_at(chat))
    assert [(row["problem"], row["verified_by"]) for row in result.rows] == [
        (ESSAY["problem"], "judge"),
        (SUM["problem"], "math"),
    ]
    assert result.dropped == {"wrong": 1}
    assert len(chat.asked) == 2
    assert "judge_instructions" in result.hashes


def test_malformed_and_empty_samples_are_not_paid_for(load, tokenizer):
    texts = ["no thoughts", "<think> so </think>", GOOD]
    rows = load([ESSAY | {"problem": f"why {number}?"} for number in range(3)])
    with ScriptedChat(verdict) as chat:
        result = rejection_sample(ScriptedEngine(tokenizer, texts), rows, ONE, ANY_LANGUAGE, judge=judge_at(chat))
    assert (len(result.rows), len(chat.asked)) == (1, 1)
    assert result.dropped == {"malformed:missing_open": 1, "malformed:answer_missing": 1}


@pytest.mark.parametrize(("scope", "asked"), [("marked", 1), ("all", 2)])
def test_the_scope_says_which_rows(load, tokenizer, scope, asked):
    rows = load([ESSAY, SUM])
    with ScriptedChat(verdict) as chat:
        engine = ScriptedEngine(tokenizer, [GOOD, "<think> so </think> 9"])
        result = rejection_sample(engine, rows, ONE, ANY_LANGUAGE, judge=judge_at(chat, scope=scope))
    assert len(chat.asked) == asked
    assert result.dropped == ({} if scope == "marked" else {"wrong": 1})


def test_silence_is_undecidable_and_never_wrong(load, tokenizer, tmp_path):
    rows = load([ESSAY, ESSAY | {"problem": "why?"}])
    engine = ScriptedEngine(tokenizer, [GOOD, "<think> so </think> silent scattering"])
    with ScriptedChat(verdict) as chat:
        with pytest.raises(GenerationError, match=r"1 of 2 could not be had: judge judge: unreadable reply"):
            rejection_sample(engine, rows, ONE, ANY_LANGUAGE, judge=judge_at(chat), folder=tmp_path)
        asked = len(chat.asked)
        judge = judge_at(chat, max_failures=0.5)
        result = rejection_sample(engine, rows, ONE, ANY_LANGUAGE, judge=judge, folder=tmp_path)
        assert result.dropped == {"undecidable:unreadable_reply": 1}
        assert len(result.rows) == 1
        again = chat.asked[asked:]
    assert len(again) == 2  # the silent one, and its repetition: the verdict on the other was kept
    assert all("silent" in messages[1]["content"] for messages in again)


def test_rows_for_a_judge_need_one(load, tokenizer):
    with pytest.raises(DataError, match=r"^judge_model: 1 rows are of reward_type 'judge'; name the model"):
        rejection_sample(ScriptedEngine(tokenizer, [GOOD]), load([ESSAY]), ONE)


@pytest.mark.parametrize(("field", "value"), [("scope", "some"), ("max_failures", 1.5)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(RecipeError, match=rf"judge_{field}|max_judge_failures"):
        ModelJudge.from_endpoint("judge", **{field: value})


ROUTES = [
    ({"solution": "9"}, "math"),
    ({"solution": "9", "tests": None, "repair_task": {"files": None}}, "math"),
    ({"solution": "B", "choices": ["a", "b"]}, "choice"),
    ({"solution": "B", "reward_type": "choice"}, "choice"),
    ({"solution": None, "tests": {"function": "f", "inputs": [[1]], "outputs": [1]}}, "code"),
    ({"solution": "9", "entry": '{"question": "?", "metadata": {}}'}, "puzzle"),
    ({"solution": "9", "entry": "a diary's"}, "math"),
    ({"solution": "x", "reward_type": "judge", "choices": ["a"]}, "judge"),
    ({"solution": None, "reward_type": "judge"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("row", "route"), ROUTES)
def test_columns_say_what_judges(row, route):
    assert route_of(row) == route


def test_a_batch_of_many_kinds_is_judged_in_place():
    double = {"function": "double", "inputs": [[2]], "outputs": [4]}
    rows = [
        {"solution": "B", "choices": ["Rome", "Bern"]},
        {},
        {"solution": "9"},
        {"tests": double},
        {"tests": double},
    ]
    answers = [
        "(B)",
        "hello",
        "8",
        "```python\ndef double(x): return 2 * x\n```",
        "```python\ndef double(x): return x\n```",
    ]
    parsed = [ThinkParser().parse(f"<think> t </think> {answer}") for answer in answers]
    judged = judge_by_row(rows, parsed)
    verdicts = [judgement and judgement.verdict for judgement in judged]
    assert verdicts == [Verdict.CORRECT, None, Verdict.WRONG, Verdict.CORRECT, Verdict.WRONG]
