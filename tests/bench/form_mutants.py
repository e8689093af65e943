"""Wrong rewards for length, repetition and instructions. See `mutants.py`."""

import json
import math
import re
from itertools import pairwise

from mutants import answers, mutant

from trl_r1.chat_template import completion_text
from trl_r1.rewards import accuracy_reward, get_instruction_reward, get_length_reward


# --- length


def shaped(lengths, correct):
    """Kimi's formula over whatever is given as one group."""
    low, high = min(lengths), max(lengths)
    places = [0.5 - (length - low) / (high - low) if high > low else 0.0 for length in lengths]
    return [place if right else min(0.0, place) for place, right in zip(places, correct, strict=True)]


def tokens_of(completion_ids):
    return [len(ids) for ids in completion_ids]


def known(values, solution):
    """The values, `None` where nobody knows what is right."""
    judged = accuracy_reward(["<think> a </think> 7"] * len(solution), solution)
    return [None if mark is None else value for value, mark in zip(values, judged, strict=True)]


@mutant("length", "by_group")
def compares_over_the_batch(completions, completion_ids, solution, **kwargs):
    return known(shaped(tokens_of(completion_ids), accuracy_reward(completions, solution)), solution)


@mutant("length", "tokens_not_characters", "fewer_tokens_more_characters")
def counts_characters(completions, completion_ids, prompts, solution, **kwargs):
    ids = [[0] * len(completion_text(text)) for text in completions]
    return get_length_reward()(completions=completions, completion_ids=ids, prompts=prompts, solution=solution)


@mutant("length", "gold_none", "gold_unreadable")
def takes_an_unknown_answer_for_right(completions, completion_ids, solution, **kwargs):
    correct = [mark is None or mark > 0 for mark in accuracy_reward(completions, solution)]
    return shaped(tokens_of(completion_ids), correct)


@mutant("length", "wrong_earns_no_bonus", "empty_earns_no_bonus", "guess_in_thoughts", "all_wrong")
def pays_for_any_short_answer(completion_ids, solution, **kwargs):
    return known(shaped(tokens_of(completion_ids), [True] * len(completion_ids)), solution)


@mutant("length", "equal_lengths")
def divides_by_the_spread_of_lengths(completion_ids, **kwargs):
    lengths = tokens_of(completion_ids)
    if len(lengths) == 1:
        return [0.0]
    return [0.5 - (length - min(lengths)) / (max(lengths) - min(lengths)) for length in lengths]


def cosine(length, limit=1000, low=0.5, high=1.0):
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * length / limit))


@mutant("length", "far_too_long", "longer_never_more")
def is_periodic(completions, completion_ids, solution, **kwargs):
    marks = accuracy_reward(completions, solution)
    return [
        None if mark is None else cosine(length) if mark else -0.5
        for length, mark in zip(tokens_of(completion_ids), marks, strict=True)
    ]


@mutant("length", "short_beats_long", "ordered")
def is_the_wrong_way_round(completions, completion_ids, solution, **kwargs):
    marks = accuracy_reward(completions, solution)
    return [
        None if mark is None else cosine(min(length, 1000), low=1.0, high=0.5) if mark else -0.5
        for length, mark in zip(tokens_of(completion_ids), marks, strict=True)
    ]


# --- repetition


def penalty(units, size, free=0.0):
    grams = [tuple(units[start : start + size]) for start in range(len(units) - size + 1)]
    share = 1 - len(set(grams)) / len(grams) if grams else 0.0
    return -max(0.0, share - free) / (1 - free)


@mutant("repetition", "chinese_word", "chinese_sentence")
def splits_n_grams_at_spaces(completions, **kwargs):
    return [penalty(re.sub(r"</?think>", " ", text).split(), 3, free=0.4) for text in completions]


@mutant("repetition", "honest_trial_division", "honest_table", "honest_code")
def pays_no_heed_to_honest_phrases(completions, **kwargs):
    return [penalty(re.findall(r"\w|[^\w\s]", text), 2) for text in completions]


@mutant("repetition", "in_the_answer")
def reads_the_thoughts_only(completions, **kwargs):
    return [
        penalty(re.findall(r"[\u4e00-\u9fff]|\w+|\S", text.split("</think>")[0]), 12, free=0.4) for text in completions
    ]


@mutant("repetition", "sentence_without_end", "chinese_sentence")
def wants_closed_thoughts(completions, **kwargs):
    texts = [(re.findall(r"<think>(.*)</think>", text, re.S) or [""])[0] for text in completions]
    return [penalty(text.split(), 12, free=0.4) for text in texts]


