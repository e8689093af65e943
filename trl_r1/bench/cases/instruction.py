"""Cases for rewards that check instructions on the answer's form: the share of a row's instructions it follows.

The column is `instructions`: a list of `{type, params}`, here as JSON. Each case has one instruction, so that the
share is 1 or 0, unless it says otherwise.
"""

from __future__ import annotations

import json
from typing import Any, Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


def _case(name: str, answer: str, want: Want, why: str, kind: str, *, honest: bool = False, **params: Any) -> Case:
    instructions = json.dumps([{"type": kind, "params": params}])
    return single(f"instruction/{name}", thought(answer), want, why, honest=honest, instructions=instructions)


def _follows(name: str, answer: str, why: str, kind: str, **params: Any) -> Case:
    return _case(f"honest_{name}", answer, RIGHT, why, kind, honest=True, **params)


def _breaks(name: str, answer: str, why: str, kind: str, **params: Any) -> Case:
    return _case(name, answer, WRONG, why, kind, **params)


_TWO: Final = json.dumps([{"type": "no_commas", "params": {}}, {"type": "words", "params": {"at_most": 5}}])
_WORDS: Final = "one two three four five six seven eight nine ten"

CASES: Final[list[Case]] = [
    _follows("words", _WORDS, "ten words", "words", at_least=10, at_most=10),
    _follows("words_chinese", "今天天气很好我们去公园散步", "characters without spaces", "words", at_least=5),
    _follows("sentences", "It rains. We stay. Nobody minds!", "three sentences", "sentences", at_least=3, at_most=3),
    _follows("sentences_decimals", "It costs 3.50 francs. Dr. Who pays.", "points that end no sentence", "sentences",
             at_most=2),
    _follows("paragraphs", "One.\n\nTwo.\n\n\nThree.", "three paragraphs", "paragraphs", at_least=3, at_most=3),
    _follows("bullets", "List:\n- a\n- b\n* c", "three bullets", "bullets", at_least=3, at_most=3),
    _follows("keyword", "The Rhine flows north. THE RHINE!", "a word twice, in any case", "keyword", word="rhine",
             at_least=2),
    _follows("forbidden", "The category is broad.", "a forbidden word inside another", "forbidden_words",
             words=["cat"]),
    _follows("starts", "Dear reader, hello.", "the beginning", "starts_with", text="Dear reader"),
    _follows("ends", "That is all. The end.", "the end", "ends_with", text="The end."),
    _follows("upper", "ALL IS WELL: 3 > 2!", "capitals, digits and signs", "uppercase"),
    _follows("lower", "all is well, isn't it?", "no capital", "lowercase"),
    _follows("no_commas", "Nothing here. Nor here.", "no comma", "no_commas"),
    _follows("json", '{"a": [1, 2]}', "JSON", "json"),
    _follows("chinese_language", "今天天气很好,我们去公园散步吧。", "in Chinese", "language", language="zh"),
    single("instruction/honest_thoughts_are_free", thought("No comma here.", "Well, first, second, third."), RIGHT,
           "only the answer is held to it", honest=True, instructions=json.dumps([{"type": "no_commas",
           "params": {}}])),
    single("instruction/only_thoughts_follow", thought("cats, dogs", "Rhine Rhine Rhine"), WRONG,
           "only the thoughts follow it", instructions=json.dumps([{"type": "keyword", "params": {"word": "rhine",
           "at_least": 1}}])),
    single("instruction/thoughts_unclosed", "<think> no comma here", WRONG, "never answered",
           instructions=json.dumps([{"type": "no_commas", "params": {}}])),
    _breaks("empty_has_no_comma", "", "an empty answer follows nothing", "no_commas"),
    _breaks("empty_is_short", "", "an empty answer follows nothing", "words", at_most=50),
    _breaks("blank_forbids", " \n ", "a blank answer follows nothing", "forbidden_words", words=["cat"]),
    _breaks("too_few_words", "one two three", "three of ten words", "words", at_least=10),
    _breaks("too_many_words", _WORDS, "ten words, five allowed", "words", at_most=5),
    _breaks("glued_words", "one_two-three/four", "glued words are not twenty", "words", at_least=20),
    _breaks("signs_for_words", "- - - - - - - - - - - -", "signs are no words", "words", at_least=10),
    _breaks("chinese_is_not_one_word", "今天天气很好我们去公园散步然后回家吃饭睡觉", "three words allowed",
            "words", at_most=3),
    _breaks("dots_for_sentences", "Well............", "full stops are no sentences", "sentences", at_least=5),
    _breaks("keyword_inside", "The category is broad.", "the word only inside another", "keyword", word="cat",
            at_least=1),
    _breaks("keyword_once", "The cat sleeps.", "once instead of three times", "keyword", word="cat", at_least=3),
    _breaks("forbidden_in_capitals", "A CAT!", "a forbidden word in capitals", "forbidden_words", words=["cat"]),
    _breaks("starts_later", "Well. Dear reader, hello.", "the beginning comes later", "starts_with",
            text="Dear reader"),
    _breaks("ends_earlier", "The end. And more.", "the end comes earlier", "ends_with", text="The end."),
    _breaks("one_capital", "all is Well", "a capital", "lowercase"),
    _breaks("one_small", "ALL IS WELl", "a small letter", "uppercase"),
    _breaks("digits_are_no_capitals", "1 2 3!", "no letter at all is no capital", "uppercase"),
    _breaks("chinese_comma", "今天很好，明天也好。", "a Chinese comma is a comma", "no_commas"),
    _breaks("dashes_are_no_bullets", "a - b - c", "dashes inside a line", "bullets", at_least=2),
    _breaks("bare_bullets", "- \n- \n- ", "bullets of nothing", "bullets", at_least=3),
    _breaks("json_in_prose", 'It is {"a": 1}.', "JSON inside a sentence", "json"),
    _breaks("other_language", "The weather is very nice today and we walk.", "not in Chinese", "language",
            language="zh"),
    single("instruction/half", thought("one, two"), Want(0.0, 0.5),
           "one of two instructions: half, or nothing if strict",
           instructions=_TWO),
    single("instruction/no_instructions", thought("hello"), UNJUDGED, "a row without instructions", instructions=None),
    single("instruction/malformed", thought("hello"), UNJUDGED, "an instruction that is none",
           instructions=json.dumps([{"type": "wordz", "params": {}}])),
    Case(
        "instruction/mixed_batch",
        tuple(
            Row(thought(answer), want, {"instructions": instructions})
            for answer, want, instructions in [
                ("one two", RIGHT, _TWO), ("x", UNJUDGED, None), ("one, two, three, four, five, six", WRONG, _TWO),
                ("a", RIGHT, _TWO),
            ]
        ),
        "each row by its own instructions, in the order of the batch",
        honest=True,
    ),
    *junk_cases("instruction", WRONG, closed=Want(0.0, 1.0),
                instructions=json.dumps([{"type": "keywords", "params": {"words": ["Rhine"]}}])),
]  # fmt: skip
