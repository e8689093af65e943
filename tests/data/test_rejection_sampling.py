import json

import pytest
from scripted_engine import ScriptedEngine

from trl_r1.chat_template import join_response
from trl_r1.data import (
    RejectionFilters,
    build_cold_start,
    load_prompts,
    load_sft,
    rejection_sample,
)
from trl_r1.errors import DataError
from trl_r1.generation import SamplingParameters
from trl_r1.script_arguments import R1ScriptArguments


QUESTIONS = [
    {"problem": "what is a 4 plus b 5 ?", "solution": "9", "language": "en", "num_operations": 1},
    {"problem": "a 1 加 b 2 得 几 ?", "solution": "3", "language": "zh", "num_operations": 1},
]
ENGLISH, CHINESE = "<think> a 4 plus b 5 9 </think>", "<think> b 加 2 得 3 </think>"
FOUR = SamplingParameters(num_samples=4, seed=3)


def zero(chain, answer):
    return f"{chain} <answer> {answer} </answer>"


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("user : {prompt} assistant :")
    return str(path)


@pytest.fixture
def zero_rows(script_args, tokenizer, plain):
    return load_prompts(script_args(QUESTIONS, prompt_template=plain), None, tokenizer).dataset


@pytest.fixture
def samples():
    return [
        zero(ENGLISH, 9),
        zero(ENGLISH, 8),
        zero("<think> so 加 </think>", 9),
        zero(ENGLISH, 9) + " ",
        zero(CHINESE, 3),
        zero("<think> 加 2 得 3 3 </think>", 3),
        "<think> </think> <answer> 3 </answer>",
        "3",
    ]


def test_every_sample_is_kept_or_counted(tokenizer, zero_rows, samples):
    result = rejection_sample(
        ScriptedEngine(tokenizer, samples), zero_rows, FOUR, RejectionFilters(max_kept_per_prompt=1)
    )
    assert result.dropped == {
        "wrong": 1,
        "mixed_language": 1,
        "duplicate": 1,
        "malformed:empty_reasoning": 1,
        "malformed:missing_open": 1,
        "over_limit": 1,
    }
    assert (result.num_prompts, result.num_samples, result.num_solved) == (2, 8, 2)
    assert len(result.rows) + sum(result.dropped.values()) == result.num_samples


def test_rows_say_where_they_come_from(tokenizer, zero_rows, samples, tmp_path):
    engine = ScriptedEngine(tokenizer, samples)
    result = rejection_sample(engine, zero_rows, FOUR, teacher="outputs/r1_zero")
    assert engine.prompts[0] == "user : what is a 4 plus b 5 ? assistant :"
    path = result.write(tmp_path / "out")
    assert [json.loads(line) for line in path.read_text().splitlines()] == result.rows
    assert result.rows[0] == {
        "messages": [
            {"role": "user", "content": QUESTIONS[0]["problem"]},
            {"role": "assistant", "content": zero(ENGLISH, 9)},
        ],
        "problem": QUESTIONS[0]["problem"],
        "solution": "9",
        "language": "en",
        "num_operations": 1,
        "sample_index": 0,
        "teacher": "outputs/r1_zero",
        "temperature": 1.0,
        "top_p": 1.0,
        "sample_seed": None,  # the scripted engine draws from none
        "verified_by": "math",
        "completion_tokens": 11,
        "reasoning_tokens": 6,
        "answer_tokens": 1,
        "question_sha256": "49b2e1108d3ac4c8",
    }


def test_limits_are_deterministic(tokenizer, zero_rows, samples):
    def kept(**fields):
        filters = RejectionFilters(max_kept_per_prompt=None, **fields)
        rows = rejection_sample(ScriptedEngine(tokenizer, samples), zero_rows, FOUR, filters).rows
        return [(row["solution"], row["sample_index"]) for row in rows]

    assert kept() == [("9", 0), ("3", 0), ("3", 1)]
    assert kept(max_rows=2) == kept(max_rows=2)
    assert len(kept(max_rows=2)) == 2


