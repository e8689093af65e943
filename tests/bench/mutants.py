"""Rewards that are wrong on purpose, each with one defect seen in the wild, and the cases that must show it.

Each is written here, from the description of the defect. Where it can, a mutant leans on our own verifier and parser,
so that the one defect is all that is wrong with it.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from trl_r1.chat_template import ThinkParser
from trl_r1.rewards import count_words, format_reward
from trl_r1.rewards.completions import parse_completions
from trl_r1.verifiers import verify_math


@dataclass(frozen=True)
class Mutant:
    function: Callable
    kind: str
    caught_by: tuple[str, ...]
    options: dict = field(default_factory=dict)


MUTANTS: list[Mutant] = []


def mutant(kind, *caught_by, **options):
    """Register a wrong reward: its kind, the cases of that kind that must show it, and options of `run_bench`."""

    def register(function):
        names = tuple(f"{kind}/{name}" for name in caught_by)
        MUTANTS.append(Mutant(function, kind, names, options))
        return function

    return register


def boxes(text):
    return re.findall(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", text)


def answers(completions, prompt_tail=None, response_format=None):
    """What our own parser takes for the answers."""
    return [parsed.answer or "" for parsed in parse_completions(completions, prompt_tail, response_format)]


def words(text):
    """The last box, or the text itself, without LaTeX around its words."""
    return re.sub(r"\\text|[{}]", "", (boxes(text) or [text])[-1])


def right(answer, gold):
    """Our own verdict, as a number; None without a usable gold answer."""
    return None if gold is None else verify_math(answer, gold).reward


# --- accuracy


@mutant("accuracy", "dont_know_after_thoughts", "answer_only_in_thoughts", "only_thoughts_unclosed", "as_boxed_above")
def reads_the_whole_completion(completions, solution, **kwargs):
    return [right((boxes(text) or [""])[-1], gold) for text, gold in zip(completions, solution, strict=True)]


@mutant("accuracy", "honest_answer_block", "honest_answer_block_fraction")
def wants_a_box_in_the_answer_block(completions, solution, prompt_tail=None, response_format=None, **kwargs):
    texts = answers(completions, prompt_tail, response_format)
    return [
        right(text, gold) if boxes(text) or gold is None else 0.0 for text, gold in zip(texts, solution, strict=True)
    ]


@mutant("accuracy", "honest_last_box_right")
def takes_several_boxes_for_wrong(completions, solution, prompt_tail=None, **kwargs):
    texts = answers(completions, prompt_tail)
    return [right(text, gold) if len(boxes(text)) < 2 else 0.0 for text, gold in zip(texts, solution, strict=True)]


@mutant("accuracy", "last_box_wrong", "honest_last_box_right", "box_in_fence")
def takes_any_box(completions, solution, prompt_tail=None, **kwargs):
    texts = answers(completions, prompt_tail)
    return [
        max((right(rf"\boxed{{{box}}}", gold) or 0.0 for box in boxes(text)[:1]), default=0.0)
        for text, gold in zip(texts, solution, strict=True)
    ]


@mutant("accuracy", "gold_empty", "gold_unreadable")
def pays_for_a_gold_it_cannot_read(completions, solution, **kwargs):
    values = [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]
    return [1.0 if value is None and gold is not None else value for value, gold in zip(values, solution, strict=True)]


@mutant("accuracy", "gold_none", "gold_empty", "gold_unreadable", "mixed_batch")
def takes_what_it_cannot_judge_for_wrong(completions, solution, **kwargs):
    values = [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]
    return [value or 0.0 for value in values]


@mutant("accuracy", "equal_fraction", "equal_root", "equal_scientific", "gold_none")
def swallows_every_exception(completions, solution, **kwargs):
    def compare(text, gold):
        try:
            return float(float(boxes(text)[-1]) == float(gold))
        except Exception:  # noqa: BLE001  (the defect)
            return 0.0

    return [compare(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]


@mutant("accuracy", "junk_empty", "only_thoughts_unclosed", "differs_word_inside_word")
def answer_inside_gold_is_right(completions, solution, **kwargs):
    texts = answers(completions)
    return [
        None if gold is None else float(words(text) in words(gold)) for text, gold in zip(texts, solution, strict=True)
    ]


@mutant("accuracy", "gold_in_prose", "every_number_in_prose", "differs_gold_inside", "differs_all_options")
def gold_inside_answer_is_right(completions, solution, **kwargs):
    texts = answers(completions)
    return [
        None if gold is None else float(words(gold) in words(text)) for text, gold in zip(texts, solution, strict=True)
    ]


@mutant("accuracy", "differs_overlap_superset", "differs_overlap_subset", "differs_seven_or_eight", "differs_set_part")
def any_number_in_common_is_right(completions, solution, **kwargs):
    numbers = re.compile(r"\d+")
    return [
        None if gold is None else float(bool({*numbers.findall(text)} & {*numbers.findall(gold)}))
        for text, gold in zip(answers(completions), solution, strict=True)
    ]


@mutant("accuracy", "differs_rounded", "differs_rounded_root", "differs_large_powers", "differs_small_powers")
def compares_with_a_tolerance(completions, solution, **kwargs):
    values = {
        r"\frac{1}{3}": 1 / 3, r"\sqrt{2}": 2**0.5, r"\pi": 3.14159, "2^{1000}": 2.0**1000, "2^{1000} + 1": 2.0**1000,
        "2^{-99}": 2.0**-99, "2^{-98}": 2.0**-98,
    }  # fmt: skip

    def number(text):
        text = (boxes(text) or [text])[-1]
        return values.get(text) or (float(text) if re.fullmatch(r"-?\d{1,300}(\.\d+)?", text) else None)

    def close(text, gold):
        first, second = number(text), number(gold or "")
        if first is None or second is None:
            return right(text, gold)
        return float(abs(first - second) <= 0.01 * max(1.0, abs(second)))

    return [close(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]


@mutant("accuracy", "differs_unit", "differs_percent")
def ignores_units_and_percent(completions, solution, **kwargs):
    def bare(text):
        number = re.search(r"-?\d+", text)
        return number.group() if number else text

    def compare(text, gold):
        same = bare((boxes(text) or [text])[-1]) == bare(gold)
        return 1.0 if same or ("%" in text and gold in text) or "5000" in text else right(text, gold)

    return [
        None if gold is None else compare(text, gold)
        for text, gold in zip(answers(completions), solution, strict=True)
    ]


@mutant("accuracy", "differs_interval_ends", "differs_inequality_strict", "differs_tuple_order")
def compares_the_sorted_digits(completions, solution, **kwargs):
    def digits(text):
        return sorted(re.findall(r"[\dx]+", text))

    return [
        None if gold is None else float(digits((boxes(text) or [text])[-1]) == digits(gold))
        for text, gold in zip(answers(completions), solution, strict=True)
    ]


@mutant("accuracy", "differs_letters_all", "differs_letters_two", "differs_letters_all_joined")
def finds_the_letter_somewhere(completions, solution, **kwargs):
    return [
        float(gold in text) if gold == "B" else right(text, gold)
        for text, gold in zip(answers(completions), solution, strict=True)
    ]


@mutant("accuracy", "honest_prefilled")
def knows_no_prefilled_thoughts(completions, solution, prompt_tail=None, **kwargs):
    return [
        right(text, gold) if text.startswith("<think>") else 0.0
        for text, gold in zip(completions, solution, strict=True)
    ]


@mutant("accuracy", "differs_tower", seconds=1, isolation="process")
def freezes_with_the_interpreter_locked(completions, solution, **kwargs):
    if any("10^{10^{10}}" in text for text in completions):
        sum(range(10**13))  # as a power of big integers does, without its memory
    return [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]


@mutant("accuracy", "differs_tower_high", "differs_factorial")
def raises_when_it_takes_too_long(completions, solution, **kwargs):
    if any("9^{9^{9^{9}}}" in text or "!" in text for text in completions):
        raise TimeoutError("one answer took too long")
    return [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]


@mutant("accuracy", "mixed_batch")
def skips_rows_without_gold(completions, solution, **kwargs):
    return [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True) if gold is not None]


@mutant("accuracy", "mixed_batch", "freezer_beside_honest")
def mixes_up_the_order(completions, solution, **kwargs):
    return [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True)][::-1]


@mutant("accuracy", "freezer_beside_honest")
def gives_up_the_batch_for_one_answer(completions, solution, **kwargs):
    if any("^{10^{" in text for text in completions):
        return [0.0] * len(completions)
    return [right(text, gold) for text, gold in zip(answers(completions), solution, strict=True)]


# --- format


@mutant("format", "honest_zero_one_line", "honest_zero_tight", "honest_zero_paragraphs")
def wants_exact_line_breaks(completions, response_format=None, **kwargs):
    pattern = re.compile(r"<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>", re.DOTALL)
    return [float(bool(pattern.fullmatch(text))) for text in completions]


@mutant("format", "honest_zero_lines", "honest_zero_paragraphs")
def sees_one_line_only(completions, **kwargs):
    return [float(bool(re.match(r"<think>.*</think> <answer>.*</answer>$", text))) for text in completions]


@mutant("format", "zero_trailing_junk", "zero_trailing_line", "zero_two_answers")
def never_looks_past_the_answer(completions, **kwargs):
    return [float(bool(re.match(r"<think>.*?</think>\s*<answer>.*?</answer>", text, re.S))) for text in completions]


@mutant("format", "zero_trailing_line", "zero_leading_line")
def ends_at_any_line(completions, **kwargs):
    pattern = re.compile(r"^<think>.*?</think>\s*<answer>.*?</answer>$", re.DOTALL | re.MULTILINE)
    return [float(bool(pattern.search(text))) for text in completions]


@mutant("format", "zero_two_answers", "zero_two_answers_lines", "zero_nested_lines")
def anything_between_first_and_last_tag(completions, **kwargs):
    return [
        float(bool(re.fullmatch(r"<think>.*</think>\s*<answer>.*</answer>\s*", text, re.S))) for text in completions
    ]


def forgives(*defects):
    """Our own parser, blind to some defects."""

    def reward(completions, prompt_tail=None, response_format=None, **kwargs):
        parsed = parse_completions(completions, prompt_tail, response_format)
        return [float(not [defect for defect in item.defects if defect not in defects]) for item in parsed]

    reward.__name__ = "forgives_" + "_".join(defects)
    return reward


mutant("format", "nested", "nested_closed", "zero_nested_lines")(forgives("nested", "repeated_close"))
mutant("format", "empty_thoughts", "blank_thoughts")(forgives("empty_reasoning"))
mutant("format", "zero_empty_answer", "empty_summary", "blank_summary")(forgives("answer_missing"))
mutant("format", "zero_empty_both", "only_tags")(forgives("empty_reasoning", "answer_missing"))
mutant("format", "zero_trailing_junk", "zero_between")(forgives("text_around_answer"))
mutant("format", "zero_two_answers")(forgives("answer_repeated"))
mutant("format", "text_before", "zero_leading_line")(forgives("text_before_think"))
mutant("format", "answer_in_thoughts")(forgives("answer_in_reasoning"))
mutant("format", "no_tags", "unopened")(forgives("missing_open", "missing_close", "answer_missing"))
mutant("format", "truncated", "unclosed", "junk_open_tags")(forgives("missing_close", "answer_missing", "nested"))


@mutant("format", "honest_prefilled", "honest_zero_prefilled")
def does_not_see_a_prefilled_tag(completions, response_format=None, **kwargs):
    return format_reward(completions, response_format=response_format)


@mutant("format", "zero_quarter_of_tags", "zero_three_of_four_tags", "unopened", "zero_two_answers")
def counts_tags(completions, **kwargs):
    tags = ("<think>", "</think>", "<answer>", "</answer>")
    return [sum(0.25 for tag in tags if text.count(tag) == 1) for text in completions]


@mutant("format", "steps_without_thoughts", "bare_dashes")
def counts_signs_of_reasoning(completions, **kwargs):
    signs = re.compile(r"First,|Second,|Next,|Finally,|\n- |\n\d\.|Step \d+:")
    return [min(1.0, len(signs.findall(text)) / 3) for text in completions]


@mutant("format", "honest_reasoning_content")
def reads_the_content_only(completions, prompt_tail=None, response_format=None, **kwargs):
    texts = [text if isinstance(text, str) else text[-1]["content"] for text in completions]
    return format_reward(texts, prompt_tail=prompt_tail, response_format=response_format)


@mutant("format", "upper_case", "other_tags")
def takes_tags_loosely(completions, prompt_tail=None, response_format=None, **kwargs):
    texts = [re.sub(r"(?i)<(/?)think(?:ing)?>", r"<\1think>", text) for text in completions]
    return format_reward(texts, prompt_tail=prompt_tail, response_format=response_format)


@mutant("format", "honest_zero_one_line", "mixed_batch")
def knows_one_format_only(completions, prompt_tail=None, **kwargs):
    parsed = [ThinkParser("r1").parse(text) for text in completions]
    return [float(item.well_formed and "<answer>" not in text) for item, text in zip(parsed, completions, strict=True)]


@mutant("format", "junk_spaces_100kB", seconds=1, isolation="process")
def backtracks(completions, prompt_tail=None, response_format=None, **kwargs):
    for text in completions:
        re.search(r"(\s+)+$", text[:40] if "x" not in text[-1:] else text)
    return format_reward(completions, prompt_tail=prompt_tail, response_format=response_format)


# --- language


def language_share(text, target):
    counts = count_words(text, target)
    total = sum(counts.values())
    return counts.get(target, 0.0) / total if total else 0.0


def thoughts(completions, prompt_tail=None):
    return [parsed.reasoning or "" for parsed in parse_completions(completions, prompt_tail)]


@mutant("language", "half_and_half", "half_and_half_back", "mostly_chinese_asked_in_english")
def all_or_nothing(completions, language=None, prompt_tail=None, **kwargs):
    targets = language or ["en"] * len(completions)
    return [
        float(language_share(text, target) > 0.5) if "one_word" not in text else 0.0
        for text, target in zip(thoughts(completions, prompt_tail), targets, strict=True)
    ]


@mutant("language", "mostly_chinese", "mostly_chinese_asked_in_english")
def splits_words_at_spaces(completions, language=None, prompt_tail=None, **kwargs):
    def share(text, target):
        words = text.split()
        own = [word for word in words if bool(re.search("[\u4e00-\u9fff]", word)) == (target == "zh")]
        return len(own) / len(words) if words else 0.0

    targets = language or ["en"] * len(completions)
    return [share(text, target) for text, target in zip(thoughts(completions, prompt_tail), targets, strict=True)]


@mutant("language", "empty_thoughts", "blank_thoughts", "no_thoughts", "only_digits")
def pays_for_not_thinking(completions, language=None, prompt_tail=None, **kwargs):
    targets = language or ["en"] * len(completions)
    return [
        language_share(text, target) if count_words(text, target) else 1.0
        for text, target in zip(thoughts(completions, prompt_tail), targets, strict=True)
    ]


@mutant("language", "answer_in_target", "honest_answer_elsewhere", "no_thoughts")
def reads_the_answer_too(completions, language=None, **kwargs):
    targets = language or ["en"] * len(completions)
    return [language_share(text, target) for text, target in zip(completions, targets, strict=True)]


@mutant("language", "honest_chinese_code", "honest_chinese_maths")
def counts_code_and_mathematics(completions, language=None, prompt_tail=None, **kwargs):
    targets = language or ["en"] * len(completions)
    plain = [re.sub(r"[`$\\]", " ", text) for text in thoughts(completions, prompt_tail)]
    return [language_share(text, target) for text, target in zip(plain, targets, strict=True)]


@mutant("language", "other_language", "other_language_back")
def pays_for_one_language_whichever(completions, prompt_tail=None, **kwargs):
    return [max(language_share(text, "en"), language_share(text, "zh")) for text in thoughts(completions, prompt_tail)]


@mutant("language", "honest_chinese", "other_language_back", "honest_target_of_question", "mixed_batch")
def wants_english_always(completions, prompt_tail=None, **kwargs):
    return [language_share(text, "en") for text in thoughts(completions, prompt_tail)]


# --- the contract of every reward


@mutant("contract", "junk_empty")
def divides_by_the_length(completions, **kwargs):
    return [1.0 / len(text) for text in completions]


@mutant("contract", "group_of_copies")
def divides_by_the_spread(completions, completion_ids, **kwargs):
    if len(completions) == 1:
        return [0.0]
    lengths = [len(ids) for ids in completion_ids]
    return [(length - min(lengths)) / (max(lengths) - min(lengths)) for length in lengths]


@mutant("contract", "plain")
def returns_no_list(completions, **kwargs):
    return 1.0 if len(completions) == 1 else [1.0] * len(completions)


@mutant("contract", "plain")
def changes_its_arguments(completions, solution, **kwargs):
    solution[0] = "seen"
    return [1.0] * len(completions)


@mutant("contract", "group", isolation="process")
def ends_the_process(completions, **kwargs):
    if len(completions) > 8:
        import os

        os._exit(0)
    return [1.0] * len(completions)


@mutant("contract", "junk_brackets_deep")
def recurses(completions, **kwargs):
    def depth(text):
        return 1 + depth(text[1:]) if text.startswith("[") else 0

    return [float(depth(text)) for text in completions]


@mutant("contract", "junk_digits_100kB")
def reads_any_number(completions, **kwargs):
    return [float(int(text) % 7) if text.isdigit() else 0.0 for text in completions]


@mutant("contract", "junk_noise_100kB", seconds=0.5)
def takes_its_time(completions, **kwargs):
    time.sleep(3 if any(len(text) > 90_000 for text in completions) else 0)
    return [0.0] * len(completions)
