"""Instructions that a program can check: each kind on texts that follow it and texts that do not."""

import json
import pickle
import time

import pytest
from datasets import Dataset

from trl_r1.rewards import build_rewards, get_instruction_reward
from trl_r1.rewards.instruction_checks import (
    TYPES,
    Instruction,
    count_keyword,
    count_sentences,
    count_text_words,
    read_instructions,
)


# type, parameters, texts that follow it, texts that do not
CASES = [
    (
        "words",
        {"at_least": 3, "at_most": 4},
        ["one two three", "don't do it again", "1 2 3"],
        ["one two", "a b c d e"],
    ),
    ("words", {"at_most": 4}, ["把两个数相加"], ["把这两个很大的数都加起来"]),
    ("characters", {"at_most": 5}, ["ab c d", "两个数相加"], ["abcdef"]),
    ("sentences", {"at_least": 2, "at_most": 2}, ["One. Two.", "One! Two", "一。二。"], ["One.", "One. Two. Three."]),
    ("paragraphs", {"at_least": 2, "at_most": 2}, ["one\n\ntwo", "one\n \n\ntwo"], ["one\ntwo", "a\n\nb\n\nc"]),
    ("lines", {"at_least": 2}, ["a\nb", "a\n\nb"], ["a\n\n", "a"]),
    (
        "bullets",
        {"at_least": 2, "at_most": 2},
        ["- a\n- b", "* a\n  * b", "• a\n• b"],
        ["- a", "-a\n-b", "**a**\n**b**"],
    ),
    ("numbered_items", {"at_least": 2}, ["1. a\n2. b", "1) a\n2) b"], ["1. a", "1.5\n2.5", "a 1. b 2. c"]),
    ("sections", {"at_least": 2}, ["# A\nx\n## B"], ["# A", "#A\n#B", "text # A # B"]),
    ("highlights", {"at_least": 2}, ["*a* and *b c*", "**a** and *b*"], ["*a*", "2 * 3 * 4", "** ** * *"]),
    ("placeholders", {"at_least": 1}, ["Dear [name],"], ["Dear name", "[a](b)", "[]"]),
    ("capital_words", {"at_least": 2}, ["NOT HERE"], ["Not HERE", "I A"]),
    ("keyword", {"word": "cat", "at_least": 2}, ["Cat, cat.", "the CAT's cat"], ["cat category", "cats cat"]),
    ("keyword", {"word": "数", "at_most": 1}, ["一个数"], ["数数"]),
    ("letter", {"letter": "E", "at_least": 3}, ["eEe"], ["ee"]),
    ("keywords", {"words": ["cat", "dog"]}, ["a dog, a cat"], ["a dog", "dogcat"]),
    ("forbidden_words", {"words": ["cat", "dog"]}, ["a category"], ["a Dog"]),
    ("starts_with", {"text": "Yes"}, ["Yes, it is", "  Yes"], ["yes", "No, yes"]),
    ("ends_with", {"text": "Bye."}, ["So long. Bye.\n"], ["Bye. So long"]),
    ("uppercase", {}, ["ALL 3 CAPITALS!"], ["Not", "123"]),
    ("lowercase", {}, ["all of it, 3."], ["Not", "123"]),
    ("no_commas", {}, ["a b"], ["a, b", "一,二", "一、二"]),
    ("quoted", {}, ['"all of it"', "“so”", "「好」"], ["'no'", '"half', '""', '"']),
    ("title", {}, ["<<A day>>\ntext"], ["<< >>", "<a>", "A day"]),
    ("postscript", {}, ["text\nP.S. more", "text\nP. S. more"], ["text P.S.", "text\nP.S."]),
    ("json", {}, ['{"a": 1}', "```json\n[1]\n```"], ["a: 1", 'Here: {"a": 1}']),
    ("one_of", {"options": ["yes", "no"]}, ["yes", " no\n"], ["yes or no", "Yes", "maybe"]),
    ("language", {"language": "zh"}, ["把两个数相加"], ["add the two numbers", "123"]),
    ("language", {"language": "en"}, ["add the two numbers"], ["把两个数相加", "add 两个数相加"]),
]


@pytest.mark.parametrize(("kind", "params", "followed", "broken"), CASES)
def test_kind(kind, params, followed, broken):
    [instruction] = read_instructions([{"type": kind, "params": params}])
    assert [text for text in followed if not instruction.holds(text)] == []
    assert [text for text in broken if instruction.holds(text)] == []
    assert not instruction.holds(" \n")  # an empty answer follows nothing, whatever it does not contain


