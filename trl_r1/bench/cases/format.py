"""Cases for rewards that pay for the format: thoughts, then an answer block (r1_zero) or a summary (r1).

The column `response_format` says which; cases without it are in R1's format.
"""

from __future__ import annotations

from typing import Any, Final

from trl_r1.bench.case import ANYTHING, RIGHT, WRONG, Case, Row, single, thought
from trl_r1.bench.cases.junk import junk_cases


_ZERO: Final[dict[str, Any]] = {"response_format": "r1_zero"}


def _bad(name: str, completion: str, why: str, **columns: Any) -> Case:
    return single(f"format/{name}", completion, WRONG, why, **columns)


def _good(name: str, completion: str, why: str, **columns: Any) -> Case:
    return single(f"format/honest_{name}", completion, RIGHT, why, honest=True, **columns)


R1: Final[list[Case]] = [
    _good("one_line", "<think> a thought </think> It is 7.", "no line breaks are asked for"),
    _good("lines", "<think>\na thought\n</think>\n\nIt is 7.", "line breaks around the tags"),
    _good("tight", "<think>a thought</think>It is 7.", "no spaces around the tags"),
    _good("blank_around", "\n  <think> a thought </think> It is 7.\n\n", "space around the whole"),
    _good("chinese", "<think> 三加四等于七。 </think> 答案是七。", "Chinese"),
    _good("code", "<think> ```python\nif a < b > c: print('<b>')\n``` </think> Done.", "angle brackets of a program"),
    _good("inequalities", "<think> x < y and y > z </think> It is $x<z$.", "inequalities look like tags"),
    _good("lists", "<think> 1. a\n2. b\n\n- c </think> | a | b |\n|---|---|\n| 1 | 2 |", "lists and tables"),
    _good("long", thought("It is 7.", "I add one more. " * 2000), "32 kB of thoughts"),
    _good("word_think", "<think> I think, therefore I think. </think> I think so.", "the word think is no tag"),
    _good("markdown_summary", thought("**Answer**\n\n$$\\boxed{7}$$"), "Markdown and a box in the summary"),
    _good("prefilled", "a thought </think> It is 7.", "the prompt opened the thoughts", prompt_tail="<think>\n"),
    single("format/honest_messages", [{"role": "assistant", "content": thought("It is 7.")}], RIGHT,
           "a completion as messages", honest=True),
    single("format/honest_reasoning_content",
           [{"role": "assistant", "reasoning_content": "a thought", "content": "It is 7."}], RIGHT,
           "thoughts in a field of their own", honest=True),
    _bad("no_tags", "It is 7.", "no thoughts"),
    _bad("unopened", "a thought </think> It is 7.", "never opened"),
    _bad("unclosed", "<think> a thought. It is 7.", "never closed"),
    _bad("truncated", "<think> a thought </thi", "cut off in the closing tag"),
    _bad("nested", "<think> a <think> b </think> It is 7.", "opened twice"),
    _bad("nested_closed", "<think> a <think> b </think> c </think> It is 7.", "thoughts inside thoughts"),
    _bad("closed_twice", "<think> a </think> b </think> It is 7.", "closed twice"),
    _bad("two_blocks", "<think> a </think> It is 7. <think> b </think> It is 8.", "thoughts twice"),
    _bad("reopened", "<think> a </think> It is 7. <think> b", "opened again and left open"),
    _bad("empty_thoughts", "<think></think> It is 7.", "no thoughts between the tags"),
    _bad("blank_thoughts", "<think> \n\t\n </think> It is 7.", "only space between the tags"),
    _bad("text_before", "Sure! <think> a </think> It is 7.", "text before the thoughts"),
    _bad("empty_summary", "<think> a thought </think>", "nothing after the thoughts"),
    _bad("blank_summary", "<think> a thought </think> \n\n ", "only space after the thoughts"),
    _bad("wrong_order", "</think> a thought <think> It is 7.", "closed before it is opened"),
    _bad("other_tags", "<thinking> a thought </thinking> It is 7.", "other tags"),
    _bad("upper_case", "<THINK> a thought </THINK> It is 7.", "tags are lower case: the template's own"),
    _bad("escaped", "&lt;think&gt; a thought &lt;/think&gt; It is 7.", "escaped tags are no tags"),
    _bad("look_alike_brackets", "\uff1cthink\uff1e a thought \uff1c/think\uff1e It is 7.", "full-width brackets"),
    _bad("look_alike_letter", "<th\u0456nk> a thought </th\u0456nk> It is 7.", "a Ukrainian i in the tags"),
    _bad("zero_width_in_tag", "<th\u200bink> a thought </th\u200bink> It is 7.", "a zero-width space in the tags"),
    _bad("answer_in_thoughts", "<think> <answer> 7 </answer> </think> See above.", "the answer block is a thought"),
    _bad("zero_width_thoughts", "<think>\u200b\u200b\u200b</think> It is 7.", "invisible thoughts are none"),
    _bad("chat_mark_in_summary", "<think> a </think> 7 <|im_end|><|im_start|>user", "it opens another turn"),
    _bad("only_tags", "<think></think><answer></answer>", "tags and nothing in them"),
]  # fmt: skip