@mutant("repetition", "paragraph", "after_prose", "two_alternating")
def sees_single_words_only(completions, **kwargs):
    """The same word twice running, and no longer loop."""
    words = [re.findall(r"\w+", text) for text in completions]
    return [-float(len(each) > 20 and sum(a == b for a, b in pairwise(each)) > len(each) / 2) for each in words]


@mutant("repetition", "longer_is_worse")
def counts_whether_not_how_often(completions, **kwargs):
    return [-1.0 if penalty(text.split(), 12) < -0.3 else 0.0 for text in completions]


@mutant("repetition", "honest_short", "honest_empty")
def takes_short_texts_for_loops(completions, **kwargs):
    return [
        -1 + len(set(zip(*[text.split()[n:] for n in range(12)], strict=False))) / (len(text.split()) - 11)
        for text in completions
    ]


# --- instructions


def first_of(instructions):
    return [None if given is None else json.loads(given)[0] for given in instructions]


judge_instructions = get_instruction_reward()


@mutant("instruction", "only_thoughts_follow", "thoughts_unclosed", "honest_thoughts_are_free")
def holds_the_thoughts_to_it(completions, instructions, **kwargs):
    texts = [f"<think> a </think> {text.replace('<think>', '').replace('</think>', '')}" for text in completions]
    return judge_instructions(texts, instructions=instructions)


@mutant("instruction", "empty_has_no_comma", "empty_is_short", "blank_forbids", "thoughts_unclosed")
def an_empty_answer_follows_all_prohibitions(completions, instructions, **kwargs):
    values = judge_instructions(completions, instructions=instructions)
    empty = [not text.strip() for text in answers(completions)]
    return [1.0 if value is not None and none else value for none, value in zip(empty, values, strict=True)]


def with_own_check(kind, check):
    """Our own reward, but for one type of instruction."""

    def reward(completions, instructions, **kwargs):
        values = judge_instructions(completions, instructions=instructions)
        rows = zip(values, first_of(instructions), answers(completions), strict=True)
        return [
            float(check(text, **given["params"])) if given and given["type"] == kind else value
            for value, given, text in rows
        ]

    reward.__name__ = f"checks_{kind}_badly"
    return reward


def words_by_spaces(text, at_least=0, at_most=10**9):
    return at_least <= len(text.split()) <= at_most


mutant("instruction", "signs_for_words", "chinese_is_not_one_word", "honest_words_chinese")(
    with_own_check("words", words_by_spaces)
)
mutant("instruction", "keyword_inside", "honest_keyword", "keyword_once")(
    with_own_check("keyword", lambda text, word, at_least=1: word in text)
)
mutant("instruction", "honest_forbidden", "forbidden_in_capitals")(
    with_own_check("forbidden_words", lambda text, words: not any(word in text for word in words))
)
mutant("instruction", "dots_for_sentences")(
    with_own_check("sentences", lambda text, at_least=0, at_most=10**9: at_least <= text.count(".") <= at_most)
)
mutant("instruction", "honest_sentences_decimals")(
    with_own_check(
        "sentences", lambda text, at_least=0, at_most=10**9: at_least <= len(re.findall(r"[.!?]", text)) <= at_most
    )
)
mutant("instruction", "starts_later")(with_own_check("starts_with", lambda text, **params: params["text"] in text))
mutant("instruction", "ends_earlier")(with_own_check("ends_with", lambda text, **params: params["text"] in text))
mutant("instruction", "digits_are_no_capitals")(with_own_check("uppercase", lambda text: text == text.upper()))
mutant("instruction", "chinese_comma")(with_own_check("no_commas", lambda text: "," not in text))
mutant("instruction", "bare_bullets", "dashes_are_no_bullets")(
    with_own_check(
        "bullets", lambda text, at_least=0, at_most=10**9: at_least <= text.count("- ") + text.endswith("-") <= at_most
    )
)
mutant("instruction", "json_in_prose")(
    with_own_check("json", lambda text: bool(re.search(r"\{.*\}", text, re.S)) and bool(text))
)
mutant("instruction", "other_language")(with_own_check("language", lambda text, language: bool(text)))


@mutant("instruction", "no_instructions", "malformed", "mixed_batch")
def takes_what_is_not_asked_for_broken(completions, instructions, **kwargs):
    return [value or 0.0 for value in judge_instructions(completions, instructions=instructions)]
