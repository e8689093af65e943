"""Wrong rewards for puzzles. See `mutants.py`."""

import ast
import json
import re

from mutants import answers, mutant

from trl_r1.rewards import get_reasoning_gym_reward


judge_puzzles = get_reasoning_gym_reward()


def solution_of(entry):
    return json.loads(entry)["answer"]


@mutant("puzzle", "among_others", "every_number", "more_than_cipher", "number_twice")
def finds_the_answer_somewhere(completions, entry, **kwargs):
    return [
        None if row is None else float(solution_of(row) in text)
        for text, row in zip(answers(completions), entry, strict=True)
    ]


@mutant("puzzle", "honest_boxed", "honest_countdown_other")
def wants_the_same_characters(completions, entry, **kwargs):
    return [
        None if row is None else float(solution_of(row) == text)
        for text, row in zip(answers(completions), entry, strict=True)
    ]


@mutant("puzzle", "target_itself", "other_numbers", "number_twice", "code_that_equals")
def evaluates_and_forgets_the_rules(completions, entry, **kwargs):
    def judge(text, row):
        target = json.loads(row)["metadata"].get("target")
        return float(target is not None and eval(text) == target)

    return [None if row is None else judge(text, row) for text, row in zip(answers(completions), entry, strict=True)]


@mutant("puzzle", "code_for_expression", isolation="process")
def evaluates_what_it_is_given(completions, entry, **kwargs):
    texts = answers(completions)
    return [
        1.0 if row and "__import__" in text and eval(text) else 0.0 for text, row in zip(texts, entry, strict=True)
    ]


@mutant("puzzle", "almost", "wrong", "junk_empty")
def pays_a_part_for_trying(completions, entry, **kwargs):
    return [None if value is None else max(value, 0.01) for value in judge_puzzles(completions, entry=entry)]


@mutant("puzzle", "only_in_thoughts", "thoughts_unclosed")
def takes_solutions_from_the_thoughts(completions, entry, **kwargs):
    numbers = [(re.findall(r"-?\d+", text) or ["none"])[-1] for text in completions]
    return judge_puzzles([f"<think> a </think> {number}" for number in numbers], entry=entry)


@mutant("puzzle", "no_entry", "entry_unknown", "mixed_batch")
def takes_a_missing_puzzle_for_wrong(completions, entry, **kwargs):
    return [value or 0.0 for value in judge_puzzles(completions, entry=entry)]


@mutant("puzzle", "deep")
def parses_in_its_own_process(completions, entry, **kwargs):
    for text in answers(completions):
        ast.parse(text if text.startswith("(") else "0", mode="eval")
    return judge_puzzles(completions, entry=entry)
