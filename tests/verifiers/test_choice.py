"""Which option is chosen: honest ways of saying it, and everything that only looks like a choice."""

import time

import pytest

from trl_r1.verifiers import Verdict
from trl_r1.verifiers.choice import check_choice, verify_choice


CITIES = ["London", "Paris", "Rome", "Bern"]

# Ways to say B.
CHOSEN = [
    r"\boxed{B}",
    r"\boxed{b}",
    r"\boxed{(B)}",
    r"\boxed{\text{B}}",
    r"\boxed{\mathbf{B}.}",
    r"\boxed{\text{(B) Paris}}",
    r"\boxed{B. Paris}",
    r"\boxed{Paris}",
    r"First I thought \boxed{A}, but it is \boxed{B}.",
    "B",
    "b",
    "(B)",
    "[B]",
    "B.",
    "B)",
    "**B**",
    "**(B)** Paris",
    "$B$",
    "Ｂ",  # full width, as Chinese text has it
    "Option B",
    "Answer: B",
    "B. Paris",
    "B: Paris",
    "(B) Paris.",
    "Paris",
    "paris.",
    "The answer is B.",
    "The answer is (B).",
    "The answer is (b).",
    "The answer is **B**.",
    "The answer is: B",
    "The correct answer is B. Paris is the capital of France.",
    "The correct option is B because Paris is the capital.",
    "The answer is therefore B.",
    "So the correct choice is (B) Paris.",
    "I choose B.",
    "Option B is correct.",
    "**B** is the correct answer, since Paris is the capital.",
    "(B) is right.",
    "B\n\nParis is the capital of France.",
    "The answer is Paris.",
    "Answer: B\nLondon is the capital of another country.",
    "答案是B。",
    "答案:B",
    "答案为 (B) Paris。",
    "因此选 B。",
    "正确答案是选项B。",
    "B. Since Paris is the capital, nothing else fits.",
    "(B) is right, since Paris is the capital.",
    "Paris is the capital of France.\n\n**B**",
    "Paris is the capital of France, therefore\n(B)",
    "The answer is B, not C.",
    "It is not A, so the answer is B.",
    "If the answer is C, nothing fits. The answer is B.",
    "No, the answer is B.",
    "The answer is B and A is wrong.",
    "The answer is B. Washington D.C. is not among the options.",
    "Is it B or C? The answer is B.",
    "The answer is B. No other option fits.",
]

# Nothing that is B alone.
NOT_CHOSEN = [
    "",
    "A, B, C, D",
    "A B C D",
    "BC",
    "Bx",
    "The answer is B. Actually C.",
    "The answer is B. No, wait: C.",
    "The answer is B. Wait, it is C.",
    "I think B is correct but so is A",
    "A. London\nB. Paris\nC. Rome\nD. Bern",
    "(A) (B) (C) (D)",
    "ABCD",
    "B or C",
    "B and C",
    "(B)/(C)",
    r"\boxed{A, B}",
    r"\boxed{B or C}",
    r"\boxed{A. B}",
    r"\boxed{B) and C}",
    r"\boxed{ABCD}",
    r"\boxed{}",
    r"\boxed{B",
    r"\boxed{B} no, \boxed{C}",
    r"\boxed{B. London}",  # the letter of one option, the text of another
    r"\boxed{\boxed{C}} B",
    "(B) London",
    "The answer is (B) London.",
    "The answer is B or C.",
    "The answer is B, C.",
    "The answer is (B) and (C).",
    "The answer is B. The answer is C.",
    "The answer is Paris. The answer is Rome.",
    "Answer: B\nAnswer: C",
    "The answer is not B.",
    "I do not think the answer is B.",
    "I don't think the answer is B.",
    "Is the answer (B)?",
    "The answer is B? Hardly.",
    "The answer is a matter of taste, B aside.",
    "The answer is unknown.",
    "B is the second letter of the alphabet",
    "A good question. B",
    "Bern",
    "The best city is Paris",
    "C",
    "The answer is C.",
    "答案是B或C。",
    "答案不是B。",
    "B. Paris\nC. Rome",
    "Because of B.\nC",
    "A or B is correct.",
    "A and (B) is correct.",
    "Neither A nor B is correct.",
    "If B is correct, so is C.",
    "B is correct. C is correct.",
    "B is not correct.",
    "B\nC",
    "Z",
    "2",
    "В",  # Cyrillic
]


