"""IFEval's instructions in the words of our own checks, where both mean the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from trl_r1.evaluation.benchmarks.unusable import UnusableRowError, text_of
from trl_r1.rewards.instruction_checks import read_instructions


Kwargs = Mapping[str, Any]


def read_ifeval(row: Mapping[str, Any], columns: Mapping[str, str], rng: random.Random) -> dict[str, Any]:
    """
    A prompt with the instructions that its answer must follow, all of them (IFEval's prompt-level strict accuracy).

    A row with an instruction that our checks do not know, or mean otherwise, is left out.
    """
    names = row[columns.get("instruction_ids", "instruction_id_list")]
    given = row[columns.get("kwargs", "kwargs")]
    given = _unpacked(given)
    if not names or not isinstance(given, list) or len(names) != len(given):
        raise UnusableRowError("instructions_missing")
    instructions = [_translate(name, _set(kwargs)) for name, kwargs in zip(names, given, strict=True)]
    try:
        read_instructions(instructions)
    except ValueError as error:  # what no answer could be judged by, such as a language we cannot tell
        raise UnusableRowError("instruction_malformed") from error
    prompt = text_of(row, columns.get("prompt", "prompt"))
    found = {"problem": prompt, "instructions": json.dumps(instructions), "reward_type": "instructions"}
    return found | ({"question_id": str(row["key"])} if row.get("key") is not None else {})


def _set(kwargs: Any) -> Kwargs:
    """What is given: a column of mappings gives each the keys of all others."""
    kwargs = _unpacked(kwargs) or {}
    if not isinstance(kwargs, Mapping):
        raise UnusableRowError("instruction_malformed")
    return {name: value for name, value in kwargs.items() if value is not None}


def _unpacked(value: Any) -> Any:
    """What a text of JSON holds."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise UnusableRowError("instruction_malformed") from error


def _translate(name: str, kwargs: Kwargs) -> dict[str, Any]:
    if name not in SAME:
        raise UnusableRowError("instruction_not_checkable")
    try:
        kind, params = SAME[name](kwargs)
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableRowError("instruction_malformed") from error
    return {"type": kind, "params": params}


def _count(kind: str, number: str, relation: str, named: Mapping[str, str] | None = None) -> Callable[[Kwargs], Any]:
    """So many of something: IFEval's relations are `at least` and `less than`."""

    def translate(kwargs: Kwargs) -> tuple[str, dict[str, Any]]:
        bound = int(kwargs[number])
        bounds = {"at least": {"at_least": bound}, "less than": {"at_most": bound - 1}}
        own = {ours: kwargs[theirs] for ours, theirs in (named or {}).items()}
        return kind, {**own, **bounds[kwargs.get(relation, "at least")]}

    return translate


def _exactly(kind: str, number: str) -> Callable[[Kwargs], Any]:
    return lambda kwargs: (kind, {"at_least": int(kwargs[number]), "at_most": int(kwargs[number])})


def _plain(kind: str, **named: str) -> Callable[[Kwargs], Any]:
    return lambda kwargs: (kind, {ours: kwargs[theirs] for ours, theirs in named.items()})


def _postscript(kwargs: Kwargs) -> tuple[str, dict[str, Any]]:
    if kwargs.get("postscript_marker", "P.S.") != "P.S.":
        raise ValueError("another mark than P.S.")
    return "postscript", {}


# Ours and IFEval's count alike but for what a word or a sentence is in rare cases. Left out, since they differ or are
# unknown to us: paragraphs parted by ***, the first word of the n-th paragraph, sections under a named word, one of
# three fixed sentences anywhere, two responses, a prompt repeated, and an end that is compared without its case.
SAME: Final[Mapping[str, Callable[[Kwargs], Any]]] = {
    "keywords:existence": _plain("keywords", words="keywords"),
    "keywords:forbidden_words": _plain("forbidden_words", words="forbidden_words"),
    "keywords:frequency": _count("keyword", "frequency", "relation", {"word": "keyword"}),
    "keywords:letter_frequency": _count("letter", "let_frequency", "let_relation", {"letter": "letter"}),
    "length_constraints:number_words": _count("words", "num_words", "relation"),
    "length_constraints:number_sentences": _count("sentences", "num_sentences", "relation"),
    "detectable_content:number_placeholders": _count("placeholders", "num_placeholders", ""),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _exactly("bullets", "num_bullets"),
    "detectable_format:number_highlighted_sections": _count("highlights", "num_highlights", ""),
    "detectable_format:title": _plain("title"),
    "detectable_format:json_format": _plain("json"),
    "startend:quotation": _plain("quoted"),
    "change_case:english_capital": _plain("uppercase"),
    "change_case:english_lowercase": _plain("lowercase"),
    "change_case:capital_word_frequency": _count("capital_words", "capital_frequency", "capital_relation"),
    "punctuation:no_comma": _plain("no_commas"),
    "language:response_language": _plain("language", language="language"),
}
