"""The parser: every defect by name, both formats, prefilled tags; templates: what they keep and what they mark."""

import pytest

from trl_r1.chat_template import (
    Defect,
    ParsedCompletion,
    ThinkParser,
    check_round_trip,
    completion_text,
    load_prompt_template,
    load_template,
    render_plain,
)
from trl_r1.errors import TemplateError


ZERO_CASES = [
    ("<think> a </think> <answer> 6 </answer>", "a", "6", []),
    ("<think>a</think><answer>6</answer>", "a", "6", []),
    ("<think>\na\nb\n</think>\n<answer>\n6\n</answer>", "a\nb", "6", []),
    ("", None, None, ["missing_open", "missing_close", "answer_missing"]),
    ("so 6", None, None, ["missing_open", "missing_close", "answer_missing"]),
    ("<answer> 6 </answer>", None, "6", ["missing_open", "missing_close"]),
    ("<think> </think> <answer> 6 </answer>", "", "6", ["empty_reasoning"]),
    ("<think> a <answer> 6 </answer>", "a <answer> 6 </answer>", None, ["missing_close", "answer_missing"]),
    ("a </think> <answer> 6 </answer>", "a", "6", ["missing_open"]),
    ("hi <think> a </think> <answer> 6 </answer>", "a", "6", ["text_before_think"]),
    ("<think> a <think> b </think> <answer> 6 </answer>", "a <think> b", "6", ["nested"]),
    ("<think> a </think> b </think> <answer> 6 </answer>", "a </think> b", "6", ["repeated_close"]),
    (
        "<think> <answer> 5 </answer> </think> <answer> 6 </answer>",
        "<answer> 5 </answer>",
        "6",
        ["answer_in_reasoning"],
    ),
    ("<think> a </think> 6", "a", "6", ["answer_missing"]),
    ("<think> a </think> <answer> 6", "a", None, ["answer_unclosed"]),
    ("<think> a </think> <answer> </answer>", "a", None, ["answer_missing"]),
    ("<think> a </think> <answer> 5 </answer> <answer> 6 </answer>", "a", "6", ["answer_repeated"]),
    ("<think> a </think> so <answer> 6 </answer>", "a", "6", ["text_around_answer"]),
    ("<think> a </think> <answer> 6 </answer> done", "a", "6", ["text_around_answer"]),
    ("<think> a </think> 5 <think> 6", "a", "5", ["missing_close", "nested", "answer_missing"]),
    ("<think> ... </think> <answer> 6 </answer>", "...", "6", ["blank_reasoning"]),
    ("<think> a </answer> </think> <answer> 6 </answer>", "a </answer>", "6", ["stray_answer_close"]),
    ("<think> a </think> </answer> <answer> 6", "a", None, ["stray_answer_close", "answer_unclosed"]),
    ("<think> a <Think> b </think> <answer> 6 </answer>", "a <Think> b", "6", ["look_alike_tag"]),
    ("<think> a </think> <answer> 6 <|im_end|> </answer>", "a", "6 <|im_end|>", ["chat_mark"]),
]


@pytest.mark.parametrize(("text", "reasoning", "answer", "defects"), ZERO_CASES)
def test_r1_zero_format(text, reasoning, answer, defects):
    parsed = ThinkParser("r1_zero").parse(text)
    assert (parsed.reasoning, parsed.answer) == (reasoning, answer)
    assert set(parsed.defects) == {Defect(defect) for defect in defects}
    assert parsed.well_formed == (not defects)


def test_every_defect_has_a_case():
    assert {defect for *_, defects in ZERO_CASES for defect in defects} == {defect.value for defect in Defect}


@pytest.mark.parametrize("thought", [".", "…", "\u200b\u200d", "\ufeff", "\u3164\u2800", "-- !? --", "🙂"])
def test_thoughts_without_a_letter_or_digit_are_blank(thought):
    parsed = ThinkParser().parse(f"<think>{thought}</think> 3")
    assert (parsed.answer, parsed.defects) == ("3", (Defect.BLANK_REASONING,))