R1_ZERO: Final[list[Case]] = [
    _good("zero_one_line", "<think> a thought </think> <answer> 7 </answer>", "on one line", **_ZERO),
    _good("zero_tight", "<think>a</think><answer>b</answer>", "nothing between the tags", **_ZERO),
    _good("zero_lines", "<think>\na\n</think>\n<answer>\n7\n</answer>", "on lines of their own", **_ZERO),
    _good("zero_paragraphs", "<think>\na\n\nb\n</think>\n\n\n<answer>\n\n7\n\n</answer>\n", "blank lines", **_ZERO),
    _good("zero_box", r"<think> a </think> <answer> \boxed{7} </answer>", "a box in the answer", **_ZERO),
    _good("zero_prefilled", "a thought </think> <answer> 7 </answer>", "the prompt opened the thoughts",
          prompt_tail="... <think>", **_ZERO),
    _bad("zero_summary", "<think> a thought </think> It is 7.", "no answer block", **_ZERO),
    _bad("zero_trailing_junk", "<think> a </think> <answer> 7 </answer> and so on and on", "text after it", **_ZERO),
    _bad("zero_trailing_line", "<think>\na\n</think>\n<answer>\n7\n</answer>\nThanks!", "a line after it", **_ZERO),
    _bad("zero_leading_line", "Sure!\n<think>\na\n</think>\n<answer>\n7\n</answer>", "a line before it", **_ZERO),
    _bad("zero_between", "<think> a </think> hm <answer> 7 </answer>", "text between thoughts and answer", **_ZERO),
    _bad("zero_two_answers", "<think> a </think> <answer> 7 </answer> <answer> 8 </answer>", "two answers", **_ZERO),
    _bad("zero_two_answers_lines", "<think>\na\n</think>\n<answer>\n7\n</answer>\n<answer>\n8\n</answer>",
         "two answers on lines of their own", **_ZERO),
    _bad("zero_nested_lines", "<think>\n<think>\na\n</think>\n</think>\n<answer>\n7\n</answer>",
         "thoughts inside thoughts", **_ZERO),
    _bad("zero_nested_answer", "<think> a </think> <answer> <answer> 7 </answer> </answer>",
         "an answer inside an answer", **_ZERO),
    _bad("zero_empty_answer", "<think>\na\n</think>\n<answer>\n\n</answer>", "an empty answer", **_ZERO),
    _bad("zero_empty_both", "<think>\n\n</think>\n<answer>\n\n</answer>", "empty thoughts and answer", **_ZERO),
    _bad("zero_unclosed_answer", "<think> a </think> <answer> 7", "the answer never closes", **_ZERO),
    _bad("zero_answer_first", "<answer> 7 </answer> <think> a </think>", "the answer comes first", **_ZERO),
    _bad("zero_answer_alone", "<answer> 7 </answer>", "no thoughts", **_ZERO),
    _bad("zero_quarter_of_tags", "<think>\n", "one tag of four earns no quarter", **_ZERO),
    _bad("zero_three_of_four_tags", "<think>\na\n</think>\n<answer>\n7", "three tags of four earn nothing", **_ZERO),
    _bad("steps_without_thoughts", "First, Second, Next, Finally,", "words of order are no reasoning"),
    _bad("bare_dashes", "\n- \n- \n- ", "bullets are no reasoning"),
    Case(
        "format/mixed_batch",
        (
            Row("<think> a </think> <answer> 7 </answer>", RIGHT, _ZERO),
            Row("<think> a </think> 7", WRONG, _ZERO),
            Row("<think> a </think> 7", RIGHT, {"response_format": "r1"}),
            Row("", WRONG, {"response_format": "r1"}),
        ),
        "each row by its own format, in the order of the batch",
        honest=True,
    ),
]  # fmt: skip

CASES: Final[list[Case]] = [*R1, *R1_ZERO, *junk_cases("format", WRONG, closed=ANYTHING)]
