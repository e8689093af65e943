"""Checks of an answer's form: counts of things in it, and properties it has or lacks. All in linear time."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trl_r1.errors import R1Error
from trl_r1.rewards.words import count_words
from trl_r1.verifiers.json_schema import read_json


LANGUAGE_SHARE = 0.9  # of the words, for a text in a language: names and quotations are in others

_CJK = "぀-ヿ㐀-䶿一-鿿豈-﫿〇々"
_CJK_RUN = re.compile(f"[{_CJK}]+")
_WORD = re.compile(rf"[^\W_{_CJK}]+(?:['’.,\-][^\W_{_CJK}]+)*")
_SENTENCE_END = re.compile(  # runs of marks are taken whole, or a run of them would be tried from each of its places
    r"(?<!\b[A-Za-z])(?<!\b(?:Mr|Ms|Dr|vs|St))(?<!\b(?:Mrs|etc))(?<![.!?])[.!?]++[\"'”’)\]]*+(?=\s|$)|[。！？]++[”」』]?"
)
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
_BULLET = re.compile(r"^[^\S\n]*[-*+•][^\S\n]+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^[^\S\n]*\d{1,3}[.)][^\S\n]+\S", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}[^\S\n]+\S", re.MULTILINE)
_HIGHLIGHT = re.compile(r"\*\*[^\s*](?:[^*\n]*[^\s*])?\*\*|(?<!\*)\*[^\s*](?:[^*\n]*[^\s*])?\*(?!\*)")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]{1,200}\](?!\()")
_TITLE = re.compile(r"<<([^<>\n]+)>>")
_QUOTES = (('"', '"'), ("“", "”"), ("「", "」"), ("«", "»"))


def count_text_words(text: str) -> float:
    """Words of a text. Runs of Chinese and Japanese count as [`count_words`] weighs them, 1.5 characters to a word."""
    runs = "\n".join(_CJK_RUN.findall(text))
    return len(_WORD.findall(text)) + sum(count_words(runs, "zh", ("zh",)).values())


def count_sentences(text: str) -> int:
    """Sentences of a text; the last one needs no full stop."""
    return sum(any(letter.isalnum() for letter in part) for part in _SENTENCE_END.split(text))


def count_keyword(text: str, keyword: str) -> int:
    """Times a keyword occurs, in any case; as a whole word, where its script has spaces between words."""
    pattern = re.escape(keyword.casefold())
    if keyword[:1].isalnum() and not _CJK_RUN.match(keyword):
        pattern = r"(?<!\w)" + pattern
    if keyword[-1:].isalnum() and not _CJK_RUN.match(keyword[-1:]):
        pattern += r"(?!\w)"
    return len(re.findall(pattern, text.casefold()))


def is_in_language(text: str, language: str) -> bool:
    """Whether nine of ten words are in a language."""
    code = language.strip().lower()
    counts = count_words(text, code, tuple(dict.fromkeys((code, "en", "zh"))))
    return bool(counts.get(code, 0.0) >= LANGUAGE_SHARE * sum(counts.values()) > 0)


# What can be counted; the instruction bounds it by `at_least` and `at_most`.
COUNTS: Mapping[str, Callable[[str], float]] = {
    "words": count_text_words,
    "characters": lambda text: len("".join(text.split())),
    "sentences": count_sentences,
    "paragraphs": lambda text: len(_PARAGRAPH_BREAK.split(text)),
    "lines": lambda text: sum(bool(line.strip()) for line in text.splitlines()),
    "bullets": lambda text: len(_BULLET.findall(text)),
    "numbered_items": lambda text: len(_NUMBERED.findall(text)),
    "sections": lambda text: len(_HEADING.findall(text)),
    "highlights": lambda text: len(_HIGHLIGHT.findall(text)),
    "placeholders": lambda text: len(_PLACEHOLDER.findall(text)),
    "capital_words": lambda text: sum(word.isupper() and len(word) > 1 for word in _WORD.findall(text)),
}
# The same of something that the instruction names.
NAMED_COUNTS: Mapping[str, tuple[str, Callable[[str, str], float]]] = {
    "keyword": ("word", count_keyword),
    "letter": ("letter", lambda text, letter: text.casefold().count(letter.casefold())),
}
# What holds or does not, with the parameters it takes.
PROPERTIES: Mapping[str, tuple[Mapping[str, type], Callable[..., bool]]] = {
    "keywords": ({"words": list}, lambda text, words: all(count_keyword(text, word) for word in words)),
    "forbidden_words": ({"words": list}, lambda text, words: not any(count_keyword(text, word) for word in words)),
    "starts_with": ({"text": str}, lambda answer, text: answer.startswith(text.strip())),
    "ends_with": ({"text": str}, lambda answer, text: answer.endswith(text.strip())),
    "uppercase": ({}, str.isupper),
    "lowercase": ({}, str.islower),
    "no_commas": ({}, lambda text: not set(text) & set(",，、")),
    "quoted": ({}, lambda text: len(text) > 2 and (text[0], text[-1]) in _QUOTES),
    "title": ({}, lambda text: any(title.strip() for title in _TITLE.findall(text))),
    "postscript": ({}, lambda text: bool(re.search(r"^P\.\s?S\.?\s+\S", text, re.MULTILINE))),
    "json": ({}, lambda text: _is_json(text)),
    "one_of": ({"options": list}, lambda text, options: text in [option.strip() for option in options]),
    "language": ({"language": str}, is_in_language),
}
TYPES = (*COUNTS, *NAMED_COUNTS, *PROPERTIES)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, for example `Instruction("words", {"at_least": 50})`."""

    type: str
    params: Mapping[str, Any]

    def holds(self, answer: str) -> bool:
        """Whether an answer does what it says. An empty answer does nothing."""
        answer = answer.strip()
        if not answer:
            return False
        if self.type in PROPERTIES:
            return bool(PROPERTIES[self.type][1](answer, **self.params))
        if self.type in COUNTS:
            found = COUNTS[self.type](answer)
        else:
            name, count = NAMED_COUNTS[self.type]
            found = count(answer, self.params[name])
        low, high = self.params.get("at_least"), self.params.get("at_most")
        return (low is None or found >= low) and (high is None or found <= high)


