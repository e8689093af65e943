import pytest

from trl_r1.chat_template import ThinkParser
from trl_r1.data.filters import RejectionFilters, find_problem, language_problem, repetition
from trl_r1.data.judging import JudgedSample, judge_answers, response_text
from trl_r1.errors import RecipeError
from trl_r1.generation import Completion
from trl_r1.script_arguments import RejectionSamplingArguments
from trl_r1.verifiers import Judgement, Verdict


ROW = {"problem": "what is a 4 plus b 5 ?", "solution": "9", "language": "en"}
GOOD = r"<think> a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"


def sample(text=GOOD, row=ROW, verdict=Verdict.CORRECT, finish_reason="stop"):
    return JudgedSample(
        row=row,
        sample_index=0,
        prefill="",
        text=text,
        parsed=ThinkParser().parse(text),
        judgement=Judgement(verdict, "", "exact") if verdict else None,
        completion=Completion(text=text, token_ids=(1,), finish_reason=finish_reason),
    )


@pytest.mark.parametrize(
    ("fields", "filters", "problem"),
    [
        ({}, {}, None),
        ({"verdict": Verdict.WRONG}, {}, "wrong"),
        ({"verdict": Verdict.WRONG}, {"keep_correct": False}, None),
        ({"verdict": Verdict.UNDECIDABLE}, {}, "undecidable"),
        ({"verdict": None}, {}, "no_gold"),
        ({"verdict": None}, {"keep_correct": False}, None),
        ({"text": "<think> a 4"}, {}, "malformed:missing_close"),
        ({"text": "<think> a 4", "finish_reason": "length"}, {}, "truncated"),
        ({"text": "<think> a 4"}, {"keep_well_formed": False}, None),
        ({"finish_reason": "length"}, {}, "truncated"),
        ({}, {"max_reasoning_tokens": 5}, "too_long"),
        ({}, {"max_reasoning_tokens": 6}, None),
        ({"text": "<think> " + "so what is " * 4 + "</think> 9"}, {"max_repetition": 0.5}, "repetitive"),
        ({"text": "<think> so 加 what </think> 9"}, {}, "mixed_language"),
        ({"text": "<think> 加 4 </think> 9"}, {}, "other_language"),
        ({"text": "<think> 加 4 </think> 9"}, {"keep_language_consistent": False}, None),
    ],
)
def test_the_first_problem_is_named(tokenizer, fields, filters, problem):
    assert find_problem(sample(**fields), RejectionFilters(**filters), tokenizer) == problem


def test_the_language_is_the_questions_own_without_a_column():
    row = {"problem": "a 4 加 b 5 得 几 ?"}
    assert language_problem(sample("<think> b 加 5 得 9 </think> 9", row), ignored_tokens=("a", "b")) is None
    assert language_problem(sample("<think> so plus </think> 9", row), ignored_tokens=("a",)) == "other_language"


def test_ignored_tokens_are_no_words():
    chain = "<think> a 4 加 b 5 9 </think> 9"
    row = {"problem": "得 几 ?", "language": "zh"}
    assert language_problem(sample(chain, row), ignored_tokens=("a",)) is None


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), ("one two three", 0.0), ("a b c d e", 0.0), ("a b c d a b c d", 0.2), ("加 加 加 加 加", 0.5)],
)
def test_repetition_is_the_share_of_repeated_four_grams(text, share):
    assert repetition(text) == pytest.approx(share)


def test_limits_out_of_range_are_all_named():
    with pytest.raises(RecipeError) as caught:
        RejectionFilters(max_reasoning_tokens=0, max_rows=-1, max_repetition=2.0)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "max_reasoning_tokens",
        "max_rows",
        "max_repetition",
    ]


def test_filters_come_from_the_scripts_arguments():
    arguments = RejectionSamplingArguments(max_repetition=0.25, language_ignored_tokens=["a"], max_kept_per_prompt=3)
    filters = RejectionFilters.from_arguments(arguments)
    assert filters == RejectionFilters(max_repetition=0.25, language_ignored_tokens=("a",), max_kept_per_prompt=3)


def test_answers_are_judged_in_place_and_rows_without_gold_are_not():
    parser = ThinkParser("r1_zero")
    texts = ["<think> x </think> <answer> 9 </answer>", "<think> x </think> <answer> 8 </answer>", "9", "hello"]
    judged = judge_answers([parser.parse(text) for text in texts], ["9", "9", "9", None])
    verdicts = [judgement and judgement.verdict for judgement in judged]
    assert verdicts == [Verdict.CORRECT, Verdict.WRONG, Verdict.WRONG, None]


@pytest.mark.parametrize(
    ("tail", "prefill", "completion", "text"),
    [
        ("", "", "<think> a", "<think> a"),
        ("<think>\n", "", "a </think>", "<think> a </think>"),
        ("", "<think> a", "4 </think>", "<think> a 4 </think>"),
        ("", "<think> a", " 4", "<think> a 4"),
        ("<|im_start|>assistant\n", "", "4", "4"),
    ],
)
def test_a_response_begins_with_what_was_prefilled(tail, prefill, completion, text):
    assert response_text({"prompt_tail": tail}, prefill, completion) == text
