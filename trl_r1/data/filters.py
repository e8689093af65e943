"""Why a sample is not worth learning from: one small function a reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trl_r1.data.judging import JudgedSample
from trl_r1.errors import RecipeError
from trl_r1.rewards.words import count_words, detect_language


NGRAM = 4  # words; a shorter run recurs in good chains ("so the answer is")
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionFilters:
    """
    What a sample must be to be kept.

    Args:
        keep_correct (`bool`, *optional*, defaults to `True`):
            Only verified answers. Rows without a gold answer are then dropped too.
        keep_well_formed (`bool`, *optional*, defaults to `True`):
            Only samples without a format defect, ended by the policy itself.
        keep_language_consistent (`bool`, *optional*, defaults to `True`):
            Only chains of thought in the language of the question throughout.
        language_ignored_tokens (`tuple[str, ...]`, *optional*):
            Tokens that are no words, such as labels of operands.
        max_repetition (`float`, *optional*):
            Largest share of repeated 4-grams in the chain of thought.
        max_reasoning_tokens (`int`, *optional*):
            Longest chain of thought.
        max_kept_per_prompt (`int`, *optional*, defaults to `1`):
            Samples kept of one problem, the first ones; `None` for no limit.
        max_rows (`int`, *optional*):
            Rows kept in all, a random choice by the sampling seed.

    Raises:
        [`RecipeError`]: when a limit is out of range.
    """

    keep_correct: bool = True
    keep_well_formed: bool = True
    keep_language_consistent: bool = True
    language_ignored_tokens: tuple[str, ...] = ()
    max_repetition: float | None = None
    max_reasoning_tokens: int | None = None
    max_kept_per_prompt: int | None = 1
    max_rows: int | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{name}: {getattr(self, name)} must be at least 1"
            for name in ("max_reasoning_tokens", "max_kept_per_prompt", "max_rows")
            if getattr(self, name) is not None and getattr(self, name) < 1
        ]
        if self.max_repetition is not None and not 0 <= self.max_repetition <= 1:
            problems.append(f"max_repetition: {self.max_repetition} is no share; give a number from 0 to 1")
        if problems:
            raise RecipeError(problems)

    @classmethod
    def from_arguments(cls, arguments: Any) -> RejectionFilters:
        """From [`RejectionSamplingArguments`]."""
        return cls(
            keep_correct=arguments.keep_correct,
            keep_well_formed=arguments.keep_well_formed,
            keep_language_consistent=arguments.keep_language_consistent,
            language_ignored_tokens=tuple(arguments.language_ignored_tokens),
            max_repetition=arguments.max_repetition,
            max_reasoning_tokens=arguments.max_reasoning_tokens,
            max_kept_per_prompt=arguments.max_kept_per_prompt,
            max_rows=arguments.max_rows,
        )


def find_problem(sample: JudgedSample, filters: RejectionFilters, tokenizer: Any) -> str | None:
    """The first reason to drop a sample, or `None`."""
    checks: tuple[Callable[[], str | None], ...] = (
        lambda: format_problem(sample) if filters.keep_well_formed else None,
        lambda: answer_problem(sample) if filters.keep_correct else None,
        lambda: length_problem(sample, filters.max_reasoning_tokens, tokenizer),
        lambda: repetition_problem(sample, filters.max_repetition),
        lambda: (
            language_problem(sample, filters.language_ignored_tokens) if filters.keep_language_consistent else None
        ),
    )
    return next((problem for check in checks if (problem := check()) is not None), None)


def format_problem(sample: JudgedSample) -> str | None:
    """`"truncated"`, or `"malformed:<defect>"` for the first defect."""
    if sample.parsed.defects:
        cut = sample.completion.finish_reason == "length"
        return "truncated" if cut else f"malformed:{sample.parsed.defects[0]}"
    return "truncated" if sample.completion.finish_reason == "length" else None


def answer_problem(sample: JudgedSample) -> str | None:
    """`"wrong"`, `"undecidable"`, or `"no_gold"` for a question that nothing decides."""
    if sample.judgement is None:
        return "no_gold"
    return {True: None, False: "wrong", None: "undecidable"}[sample.correct]


def length_problem(sample: JudgedSample, limit: int | None, tokenizer: Any) -> str | None:
    """`"too_long"` when the chain of thought has more tokens than the limit."""
    if limit is None:
        return None
    return "too_long" if count_tokens(sample.parsed.reasoning or "", tokenizer) > limit else None


def repetition_problem(sample: JudgedSample, limit: float | None) -> str | None:
    """`"repetitive"` when the chain of thought repeats itself more than the limit."""
    return "repetitive" if limit is not None and repetition(sample.parsed.reasoning or "") > limit else None


def language_problem(sample: JudgedSample, ignored_tokens: tuple[str, ...] = ()) -> str | None:
    """`"mixed_language"`, or `"other_language"` for a chain wholly in a language that is not the question's."""
    target = language_of(sample.row, ignored_tokens)
    counts = count_words(sample.parsed.reasoning or "", target, ignored_tokens=ignored_tokens)
    if len(counts) > 1:
        return "mixed_language"
    return "other_language" if counts and target not in counts else None


def language_of(row: Any, ignored_tokens: tuple[str, ...] = ()) -> str:
    """The question's language: its `language` column, or else the one most of its words are in."""
    return row.get("language") or detect_language(row["problem"], ignored_tokens=ignored_tokens)


def repetition(text: str, size: int = NGRAM) -> float:
    """Share of a text's n-grams (words, or single Chinese and Japanese characters) that occurred before in it."""
    words = _WORD.findall(text)
    grams = [tuple(words[index : index + size]) for index in range(len(words) - size + 1)]
    return 1 - len(Counter(grams)) / len(grams) if grams else 0.0


def count_tokens(text: str, tokenizer: Any) -> int:
    """Tokens of a text on its own, special tokens left out."""
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