def test_chat_teachers_are_asked_through_their_template(script_args, tokenizer):
    rows = load_prompts(
        script_args(QUESTIONS[:1]), None, tokenizer, chat_template_kwargs={"prefill_think": True}
    ).dataset
    engine = ScriptedEngine(tokenizer, [r"a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"])
    one, kwargs = SamplingParameters(), {"prefill_think": True}
    result = rejection_sample(engine, rows, one, chat_template_kwargs=kwargs)
    assert engine.prompts[0].endswith("<|im_start|>assistant\n<think>\n")
    response = r"<think> a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"
    assert result.rows[0]["messages"][-1]["content"] == response

    pair = rejection_sample(engine, rows, one, chat_template_kwargs=kwargs, output_format="prompt_completion").rows[0]
    assert pair["prompt"].endswith("<think>\n")
    assert pair["completion"] == r"a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"


def test_a_cold_start_rewrites_into_r1s_format_and_verifies_again(tokenizer, zero_rows, samples):
    result = build_cold_start(ScriptedEngine(tokenizer, samples), zero_rows, FOUR, teacher="zero")
    texts = [row["messages"][-1]["content"] for row in result.rows]
    assert texts == [ENGLISH + r" The answer is \boxed{9}.", CHINESE + r" 答案是 \boxed{3}。"]


def test_a_cold_start_wants_r1_zero(script_args, tokenizer, samples):
    rows = load_prompts(script_args(QUESTIONS), None, tokenizer).dataset
    with pytest.raises(DataError, match=r"^response_format: .*\['r1'\]; set prompt_template"):
        build_cold_start(ScriptedEngine(tokenizer, samples), rows, FOUR)


@pytest.mark.parametrize(
    ("refine", "reason"),
    [
        (lambda row, parsed: None, "refined:rejected"),
        (lambda row, parsed: join_response(parsed.reasoning, r"\boxed{7}"), "refined:not_correct"),
        (lambda row, parsed: r"\boxed{9}", "refined:malformed:missing_open"),
    ],
)
def test_what_refining_breaks_is_dropped(tokenizer, zero_rows, samples, refine, reason):
    def for_english(row, parsed):
        return refine(row, parsed) if row["language"] == "en" else join_response(parsed.reasoning, r"\boxed{3}")

    result = rejection_sample(ScriptedEngine(tokenizer, samples), zero_rows, FOUR, refine=for_english)
    assert result.dropped[reason] == 2
    assert [row["language"] for row in result.rows] == ["zh"]


def test_a_refine_that_fails_is_one_line(tokenizer, zero_rows, samples):
    def broken(row, parsed):
        raise KeyError("summary")

    with pytest.raises(DataError, match=r"^refine: broken raised KeyError: 'summary' on problem 'a 1 加 b"):
        rejection_sample(ScriptedEngine(tokenizer, samples), zero_rows, FOUR, refine=broken)
    with pytest.raises(DataError, match="returned int; it must return the response"):
        rejection_sample(ScriptedEngine(tokenizer, samples), zero_rows, FOUR, refine=lambda row, parsed: 9)


def test_nothing_left_is_an_error_with_the_counts(tokenizer, zero_rows):
    with pytest.raises(DataError, match=r"none of 8 samples passed \(malformed:missing_open 8\)"):
        rejection_sample(ScriptedEngine(tokenizer, ["9"] * 8), zero_rows, FOUR)
    with pytest.raises(DataError, match="no question"):
        rejection_sample(ScriptedEngine(tokenizer, []), [], FOUR)


@pytest.mark.parametrize("output_format", ["messages", "prompt_completion"])
def test_what_is_written_loads_for_sft(tokenizer, zero_rows, samples, tmp_path, output_format):
    from trl import SFTConfig

    engine = ScriptedEngine(tokenizer, samples)
    rejection_sample(engine, zero_rows, FOUR, output_format=output_format).write(tmp_path / "sft")
    args = SFTConfig(output_dir=str(tmp_path / "out"), bf16=False, gradient_checkpointing=False, use_cpu=True)
    data = load_sft(R1ScriptArguments(dataset_name=str(tmp_path / "sft")), None, tokenizer, args)
    assert len(data.dataset) == 2
    assert data.sources[0].dropped == {}
