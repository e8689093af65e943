"""Answers to what no rule verifies: who is asked to think, what is kept, and in which form it is trained on."""

import pytest
from datasets import Dataset

from tests.tiny_models import make_tokenizer
from trl_r1.chat_template import THINK_OPEN
from trl_r1.data import load_sft
from trl_r1.data.general_data import (
    DIRECT,
    FREE,
    INSTRUCTIONS,
    THINK,
    GeneralFilters,
    choose_answers,
    general_rows,
    is_refusal,
    is_trivial,
    prepare_general,
    read_answer,
    way_to_ask,
)
from trl_r1.data.mixture import RawSource
from trl_r1.data.rows import write_jsonl
from trl_r1.errors import DataError
from trl_r1.generation.types import Completion
from trl_r1.script_arguments import R1ScriptArguments


def said(text, finish_reason="stop"):
    return Completion(text=text, token_ids=(1,), finish_reason=finish_reason, seed=3)


def row(problem="Tell me a story about the sea", way=FREE, **columns):
    return {"problem": problem, "way": way, "domain": "general", "reward_type": "helpful", **columns}


def read(text, way=FREE, tail="", problem="Tell me a story about the sea", filters=None, **columns):
    return read_answer(row(problem, way, **columns), said(text), tail, filters or GeneralFilters())


@pytest.mark.parametrize(
    ("prompt", "trivial"),
    [
        *(("hello", True), ("Thanks a lot!", True), ("你好", True), ("谢谢", True), ("", True)),
        *(("How do I bake bread?", False), ("请写一首关于大海的诗", False), ("it's me again, friend", False)),
    ],
)
def test_greetings_are_trivial(prompt, trivial):
    assert is_trivial(prompt) is trivial


@pytest.mark.parametrize(
    ("thinking", "columns", "way"),
    [
        ("always", {"problem": "hello"}, THINK),
        ("never", {"problem": "Write me a long letter"}, DIRECT),
        ("auto", {"problem": "hello"}, DIRECT),
        ("auto", {"problem": "Write me a long letter"}, FREE),
        ("column", {"problem": "hello", "thinking": True}, THINK),
        ("column", {"problem": "Write me a long letter", "thinking": False}, DIRECT),
        ("column", {"problem": "hello", "thinking": None}, DIRECT),
    ],
)
def test_who_is_asked_to_think(thinking, columns, way):
    assert way_to_ask(columns, thinking) == way


def test_prompts_are_asked_with_instructions_that_the_rows_do_not_hold():
    rows = [
        {"problem": "hello", "prompt": None, "kind": "a"},
        {
            "problem": None,
            "prompt": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Who made you?"}],
        },
        {"problem": " ", "prompt": None, "kind": "b"},
    ]
    source = RawSource(
        name="org/p", split="train", dataset=Dataset.from_list([{"kind": None, **each} for each in rows])
    )
    prepared, dropped = prepare_general(source, "problem", "domain", thinking="auto")
    assert dropped == {"prompt_missing": 1}
    assert [each["content"] for each in prepared[0]["prompt"]] == [INSTRUCTIONS[DIRECT], "hello"]
    assert prepared[1]["prompt"][0]["content"].startswith("Be kind\n\n")
    assert (prepared[1]["problem"], prepared[1]["domain"], prepared[1]["reward_type"]) == (
        "Who made you?",
        "general",
        "helpful",
    )
    [made] = general_rows(
        prepared, iter([(1, {"text": "x", "thinking": False, "sample": 0, "seed": 3, "tokens": 9})]), {"teacher": "t"}
    )
    assert [turn["content"] for turn in made["messages"]] == ["Be kind", "Who made you?", "x"]
    assert (made["thinking"], made["teacher"], made["sample_seed"]) == (False, "t", 3)
    assert "prompt" not in made


def test_rows_that_a_rule_verifies_are_for_rejection_sampling():
    source = RawSource(
        name="org/p",
        split="train",
        dataset=Dataset.from_list([{"problem": "1+1 is what?", "reward_type": "reasoning"}]),
    )
    with pytest.raises(DataError, match="verifiable 1"):
        prepare_general(source, "problem", "domain", thinking="auto")


