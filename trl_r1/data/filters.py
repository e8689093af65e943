"""Why a sample is not worth learning from: one small function a reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trl_r1.data.judging import JUDGE, JudgedSample
from trl_r1.errors import RecipeError
from trl_r1.rewards.words import count_words, detect_language


_LIMITS = ("max_reasoning_tokens", "max_paragraph_words", "max_kept_per_prompt", "max_rows")
NGRAM = 4  # words; a shorter run recurs in good chains ("so the answer is")
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|\w+|[^\w\s]")
_COUNTED = re.compile(r"[぀-ヿ㐀-鿿]|(?:(?![぀-ヿ㐀-鿿])\w)+")  # what a paragraph's length is counted in
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")
_FENCE = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)


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
        max_paragraph_words (`int`, *optional*):
            Longest paragraph of the chain of thought: words, or single Chinese and Japanese characters, between blank
            lines. The paper drops long paragraphs (v2, B.3.3) and does not say how long; no limit by default, as a
            short chain is often one paragraph.
        keep_without_code_blocks (`bool`, *optional*, defaults to `False`):
            Only chains of thought without a fenced block of code. The paper drops those with one (v2, B.3.3); off by
            default, as chains on programming tasks are full of them.
        max_kept_per_prompt (`int`, *optional*, defaults to `1`):
            Samples kept of one problem, the first ones; `None` for no limit.
        max_rows_per_domain (`int`, *optional*):
            Rows kept of each domain, a random choice by the sampling seed; before `max_rows`.
        domain_max_rows (`Mapping[str, int]`, *optional*):
            The same for the domains it names, instead.
        domain_column (`str`, *optional*, defaults to `"domain"`):
            Column with a question's domain.
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
    max_paragraph_words: int | None = None
    keep_without_code_blocks: bool = False
    max_kept_per_prompt: int | None = 1
    max_rows: int | None = None
    max_rows_per_domain: int | None = None
    domain_max_rows: Mapping[str, int] | None = None
    domain_column: str = "domain"

    def __post_init__(self) -> None:
        problems = [
            f"{name}: {getattr(self, name)} must be at least 1"
            for name in (*_LIMITS, "max_rows_per_domain")
            if getattr(self, name) is not None and getattr(self, name) < 1
        ]
        if self.max_repetition is not None and not 0 <= self.max_repetition <= 1:
            problems.append(f"max_repetition: {self.max_repetition} is no share; give a number from 0 to 1")
        problems += domain_problems(self.domain_max_rows)
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
            max_paragraph_words=arguments.max_paragraph_words,
            keep_without_code_blocks=arguments.keep_without_code_blocks,
            max_kept_per_prompt=arguments.max_kept_per_prompt,
            max_rows=arguments.max_rows,
            max_rows_per_domain=arguments.max_rows_per_domain,
            domain_max_rows=arguments.domain_max_rows,
            domain_column=arguments.dataset_domain_column,
        )


def domain_problems(limits: Any) -> list[str]:
    """What is wrong with `domain_max_rows`, a line each."""
    if limits is None:
        return []
    if not isinstance(limits, Mapping):
        return [f"domain_max_rows: {limits!r} is no mapping; write {{math: 1000}}, say"]
    return [
        f"domain_max_rows: {limit!r} of {name!r} must be a whole number of at least 1"
        for name, limit in limits.items()
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1
    ]


def find_problem(sample: JudgedSample, filters: RejectionFilters, tokenizer: Any) -> str | None:
    """The first reason to drop a sample, or `None`."""
    checks: tuple[Callable[[], str | None], ...] = (
        lambda: format_problem(sample) if filters.keep_well_formed else None,
        lambda: answer_problem(sample) if filters.keep_correct else None,
        lambda: length_problem(sample, filters.max_reasoning_tokens, tokenizer),
        lambda: paragraph_problem(sample, filters.max_paragraph_words),
        lambda: code_block_problem(sample) if filters.keep_without_code_blocks else None,
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
    """
    `"wrong"`, `"undecidable"`, or `"no_gold"` for a question that nothing decides.

    Where a model was to judge, what kept it from a verdict follows: `"undecidable:timeout"`.
    """
    if sample.judgement is None:
        return "no_gold"
    if sample.correct is None and sample.judgement.decided_by == JUDGE:
        return f"undecidable:{sample.judgement.reason}"
    return {True: None, False: "wrong", None: "undecidable"}[sample.correct]


def length_problem(sample: JudgedSample, limit: int | None, tokenizer: Any) -> str | None:
    """`"too_long"` when the chain of thought has more tokens than the limit."""
    if limit is None:
        return None
    return "too_long" if count_tokens(sample.parsed.reasoning or "", tokenizer) > limit else None


def paragraph_problem(sample: JudgedSample, limit: int | None) -> str | None:
    """`"long_paragraph"` when a paragraph of the chain of thought has more words than the limit."""
    return "long_paragraph" if limit is not None and longest_paragraph(sample.parsed.reasoning or "") > limit else None


def longest_paragraph(text: str) -> int:
    """Words, or single Chinese and Japanese characters, of the longest run between blank lines."""
    return max(count_written_words(paragraph) for paragraph in _PARAGRAPH_END.split(text))


def count_written_words(text: str) -> int:
    """Words of a text, formulas included; each Chinese or Japanese character is one."""
    return len(_COUNTED.findall(text))


def code_block_problem(sample: JudgedSample) -> str | None:
    """`"code_block"` when the chain of thought has a fenced block."""
    return "code_block" if _FENCE.search(sample.parsed.reasoning or "") else None


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