@pytest.mark.parametrize("text", CHOSEN)
def test_chosen(text):
    judgement = verify_choice(text, "B", CITIES)
    assert judgement.verdict is Verdict.CORRECT, judgement.reason
    assert verify_choice(text, "C", CITIES).verdict is Verdict.WRONG
    assert verify_choice(f"<think> A? C? D? </think> {text}", "B", CITIES).verdict is Verdict.CORRECT


@pytest.mark.parametrize("text", NOT_CHOSEN)
def test_not_chosen(text):
    judgement = verify_choice(text, "B", CITIES)
    assert judgement.verdict is Verdict.WRONG, judgement.reason
    assert judgement.reason


@pytest.mark.parametrize("text", [text for text in CHOSEN if "aris" not in text.lower() and "Ｂ" not in text])
def test_letters_need_no_texts(text):
    assert verify_choice(text, "(B)").verdict is Verdict.CORRECT


@pytest.mark.parametrize("text", ["<think> The answer is B. </think>", r"<think> \boxed{B} </think> Hm.", "<think> B"])
def test_thoughts_choose_nothing(text):
    assert verify_choice(text, "B", CITIES).verdict is Verdict.WRONG


def test_an_answer_block_is_read():
    text = "<think> C? </think> <answer> (B) </answer>"
    assert verify_choice(text, "B", CITIES).verdict is Verdict.CORRECT


@pytest.mark.parametrize("gold", ["B", "b", "(B)", "B.", "Paris", "B. Paris"])
def test_ways_to_write_the_gold_answer(gold):
    assert check_choice(gold, CITIES) is None
    assert verify_choice("B", gold, CITIES).verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "choices", "problem"),
    [
        ("", CITIES, "it is empty"),
        (None, None, "it is empty"),
        ("E", CITIES, "'E' is not one of 4 choices"),
        ("J", None, "'J' is not a letter of ABCDEFGH"),
        ("Berlin", CITIES, "not one of 4 choices"),
        ("Paris", None, "not a letter"),
        ("A", ["one"], "1 choices"),
        ("A", ["same", "same"], "two choices are the same"),
        ("A", "ABCD", "no list of texts"),
        ("A", [1, 2], "no list of texts"),
        ("A", 17, "no list of texts"),
    ],
)
def test_unusable_rows(gold, choices, problem):
    assert problem in check_choice(gold, choices)
    judgement = verify_choice("A", gold, choices)
    assert judgement.verdict is Verdict.UNDECIDABLE
    assert judgement.reward is None


def test_texts_that_look_alike_are_chosen_by_letter_only():
    genotypes = ["AA", "Aa", "aa"]
    assert verify_choice("(C)", "C", genotypes).verdict is Verdict.CORRECT
    assert verify_choice("aa", "C", genotypes).verdict is Verdict.WRONG
    swapped = ["B", "A"]  # an option whose text is the other's letter
    assert verify_choice("A", "A", swapped).verdict is Verdict.CORRECT


def test_ten_options():
    choices = [str(number) for number in range(10)]
    assert verify_choice("The answer is J.", "J", choices).verdict is Verdict.CORRECT
    assert verify_choice("The answer is 9.", "J", choices).verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    "junk", ["answer is " * 12_000, "( " * 50_000, "option" + " " * 100_000 + "!", "B, " * 40_000, "A. " * 40_000]
)
def test_junk_of_100_kb_takes_no_time(junk):
    start = time.perf_counter()
    assert verify_choice(junk, "B", CITIES).verdict is Verdict.WRONG
    assert time.perf_counter() - start < 5  # milliseconds; seconds would be quadratic