@pytest.mark.parametrize("answer", ["\u200b", "\ufeff\u200d ", "\u2800"])
def test_an_answer_nobody_can_see_is_missing(answer):
    for text in (f"<think> a </think> {answer}", f"<think> a </think> <answer>{answer}</answer>"):
        parsed = ThinkParser().parse(text)
        assert (parsed.answer, parsed.defects) == (None, (Defect.ANSWER_MISSING,))


LOOK_ALIKES = ["<Think>", "<THINK>", "< think >", "<think/>", "</ think>", "<thinking>", "＜think＞", "〈/answer〉"]


@pytest.mark.parametrize(
    "tag", [*LOOK_ALIKES, "&lt;think&gt;", "<th\u200bink>", "<th\u0456nk>", "<\uff54hink>", "</Answer>"]
)
def test_look_alikes_of_tags(tag):
    parsed = ThinkParser().parse(f"<think> a {tag} </think> so {tag} 3")
    assert (parsed.reasoning, parsed.defects) == (f"a {tag}", (Defect.LOOK_ALIKE_TAG,))


@pytest.mark.parametrize(
    "mark", ["<|im_start|>user", "<|endoftext|>", "<｜User｜>", "[INST]", "<</SYS>>", "<start_of_turn>model"]
)
def test_turns_of_the_policys_own(mark):
    for text in (f"<think> a </think> 3 {mark} thanks", f"<think> a {mark} b </think> 3"):
        assert ThinkParser().parse(text).defects == (Defect.CHAT_MARK,)


@pytest.mark.parametrize(
    "text",
    [
        "<think> the template prints `<|im_start|>` and `<Think>` </think> It is `<|im_end|>`.",
        "<think>\n```\n<THINK>\n[INST]\n```\n</think> The second.",
        "<think> if x<answer and think>3, then |x| < 2 </think> So $|x| < 2$ and b<a.",
        "<think> 4 5 9 </think> -",
        "<think> 我们相加 </think> ∅",
        "<think> List<Answer> holds an <answers_list> </think> <html>",
        "<think> say «a thought of mine» and think &lt; answer &gt; 3, or 0 < answer > 1 </think> 3",
    ],
)
def test_honest_completions_have_no_defect(text):
    assert ThinkParser().parse(text).defects == ()


