"""What an answer votes for, by what judges it, and who may vote at all."""

import json

import pytest

from trl_r1.data.judging import JudgedSample, judge_samples
from trl_r1.errors import DataError
from trl_r1.evaluation import Checkpoint, EvaluationSuite, Mode
from trl_r1.evaluation.questions import load_questions
from trl_r1.evaluation.votes import answer_key, has_votes, votes_of
from trl_r1.generation import Completion
from trl_r1.rewards.completions import parse_completions
from trl_r1.verifiers import Judgement, Verdict


SUM = {"problem": "4 + 5 ?", "solution": "9"}
CITY = {"problem": "Where is the Louvre?", "solution": "B", "choices": ["Lyon", "Paris", "Nice"]}
PUZZLE = {"problem": "?", "solution": "x", "entry": json.dumps({"metadata": {"source_dataset": "chain_sum"}})}
PROGRAM = {"problem": "?", "tests": json.dumps({"inputs": ["1"], "outputs": ["1"]})}
REPAIR = {"problem": "?", "repair_task": json.dumps({"files": {}})}
LETTER = {"problem": "?", "reward_type": "instructions", "instructions": json.dumps([{"type": "no_comma"}])}


TALK = (
    r"<think> \boxed{9} </think> I have tried this, and that, for quite a while. It did not lead anywhere. I must say "
    "that I do not know it."
)


def answered(text, row=SUM, verdict=None):
    [parsed] = parse_completions([text], response_format=["r1"])
    judgement = None if verdict is None else Judgement(verdict, "by hand", "exact")
    completion = Completion(text=text, token_ids=(1,), finish_reason="stop")
    return JudgedSample(
        row=row, sample_index=0, prefill="", text=text, parsed=parsed, judgement=judgement, completion=completion
    )


def key(answer, row=SUM, verifier="auto"):
    return answer_key(answered(f"<think> 1 </think> {answer}", row), verifier)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\boxed{0.5}", r"\boxed{.5}"),
        (r"\boxed{0.5}", r"\boxed{\frac{2}{4}}"),
        (r"\boxed{-3}", r"\boxed{−3}"),
        (r"\boxed{1,000}", r"\boxed{1000}"),
        (r"\boxed{2^{10}}", r"\boxed{1024}"),
        (r"\boxed{2004!}", r"\boxed{ 2004! }"),
        (r"\boxed{9}", "<answer> 9 </answer>"),
        (r"\boxed{9}", "The answer is **9**"),
        (r"so \boxed{8}, no: \boxed{9}", r"\boxed{ 9 }"),
        (r"\boxed{\dfrac{1}{2}}", r"\boxed{\frac12}"),
        (r"\boxed{1{,}000}", r"\boxed{1000}"),
        (r"\boxed{９}", r"\boxed{9}"),
        (r"\boxed{9}\n", r"$\boxed{9}$"),
    ],
)
def test_spellings_of_one_value_vote_together(one, other):
    assert key(one) == key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"), [(r"\boxed{9}", r"\boxed{-9}"), (r"\boxed{x}", r"\boxed{y}"), (r"\boxed{1/3}", r"\boxed{0.333}")]
)
def test_different_values_do_not(one, other):
    assert key(one) != key(other)


@pytest.mark.parametrize("text", ["<think> 9 ", "<think> 9 </think>", TALK])
def test_thoughts_and_talk_vote_for_nothing(text):
    assert answer_key(answered(text)) is None


def test_two_answer_blocks_are_no_vote():
    assert key("<answer> 9 </answer> <answer> 8 </answer>") is None


def test_an_option_votes_by_its_letter_however_it_is_named():
    assert [key(text, CITY) for text in (r"\boxed{B}", "(B)", "The answer is B.", r"\boxed{Paris}")] == ["B"] * 4
    assert key("A or B", CITY) is None
    assert key(r"\boxed{B}", {**CITY, "choices": None, "reward_type": "choice"}) == "B"


def test_a_puzzle_votes_by_its_text():
    assert key(r"so \boxed{ 3 1 2 }", PUZZLE) == "3 1 2"
    assert key("3 1 2", PUZZLE) == "3 1 2"
    assert key("", PUZZLE) is None


@pytest.mark.parametrize("row", [PROGRAM, REPAIR, LETTER])
def test_programs_and_texts_do_not_vote(row):
    assert not has_votes(row)
    assert key("whatever", row) is None
    assert has_votes(row, "math")  # told to compare values, whatever the row has


@pytest.mark.parametrize("row", [SUM, CITY, PUZZLE])
def test_values_do(row):
    assert has_votes(row)
    assert not has_votes(row, "repair")


def test_a_right_answer_without_a_value_still_votes():
    right, wrong = answered(TALK, verdict=Verdict.CORRECT), answered(TALK, verdict=Verdict.WRONG)
    assert votes_of([right, wrong, answered("<think> 1 </think> 9")]) == ["right", None, "9"]


def test_keys_agree_with_the_verifier():
    texts = [rf"<think> 1 </think> \boxed{{{text}}}" for text in ("9", "9.0", r"\frac{18}{2}", "8", "")]
    group = [Completion(text=text, token_ids=(1,), finish_reason="stop") for text in texts]
    judged = judge_samples([{**SUM, "response_format": "r1"}], [group])
    assert [sample.correct for sample in judged] == [True, True, True, False, False]
    assert votes_of(judged)[-2:] == ["8", None]
    assert all(vote is not None for vote in votes_of(judged)[:3])


@pytest.mark.parametrize(("number", "verifier"), [(2, "auto"), (3, "repair")])
def test_votes_on_programs_are_refused_before_anything_is_sampled(tokenizer, tmp_path, number, verifier):
    rows = [{**SUM, "reward_type": None, "instructions": None, "repair_task": None}]
    rows += [{**LETTER, "solution": None, "repair_task": None, "problem": name} for name in ("a", "b")]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = EvaluationSuite(
        name="mixed",
        dataset_name=str(tmp_path),
        modes={"sampled": Mode(num_samples=4)},
        verifier=verifier,
        cons_at=(4,),
    )
    checkpoint = Checkpoint(name="zero", path="no/where", prompt_template="r1_zero")
    with pytest.raises(DataError, match=rf"suites\.mixed\.cons_at: the answers to {number} of 3 questions"):
        load_questions(tokenizer, suite, checkpoint)
