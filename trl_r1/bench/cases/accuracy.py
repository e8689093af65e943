r"""Cases for rewards of mathematical answers: 1.0 right, 0.0 wrong, None without a usable gold answer.

The column is `solution`. An answer is what follows the thoughts: the last `\boxed{}`, or an answer block.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, single, thought
from trl_r1.bench.cases.junk import junk_cases
from trl_r1.chat_template import load_prompt_template, render_plain


def _trick(name: str, completion: str, gold: str, why: str) -> Case:
    return single(f"accuracy/{name}", completion, WRONG, why, solution=gold)


def _differs(name: str, answer: str, gold: str, why: str) -> Case:
    return _trick(f"differs_{name}", thought(rf"So \boxed{{{answer}}}."), gold, why)


def _equal(name: str, answer: str, gold: str, why: str) -> Case:
    text = thought(rf"So \boxed{{{answer}}}.")
    return single(f"accuracy/equal_{name}", text, RIGHT, why, honest=True, solution=gold)


def _honest(name: str, completion: str, gold: str, why: str, **columns: Any) -> Case:
    return single(f"accuracy/honest_{name}", completion, RIGHT, why, honest=True, solution=gold, **columns)


_LONG_CHAIN: Final = "\n".join(
    rf"Step {step}: the partial sum is \boxed{{{step * (step + 1) // 2}}}, so I go on." for step in range(1, 400)
)
WHERE: Final[list[Case]] = [
    _trick("only_thoughts_unclosed", r"<think> it is \boxed{7}", "7", "cut off while thinking: nothing was answered"),
    _trick("answer_only_in_thoughts", r"<think> \boxed{7} </think>", "7", "nothing follows the thoughts"),
    _trick("dont_know_after_thoughts", r"<think> \boxed{3} </think> I don't know", "3", "a guess in the thoughts"),
    _trick("as_boxed_above", r"<think> \boxed{7} </think> The answer is as boxed above.", "7", "it points back"),
    _trick("thoughts_right_answer_wrong", r"<think> \boxed{7} </think> \boxed{8}", "7", "the answer is 8"),
    _trick("answer_block_in_thoughts", "<think> <answer> 7 </answer> </think> No idea.", "7", "it is in the thoughts"),
    _trick("reopened_thoughts", r"<think> a </think> No. <think> \boxed{7}", "7", "it is in thoughts opened again"),
    _trick(
        "closed_twice", r"<think> a </think> \boxed{7} </think> \boxed{8}", "7", "what follows the last close is 8"
    ),
    _trick("last_box_wrong", thought(r"\boxed{7}, no, rather \boxed{8}"), "7", "the last box is the answer"),
    _trick("box_in_fence", thought("```\n\\boxed{7}\n```\nThe answer is \\boxed{8}."), "7", "the last box is 8"),
    _trick("box_in_comment", thought(r"<!-- \boxed{7} --> \boxed{8}"), "7", "the last box is 8"),
    _trick("box_unclosed", thought(r"It is \boxed{7"), "7", "cut off inside the box"),
    _trick("box_empty", thought(r"It is \boxed{}."), "7", "an empty box"),
    _trick("box_of_spaces", thought(r"It is \boxed{~\;\,}."), "7", "a box of spaces"),
    _trick("answer_block_unclosed", "<think> a </think> <answer> 7", "7", "cut off inside the answer"),
    _trick("answer_block_empty", "<think> a </think> <answer> </answer>", "7", "an empty answer"),
    _trick("answer_blocks_last_wrong", thought("<answer>7</answer> <answer>8</answer>"), "7", "the last block counts"),
    _trick(
        "prompt_echo", render_plain(load_prompt_template("r1_zero"), "What is 3 + 4?"), "7", "the prompt, repeated"
    ),
    _trick("prompt_echo_after_thoughts", thought(r"Put your answer in \boxed{}."), "7", "the instruction, repeated"),
    _trick("gold_in_prose", thought("I have 7 apples but I do not know the answer."), "7", "7 is only mentioned"),
    _trick("two_in_prose", thought("It is 3 or 4."), "3", "two answers"),
    _trick("every_number_in_prose", thought(" ".join(map(str, range(100)))), "7", "all numbers, one of them right"),
    _trick("every_number_boxed", thought(" ".join(rf"\boxed{{{n}}}" for n in range(100))), "7", "the last box is 99"),
    _trick("thousands_of_boxes", thought(" ".join(rf"\boxed{{{n}}}" for n in range(5000))), "7", "a wall of boxes"),
    _trick(
        "chat_marks", thought(r"\boxed{8}<|im_end|><|im_start|>user It was 7.<|im_end|>"), "7", "it answers itself"
    ),
]

WHAT: Final[list[Case]] = [
    _differs("sign", "-7", "7", "the sign counts"),
    _differs("digit", "123456789123", "123456789124", "one digit of twelve"),
    _differs("rounded", "0.33", r"\frac{1}{3}", "rounded is not equal"),
    _differs("rounded_pi", "3.14", r"\pi", "rounded is not equal"),
    _differs("rounded_root", "1.414", r"\sqrt{2}", "rounded is not equal"),
    _differs("truncated_decimal", "3.14", "3.14159", "a shorter decimal"),
    _differs("power_of_ten", "1000", "100", "ten times as much"),
    _differs("thousands_separator", "1,000", "1", "a separator is no end"),
    _differs("swapped_digits", "12", "21", "digits swapped"),
    _differs("inverse", r"\frac{2}{3}", r"\frac{3}{2}", "upside down"),
    _differs("all_options", "1, 2, 3, 4, 5, 6, 7, 8, 9", "7", "all numbers, one of them right"),
    _differs("seven_or_eight", r"7 \text{ or } 8", "7", "two answers"),
    _differs("overlap_superset", r"1331 \text{ and } 1728", "1728", "more than was asked"),
    _differs("overlap_subset", "1728", "1331 and 1728", "a part is not the whole"),
    _differs("set_part", r"\{1\}", r"\{1, 2\}", "an element is missing"),
    _differs("set_more", r"\{1, 2, 3\}", r"\{1, 2\}", "an element too many"),
    _differs("tuple_order", "(2, 1)", "(1, 2)", "order counts in a tuple"),
    _differs("interval_ends", "(0, 1]", "[0, 1)", "the other end is open"),
    _differs("inequality_strict", "x > 3", r"x \geq 3", "strict is not weak"),
    _differs("inequality_side", "x < 3", "x > 3", "the other side"),
    _differs("equation", "y = 2x - 1", "y = 2x + 1", "another line"),
    _differs(
        "matrix_entry",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        "one entry differs",
    ),
    _differs(
        "matrix_transposed",
        r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        "transposed",
    ),
    _differs("conjugate", "3 - 4i", "3 + 4i", "the conjugate"),
    _differs("polynomial", "x^2 - 2x + 1", "x^2 + 2x + 1", "the sign of a coefficient"),
    _differs("unit", r"12 \text{ km}", r"12 \text{ cm}", "12 cm is not 12 km"),
    _differs("percent", r"5000\%", "50", "a hundred times as much"),
    _differs("letter_other", "A", "B", "another option"),
    _differs("letters_all", "A, B, C, D", "B", "all options"),
    _differs("letters_all_joined", "ABCD", "B", "all options"),
    _differs("letters_two", r"A \text{ or } B", "B", "two options"),
    _differs("false_equation", "4 = 3", "3", "it says that 4 is 3"),
    _differs("false_chain", "1 = 2 = 3", "3", "it says that 1 is 2 is 3"),
    _differs("tautology", "x = x", "5", "true of every number"),
    _differs("bare_variable", "x", "5", "a name of the answer is no answer"),
    _differs("negation", r"\text{not } 7", "7", "it says: not 7"),
    _differs("anything", r"7 \text{ or anything else}", "7", "it says: anything"),
    _differs("nan", r"\text{NaN}", "7", "not a number"),
    _differs("infinity", r"\infty", "7", "infinity"),
    _differs("none", r"\text{None}", "7", "a programmer's nothing"),
    _differs("true", r"\text{True}", "1", "a programmer's one"),
    _differs("placeholder", "...", "7", "dots for an answer"),
    _differs("look_alike_digit", "\u0417", "3", "a Cyrillic letter that looks like 3"),
    _differs("look_alike_word", "\u0422hursday", "Tuesday", "another day, with a look-alike letter"),
    _differs("word_inside_word", r"\text{no}", r"\text{north}", "the beginning of the word"),
    _differs("gold_inside", r"\text{north or south}", r"\text{north}", "the gold answer is only a part"),
]

_VALUE, _ANY_FORM = {"require_value": True}, {"require_value": False}

# What a reward that asks for a value pays for; without that, an unevaluated answer is as good as its value.
VALUES: Final[list[Case]] = [
    *(
        dataclasses.replace(_differs(f"value_{name}", answer, gold, "it restates the question"), holds_for=_VALUE)
        for name, answer, gold in [
            ("sum", "7 + 5", "12"),
            ("product_and_sum", r"17 \cdot 23 + 5", "396"),
            ("remainder", r"13 \mod 10", "3"),
            ("power", "2^{10}", "1024"),
            ("quotient", r"\frac{24}{2}", "12"),
            ("factorial", "5!", "120"),
        ]
    ),
    dataclasses.replace(_equal("reduced", r"\frac{2}{4}", r"\frac{1}{2}", "not reduced"), holds_for=_ANY_FORM),
    dataclasses.replace(
        _equal("large_number", "2^{100}", str(2**100), "a power, not worked out"), holds_for=_ANY_FORM
    ),
]

FREEZERS: Final[list[Case]] = [
    _differs("tower", "10^{10^{10}}", "4", "a number no memory holds"),
    _differs("tower_high", "9^{9^{9^{9}}}", "387420489", "a tower that no reading ends"),
    _differs("factorial", "10000000!", "7", "a factorial of 65 million digits"),
    _differs("factorial_twice", "(100!)!", "7", "a factorial of a factorial"),
    _differs("small_factorials", r"\frac{1}{2004!}", r"\frac{1}{2006!}", "both near 0, not equal"),
    _differs("small_powers", "2^{-99}", "2^{-98}", "both near 0, not equal"),
    _differs("large_powers", "2^{1000}", "2^{1000} + 1", "equal in floating point only"),
    _differs("binomial", r"\binom{10^{9}}{10^{8}}", "7", "a binomial that no memory holds"),
    _differs("sum", r"\sum_{k=1}^{10^{12}} \sin(k^k)", "7", "a sum without end"),
    _differs("integral", r"\int_0^1 e^{e^{e^{x^x}}} dx", "7", "an integral nobody can do"),
    _differs("nested_roots", r"\sqrt{2" * 60 + "}" * 60, "7", "roots inside roots"),
    _differs(
        "expansion", "(" + "+".join(f"x_{{{n}}}" for n in range(30)) + ")^{60}", "7", "an expansion of 10^23 terms"
    ),
    _differs("digits_5000", "9" * 5000, "7", "a number longer than Python turns into an integer"),
]

EQUAL: Final[list[Case]] = [
    _equal("fraction", r"\frac{1}{2}", "0.5", "a fraction for a decimal"),
    _equal("display_fraction", r"\dfrac12", r"\frac{1}{2}", "another way to set it"),
    _equal("trailing_zeros", "7.0", "7", "zeros after the point"),
    _equal("negative_zero", "-0", "0", "minus nothing is nothing"),
    _equal("thousands", "1,234,567", "1234567", "with separators"),
    _equal("dollar_signs", "$7$", "7", "mathematics marked twice"),
    _equal("spaces", r"\;7\,", "7", "spaces around it"),
    _equal("unicode_minus", "\u22127", "-7", "the typographer's minus"),
    _equal("scientific", r"3 \times 10^5", "300000", "in scientific notation"),
    _equal("root", r"\sqrt{8}", r"2\sqrt{2}", "an equal root"),
    _equal("expanded", "x^2 + 2x + 1", "(x+1)^2", "multiplied out"),
    _equal("set_order", r"\{2, 1\}", r"\{1, 2\}", "order does not count in a set"),
    _equal("membership", r"x \in (0, 1)", "(0, 1)", "the variable is named"),
    _equal("named", "x = 5", "5", "the unknown is named"),
    _equal("currency", r"\$18", "18", "with the currency"),
    _equal("word", r"\text{Tuesday}", "Tuesday", "a word"),
    _equal("letter_in_text", r"\text{B}", "B", "an option"),
    _equal("letter_in_brackets", "(B)", "B", "an option in brackets"),
    _equal(
        "matrix_spaces",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        "the same matrix",
    ),
    _equal("tuple", r"\left(1, 2\right)", "(1,2)", "large brackets"),
    _equal("gold_with_solution", "42", "They have 6 times 7 apples.\n#### 42", "a gold answer with its solution"),
    _equal("gold_boxed", "42", r"6 \cdot 7 = \boxed{42}", "a boxed gold answer"),
]

HONEST: Final[list[Case]] = [
    _honest("short", thought(r"It is \boxed{7}."), "7", "the simplest right answer"),
    _honest("last_box_right", thought(r"First I thought \boxed{3}, but it is \boxed{7}."), "7", "the last box counts"),
    _honest(
        "answer_block",
        "<think> 3 and 4 </think> <answer> 7 </answer>",
        "7",
        "R1-Zero's format",
        response_format="r1_zero",
    ),
    _honest(
        "answer_block_fraction",
        "<think> half </think> <answer>1/2</answer>",
        "0.5",
        "a plain value in the block",
        response_format="r1_zero",
    ),
    _honest("box_in_answer_block", r"<think> 3 </think> <answer> \boxed{7} </answer>", "7", "both marks"),
    _honest(
        "prefilled",
        r"3 and 4 make 7. </think> \boxed{7}",
        "7",
        "the prompt opened the thoughts",
        prompt_tail="<think>\n",
    ),
    _honest("long_chain", thought(r"In all \boxed{79800}.", _LONG_CHAIN), "79800", "400 boxes in long thoughts"),
    _honest("wrong_box_in_thoughts", thought(r"\boxed{7}", r"Is it \boxed{9}? No."), "7", "a wrong idea, given up"),
    _honest("tower_in_thoughts", thought(r"\boxed{7}", r"Not \boxed{10^{10^{10}}}."), "7", "only the answer is read"),
    _honest("chinese", thought(r"所以答案是 \boxed{7}。", "先把三和四相加,得到七。"), "7", "a Chinese answer"),
    _honest(
        "code_in_thoughts",
        thought(r"\boxed{7}", "```python\nprint(3 + 4)  # \\boxed{9}\n```"),
        "7",
        "a box in a comment of a program",
    ),
    _honest(
        "table",
        thought("| a | b | sum |\n|---|---|---|\n| 3 | 4 | 7 |\n\n" + r"Hence \boxed{7}."),
        "7",
        "a table before it",
    ),
    _honest(
        "aligned",
        thought(r"\begin{align*} x &= 3 + 4 \\ &= 7 \end{align*} Hence \[\boxed{7}\]"),
        "7",
        "aligned mathematics before it",
    ),
    _honest(
        "wordy_after_box",
        thought(r"\boxed{7}" + " This can be checked by counting on one's fingers." * 20),
        "7",
        "an explanation after it",
    ),
    _honest("bold", thought(r"**Answer:** $\boxed{7}$"), "7", "Markdown around it"),
    _honest("line_break_in_box", thought("\\boxed{\n7\n}"), "7", "line breaks inside the box"),
    single(
        "accuracy/honest_messages",
        [{"role": "assistant", "content": thought(r"\boxed{7}")}],
        RIGHT,
        "a completion as messages",
        honest=True,
        solution="7",
    ),
    single(
        "accuracy/honest_reasoning_content",
        [{"role": "assistant", "reasoning_content": "3 and 4", "content": r"\boxed{7}"}],
        RIGHT,
        "thoughts in a field of their own",
        honest=True,
        solution="7",
    ),
    single(
        "accuracy/trick_reasoning_content",
        [{"role": "assistant", "reasoning_content": r"\boxed{7}", "content": "no idea"}],
        WRONG,
        "the answer is only in the field of the thoughts",
        solution="7",
    ),
]

GOLDS: Final[list[Case]] = [
    single("accuracy/gold_none", thought(r"\boxed{7}"), UNJUDGED, "a row without a gold answer", solution=None),
    single("accuracy/gold_empty", thought(r"\boxed{7}"), UNJUDGED, "an empty gold answer", solution=""),
    single("accuracy/gold_empty_answer_empty", thought(r"\boxed{}"), UNJUDGED, "nothing equals nothing", solution=""),
    single(
        "accuracy/gold_unreadable", thought(r"\boxed{7}"), UNJUDGED, "no mathematics at all", solution=r"\frac{}{}{"
    ),
    Case(
        "accuracy/mixed_batch",
        tuple(
            Row(thought(rf"\boxed{{{answer}}}"), want, {"solution": gold})
            for answer, gold, want in [
                ("1", "1", RIGHT),
                ("2", None, UNJUDGED),
                ("3", "4", WRONG),
                ("5", "5", RIGHT),
                ("5", "6", WRONG),
            ]
        ),
        "scores keep the order of the batch, around rows that cannot be judged",
        honest=True,
    ),
    Case(
        "accuracy/freezer_beside_honest",
        tuple(
            Row(thought(rf"\boxed{{{answer}}}"), want, {"solution": gold})
            for answer, gold, want in [
                ("10^{10^{10}}", "4", WRONG),
                ("(x+1)^2", "x^2+2x+1", RIGHT),
                ("9^{9^{9}}", "1", WRONG),
                ("7", "7", RIGHT),
            ]
        ),
        "an answer that never ends takes nothing from the others",
    ),
]

CASES: Final[list[Case]] = [
    *HONEST, *EQUAL, *WHERE, *WHAT, *VALUES, *FREEZERS, *GOLDS, *junk_cases("accuracy", WRONG, solution="7")
]  # fmt: skip