@pytest.mark.timeout(20)  # some .02 s here
@pytest.mark.parametrize(
    "unit", ["<think>", "</think>", "<answer>", "<", "&lt;", "<|", "`", "```", "<｜", "\u200b", "< "]
)
def test_junk_takes_linear_time(unit):
    for response_format in ("r1", "r1_zero"):
        assert ThinkParser(response_format).parse(unit * (100_000 // len(unit)), "<think>\n").defects


@pytest.mark.parametrize(
    ("text", "answer", "defects"),
    [
        (r"<think> a </think> the answer is \boxed{ 6 }", r"the answer is \boxed{ 6 }", ()),
        ("<think> a </think> <answer> 6 </answer>", "6", ()),
        ("<think> a </think> so <answer> 6 </answer> done", "6", ()),
        ("<think> a </think>", None, (Defect.ANSWER_MISSING,)),
        ("<think> a", None, (Defect.MISSING_CLOSE, Defect.ANSWER_MISSING)),
    ],
)
def test_r1_format_takes_a_summary(text, answer, defects):
    parsed = ThinkParser().parse(text)
    assert (parsed.answer, parsed.defects) == (answer, defects)


@pytest.mark.parametrize("tail", ["<|im_start|>assistant\n<think>\n", "<think>", "<think> "])
def test_a_prefilled_think_tag_belongs_to_the_completion(tail):
    parsed = ThinkParser().parse("a </think> 6", prompt_tail=tail)
    assert (parsed.reasoning, parsed.answer, parsed.defects) == ("a", "6", ())


def test_a_forced_chain_start_is_part_of_the_reasoning():
    assert ThinkParser().parse("4 </think> 6", prompt_tail="<think> a").reasoning == "a 4"


def test_tags_in_the_question_are_not_a_prefill():
    tail = "write text between <think> and </think>. Assistant:"
    assert Defect.MISSING_OPEN in ThinkParser().parse("a </think> 6", prompt_tail=tail).defects


def test_unknown_format_is_refused():
    with pytest.raises(TemplateError, match="response_format: 'xml'"):
        ThinkParser("xml")


def test_completion_text_reads_strings_and_messages():
    assert completion_text("a") == "a"
    assert completion_text([{"role": "assistant", "content": "a"}]) == "a"
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert completion_text([{"role": "user", "content": parts}]) == "ab"
    parsed = ThinkParser().parse(completion_text([{"role": "assistant", "content": "6", "reasoning_content": "a"}]))
    assert (parsed.reasoning, parsed.answer) == ("a", "6")


def test_r1_template_keeps_the_reasoning_of_every_turn_and_masks_it_in(tokenizer):
    check_round_trip(tokenizer)
    messages = [
        {"role": "user", "content": "what is 4 plus 5 ?"},
        {"role": "assistant", "content": "<think> 4 plus 5 9 </think> the answer is 9"},
        {"role": "user", "content": "minus 3 ?"},
        {"role": "assistant", "content": "6", "reasoning_content": "9 minus 3 6"},
    ]
    out = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    kept = [token for token, kept in zip(out["input_ids"], out["assistant_masks"], strict=True) if kept]
    expected = "<think> 4 plus 5 9 </think> the answer is 9<|im_end|><think> 9 minus 3 6 </think> 6<|im_end|>"
    assert kept == tokenizer(expected)["input_ids"]


def test_r1_template_prefills_only_when_asked(tokenizer):
    messages = [{"role": "user", "content": "hello ?"}]
    plain = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prefilled = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, prefill_think=True)
    assert plain == "<|im_start|>user\nhello ?<|im_end|>\n<|im_start|>assistant\n"
    assert prefilled == plain + "<think>\n"


def test_a_template_that_drops_reasoning_is_refused(tokenizer):
    dropping = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
    with pytest.raises(TemplateError, match="drops the reasoning of 2 of 2 assistant turns"):
        check_round_trip(tokenizer, chat_template=dropping)


def test_paper_template_has_the_papers_structure():
    prompt = render_plain(load_prompt_template("r1_zero"), "What is {x}?")
    assert prompt.endswith("User: What is {x}?. Assistant:")
    assert "<think> the reasoning </think> <answer> the answer </answer>" in prompt


@pytest.mark.parametrize(("text", "times"), [("no field", 0), ("{prompt} {prompt}", 2)])
def test_prompt_templates_need_their_field_once(tmp_path, text, times):
    (tmp_path / "template.txt").write_text(text)
    with pytest.raises(TemplateError, match=f"holds {{prompt}} {times} times"):
        load_prompt_template(str(tmp_path / "template.txt"))


def test_unknown_templates_are_named():
    with pytest.raises(TemplateError, match="'nowhere' is neither a template of trl_r1"):
        load_template("nowhere")


def test_a_model_that_never_thinks_answers_with_all_it_says():
    parser = ThinkParser("plain")
    assert parser.parse(" It is 4. ") == ParsedCompletion(None, "It is 4.", ())
    assert parser.parse("<answer> 4 </answer>") == ParsedCompletion(None, "4", ())
    assert parser.parse("  ") == ParsedCompletion(None, None, (Defect.ANSWER_MISSING,))
    for text in ("<think> 2 and 2 </think> It is 4.", "<think> 2 and 2", "2 and 2 </think> It is 4."):
        assert parser.parse(text) == ThinkParser("r1").parse(text)