def test_every_kind_has_a_case():
    assert {case[0] for case in CASES} == set(TYPES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one, two; three", 3),
        ("well-known 3.5 don't", 3),
        ("- - - * | 3", 1),
        ("两个数相加吧", 4),  # six characters, 1.5 to a word
        ("用 Python 写", 1 + 2 / 1.5),
    ],
)
def test_words(text, words):
    assert count_text_words(text) == pytest.approx(words)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 0),
        ("One", 1),
        ("It is 3.5 there. See e.g. Dr. Lee!", 2),
        ('He said "so." Then he left...', 2),
        ("真的吗？是的！好。", 3),
    ],
)
def test_sentences(text, sentences):
    assert count_sentences(text) == sentences


def test_a_keyword_is_text_and_no_pattern():
    assert count_keyword("a+b and a+b", "a+b") == 2
    assert count_keyword("aab", "a+b") == 0
    assert count_keyword("C++ and c++, not C", "C++") == 2


def test_share_and_strict():
    asked = [{"type": "words", "params": {"at_most": 2}}, {"type": "uppercase"}, {"type": "no_commas", "params": None}]
    completions = ["<think> a, b </think> HI ALL", "<think> t </think> hi, all", "<think> HI", ""]
    assert get_instruction_reward()(completions, instructions=[asked] * 4) == pytest.approx([1.0, 1 / 3, 0.0, 0.0])
    assert get_instruction_reward(strict=True)(completions, instructions=[asked] * 4) == [1.0, 0.0, 0.0, 0.0]


def test_rows_without_instructions_are_not_judged_and_reasons_are_logged():
    columns, faults = {}, {}
    rows = [None, [], '[{"type": "uppercase"}]', [{"type": "upercase"}]]
    scores = get_instruction_reward()(
        ["<think> t </think> no"] * 4,
        instructions=rows,
        log_extra=columns.__setitem__,
        log_fault=faults.__setitem__,
    )
    assert scores == [None, None, 0.0, None]
    assert columns["instructions"][2] == "0 of 1 followed, not uppercase"
    assert list(faults) == [3]


def test_a_column_of_mappings_as_datasets_stores_it():
    asked = [{"type": "words", "params": {"at_most": 2}}, {"type": "starts_with", "params": {"text": "Hi"}}]
    [stored] = Dataset.from_list([{"instructions": asked}])["instructions"]
    assert stored[0]["params"] == {"at_most": 2, "text": None}
    assert read_instructions(stored) == [Instruction(item["type"], item["params"]) for item in asked]


@pytest.mark.parametrize(
    ("instructions", "problem"),
    [
        ("{", "no JSON"),
        ("{}", "no list"),
        ([{"kind": "words"}], "has no type"),
        ([{"type": "word"}], "instruction 1 (word): unknown; did you mean words?"),
        ([{"type": "uppercase"}, {"type": "zzz"}], "instruction 2 (zzz): unknown; use one of words"),
        ([{"type": "words"}], "give at_least, at_most or both"),
        ([{"type": "words", "params": {"at_least": 5, "at_most": 3}}], "at_least 5 is more than at_most 3"),
        ([{"type": "words", "params": {"at_least": "5"}}], "at_least: '5' is not a number"),
        ([{"type": "words", "params": {"at_least": True}}], "at_least: True is not a number"),
        ([{"type": "words", "params": {"minimum": 5, "at_least": 5}}], "has no parameter 'minimum'"),
        ([{"type": "words", "at_least": 5}], "as a mapping in `params`"),
        ([{"type": "keyword", "params": {"at_least": 5}}], "word is missing"),
        ([{"type": "keywords", "params": {"words": "cat"}}], "words: 'cat' is not a list of texts"),
        ([{"type": "keywords", "params": {"words": []}}], "is not a list of texts"),
        ([{"type": "starts_with", "params": {"text": " "}}], "text: ' ' is not a text"),
        ([{"type": "language", "params": {"language": "klingon"}}], "language: 'klingon' is unknown"),
    ],
)
def test_malformed_instructions_are_named_at_load(instructions, problem):
    (reward,) = build_rewards(["get_instruction_reward"])
    [found] = reward.check_rows([{"instructions": instructions}])
    assert problem in found
    assert reward.check_rows([{"instructions": None}, {}]) == [None, None]


def test_pickles():
    copy = pickle.loads(pickle.dumps(get_instruction_reward(strict=True, instructions_column="asked")))
    assert copy.__name__ == "instruction_reward"
    assert copy(["<think> t </think> HI"], asked=[json.dumps([{"type": "uppercase"}])]) == [1.0]


@pytest.mark.parametrize(
    "junk", ["." * 100_000 + "x", "<<" + "a" * 100_000, "* " * 50_000, "[" * 100_000, "\n " * 50_000]
)
def test_junk_of_100_kb_takes_no_time(junk):
    start = time.perf_counter()
    for kind, params, *_ in CASES:
        Instruction(kind, params).holds(junk)
    assert time.perf_counter() - start < 10  # a fraction of a second; a quadratic check takes minutes