@pytest.mark.parametrize(
    ("text", "way", "tail", "expected"),
    [
        ("<think> the sea </think> Once.", FREE, "", "<think> the sea </think> Once."),
        ("the sea </think> Once.", THINK, "<think>\n", "<think> the sea </think> Once."),
        ("Once.", FREE, "", "<think>\n\n</think>\n\nOnce."),
        ("Once.", DIRECT, "", "<think>\n\n</think>\n\nOnce."),
        ("<think> hm </think> Once.", DIRECT, "", "<think>\n\n</think>\n\nOnce."),
        ("\n</think>\n\nOnce.", FREE, "<think>\n", "<think>\n\n</think>\n\nOnce."),
    ],
)
def test_answers_are_written_in_one_form(text, way, tail, expected):
    found = read(text, way, tail)
    assert (found.text, found.reason) == (expected, None)
    assert found.thinking is ("the sea" in expected)


@pytest.mark.parametrize(
    ("text", "way", "reason"),
    [
        ("Once.", THINK, "malformed:missing_open"),
        ("<think> the sea", FREE, "malformed:answer_missing"),
        ("<think> a </think> b </think> c", FREE, "malformed:repeated_close"),
        ("   ", FREE, "malformed:answer_missing"),
        ("I'm sorry, but I can't help with that.", FREE, "refusal"),
        ("<think> 大海 </think> Once upon a time", FREE, "other_language"),
        ("<think> the sea 大海 </think> Once upon a time", FREE, "mixed_language"),
        ("从前有一片大海", FREE, "other_language"),
        ("<think> - one\n- two </think> Once upon a time", FREE, "markdown_thoughts"),
    ],
)
def test_why_an_answer_is_dropped(text, way, reason):
    assert read(text, way).reason == reason


def test_filters_can_be_switched_off_and_limits_on():
    off = GeneralFilters(drop_refusals=False, keep_language_consistent=False, drop_markdown_thoughts=False)
    for text in ("I cannot help with that.", "从前有一片大海", "<think> - one </think> Once"):
        assert read(text, filters=off).reason is None
    assert read("la la la la la la la la", filters=GeneralFilters(max_repetition=0.3)).reason == "repetitive"
    long = "<think> " + "word " * 9 + "</think> Once"
    assert read(long, filters=GeneralFilters(max_paragraph_words=8)).reason == "long_paragraph"


def test_a_cut_answer_is_none():
    assert read_answer(row(), said("Once", "length"), "", GeneralFilters()).reason == "truncated"


def test_refusing_what_is_harmful_is_right_and_translations_change_language():
    assert read("I can't help with that.", reward_type="harmless").reason is None
    assert read("从前有一片大海", problem="Translate: once there was a sea", domain="translation").reason is None
    thoughts = "<think> 大海 </think> 从前有一片大海"
    assert read(thoughts, problem="Translate: once there was a sea", domain="translation").reason == "other_language"


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("I cannot assist with this request.", True),
        ("Sorry, as an AI I am unable to provide that.", True),
        ("抱歉，我不能帮助你。", True),
        ("You can't step into the same river twice.", False),
        ("She said: I will not go. Then she helped him.", False),
        ("Sorry to hear that! Here is what helps:", False),
    ],
)
def test_refusals_are_known_by_how_they_begin(answer, refuses):
    assert is_refusal(answer) is refuses


def test_choosing_counts_what_it_leaves_out():
    answers = [(0, b"a"), (0, b"a"), (0, b"b"), (1, b"c"), (2, b"d"), (3, b"e")]
    kept, dropped = choose_answers(answers, GeneralFilters(max_rows=3), 1)
    assert len(kept) == 3 == len(set(kept))
    assert dropped == {"duplicate": 1, "over_limit": 2}
    assert kept == choose_answers(answers, GeneralFilters(max_rows=3), 1)[0] == sorted(kept)
    assert choose_answers(answers, GeneralFilters(max_kept_per_prompt=None), 1) == ([0, 2, 3, 4, 5], {"duplicate": 1})


def test_rows_without_thoughts_can_be_trained_on(tmp_path):
    from trl import SFTConfig

    texts = [read("hello friend", DIRECT).text, read("<think> so the friend </think> hello", FREE).text]
    turns = [[{"role": "user", "content": "go"}, {"role": "assistant", "content": text}] for text in texts]
    write_jsonl(tmp_path / "train.jsonl", [{"messages": each} for each in turns])
    tokenizer = make_tokenizer()
    config = SFTConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, report_to="none")
    data = load_sft(R1ScriptArguments(dataset_name=str(tmp_path)), None, tokenizer, config)
    assert len(data.dataset) == 2
    assert THINK_OPEN in data.dataset[0]["completion"][0]["content"]