def read_instructions(value: Any) -> list[Instruction]:
    """
    The instructions of a row.

    Args:
        value (`Any`):
            A list of mappings with `type` and `params`, or the same as JSON text. Parameters that are `None` are left
            out, since a column of mappings gives each the keys of all others.

    Raises:
        `ValueError`: naming the instruction, what is wrong with it and the fix.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"instructions: no JSON ({error.msg})") from error
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ValueError("instructions: no list; write [{type: words, params: {at_most: 50}}]")
    instructions = []
    for number, item in enumerate(value, start=1):
        if not isinstance(item, Mapping) or not isinstance(item.get("type"), str):
            raise ValueError(f"instruction {number}: {item!r} has no type")
        given = item.get("params") or {}
        if not isinstance(given, Mapping) or set(item) - {"type", "params"}:
            raise ValueError(f"instruction {number} ({item['type']}): write its parameters as a mapping in `params`")
        instruction = Instruction(item["type"], {name: part for name, part in given.items() if part is not None})
        for problem in _problems(instruction):
            raise ValueError(f"instruction {number} ({instruction.type}): {problem}")
        instructions.append(instruction)
    return instructions


def _problems(instruction: Instruction) -> Iterator[str]:
    kind, params = instruction.type, instruction.params
    if kind not in TYPES:
        near = difflib.get_close_matches(kind, TYPES, n=1)
        yield f"unknown; {f'did you mean {near[0]}?' if near else 'use one of ' + ', '.join(TYPES)}"
        return
    wanted: dict[str, type] = {"at_least": int, "at_most": int}
    required = list(PROPERTIES[kind][0]) if kind in PROPERTIES else []
    if kind in PROPERTIES:
        wanted = dict(PROPERTIES[kind][0])
    elif kind in NAMED_COUNTS:
        required = [NAMED_COUNTS[kind][0]]
        wanted[required[0]] = str
    yield from (
        f"has no parameter {name!r}; it takes {', '.join(wanted) or 'none'}" for name in set(params) - set(wanted)
    )
    yield from (f"{name} is missing" for name in required if name not in params)
    yield from filter(None, (_value_problem(name, params[name], wanted[name]) for name in params if name in wanted))
    if kind not in PROPERTIES:
        yield from _bound_problems(params)
    if kind == "language" and isinstance(params.get("language"), str):
        yield from _language_problems(params["language"])


def _value_problem(name: str, value: Any, kind: type) -> str | None:
    if kind is int:
        right, what = isinstance(value, int) and not isinstance(value, bool) and value >= 0, "a number, at least 0"
    elif kind is list:
        right = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
        right, what = right and all(isinstance(part, str) and part.strip() for part in value), "a list of texts"
    else:
        right, what = isinstance(value, str) and bool(value.strip()), "a text"
    return None if right else f"{name}: {value!r} is not {what}"


def _bound_problems(params: Mapping[str, Any]) -> Iterator[str]:
    low, high = params.get("at_least"), params.get("at_most")
    if low is None and high is None:
        yield "give at_least, at_most or both"
    elif isinstance(low, int) and isinstance(high, int) and low > high:
        yield f"at_least {low} is more than at_most {high}"


def _language_problems(language: str) -> Iterator[str]:
    try:
        is_in_language("a few words that need a language", language)  # loads the detector, where one is needed
    except R1Error as error:
        yield str(error)


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ValueError:
        return False
    return True
