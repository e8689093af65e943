"""Cases for rewards that pay for the right one of lettered options: 1.0 or 0.0, None without a usable gold answer.

The columns are `solution` (a letter, or the option's text) and `choices` (the options, or None).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


_OPTIONS: Final = ["Bern", "Oslo", "Rome", "Lima"]
_PROMPT: Final = "What is the capital of Norway? (A) Bern (B) Oslo (C) Rome (D) Lima"


def _case(name: str, completion: str, want: Want, why: str, *, honest: bool = False, solution: str | None = "B",
          choices: Sequence[str] | None = tuple(_OPTIONS)) -> Case:  # fmt: skip
    listed = None if choices is None else list(choices)
    return single(
        f"choice/{name}", completion, want, why, honest=honest, prompt=_PROMPT, solution=solution, choices=listed
    )


def _good(name: str, answer: str, why: str, solution: str = "B") -> Case:
    return _case(f"honest_{name}", thought(answer), RIGHT, why, honest=True, solution=solution)


def _bad(name: str, answer: str, why: str) -> Case:
    return _case(name, thought(answer), WRONG, why)


CASES: Final[list[Case]] = [
    _good("boxed", r"So it is \boxed{B}.", "a boxed letter"),
    _good("boxed_text", r"So it is \boxed{\text{B}}.", "a boxed letter set as text"),
    _good("bare", "B", "the letter alone"),
    _good("brackets", "(B)", "the letter in brackets"),
    _good("sentence", "The answer is (B).", "a sentence that states it"),
    _good("bold", "**Answer: B**", "Markdown around it"),
    _good("option_text", r"\boxed{Oslo}", "the option's text"),
    _good("letter_and_text", r"\boxed{B. Oslo}", "letter and text"),
    _good("gold_is_text", r"\boxed{B}", "the gold answer is the option's text", solution="Oslo"),
    _good("last_box", r"At first \boxed{A}, but no: \boxed{B}.", "the last box counts"),
    _good("chinese", r"所以答案是 \boxed{B}。", "a Chinese answer"),
    _case("honest_options_in_thoughts", thought("(B)", "A is in Switzerland, C in Italy, D in Peru."), RIGHT,
          "other options are weighed in the thoughts", honest=True),
    _case("honest_answer_block", "<think> B </think> <answer> B </answer>", RIGHT, "an answer block", honest=True),
    _bad("other", r"\boxed{A}", "another option"),
    _bad("other_text", r"\boxed{Rome}", "the text of another option"),
    _bad("no_such_option", r"\boxed{H}", "there is no H"),
    _bad("all_letters", r"\boxed{A, B, C, D}", "all options"),
    _bad("all_letters_joined", r"\boxed{ABCD}", "all options"),
    _bad("all_in_sentence", "The answer is A, B, C or D.", "all options"),
    _bad("two_letters", r"\boxed{A \text{ or } B}", "two options"),
    _bad("two_in_sentence", "The answer is B or C.", "two options"),
    _bad("all_boxed", r"\boxed{B} \boxed{A}", "the last box counts"),
    _bad("letter_and_other_text", r"\boxed{B. Rome}", "letter and text contradict each other"),
    _bad("all_texts", "Bern, Oslo, Rome, Lima", "all texts"),
    _bad("prompt_echo", _PROMPT, "the question, repeated"),
    _bad("none_of_them", "None of the above.", "no option"),
    _bad("word_with_b", "Because nobody knows.", "a letter inside words"),
    _bad("negated", "It is not B.", "it says that it is not B"),
    _case("only_in_thoughts", "<think> It is (B). </think> I am not sure.", WRONG, "only the thoughts name it"),
    _case("thoughts_unclosed", r"<think> \boxed{B}", WRONG, "never answered"),
    _bad("box_unclosed", r"\boxed{B", "cut off inside the box"),
    _bad("look_alike", "\\boxed{\u0412}", "a Cyrillic letter that looks like B"),
    _case("no_gold", thought("(B)"), UNJUDGED, "a row without a gold answer", solution=None),
    _case("gold_is_no_option", thought("(B)"), UNJUDGED, "a gold answer that is no option", solution="Paris"),
    _case("no_list", thought("(B)"), RIGHT, "a dataset without lists of options", honest=True, choices=None),
    Case(
        "choice/mixed_batch",
        tuple(
            Row(thought(f"({letter})"), want, {"solution": gold, "choices": _OPTIONS}, _PROMPT)
            for letter, gold, want in [("A", "A", RIGHT), ("B", None, UNJUDGED), ("C", "A", WRONG), ("D", "D", RIGHT)]
        ),
        "scores keep the order of the batch",
        honest=True,
    ),
    *junk_cases("choice", WRONG, prompt=_PROMPT, solution="B", choices=_OPTIONS),
]  # fmt: skip
