"""
General data: a teacher's answers to prompts that no rule verifies, such as writing, facts, translation, itself.

Source: DeepSeek-R1, arXiv v2, section B.3.3: V3 thinks first on some of them and not on trivial ones; thoughts are
short paragraphs in plain words, without markdown, from where the user stands. An answer without thoughts is written
with an empty think block, so that a model whose template opens the block learns to close it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trl_r1.chat_template import (
    ANSWER_OPEN,
    THINK_CLOSE,
    THINK_OPEN,
    Defect,
    ParsedCompletion,
    ThinkParser,
    join_response,
)
from trl_r1.data.filters import longest_paragraph, repetition
from trl_r1.data.mixture import RawSource
from trl_r1.data.rows import REASONING, keep_rows, map_rows, set_column
from trl_r1.rewards.words import count_words, detect_language


if TYPE_CHECKING:
    from datasets import Dataset

    from trl_r1.generation import Completion

GENERAL, TRANSLATION, HARMLESS, HELPFUL = "general", "translation", "harmless", "helpful"
THINK, DIRECT, FREE = "think", "direct", "free"  # how a prompt is asked; the last leaves it to the teacher
_STYLE: Final = (
    "Think the way a person talks to themselves: short paragraphs, plain sentences, no headings, lists or bold type. "
    "Begin with what this user wants and where they stand."
)
INSTRUCTIONS: Final = {
    THINK: f"First think, between {THINK_OPEN} and {THINK_CLOSE}, then answer. {_STYLE} Think and answer in the "
    "language of the user.",
    DIRECT: "Answer the user at once and in their language, without thinking aloud.",
    FREE: f"Where the task needs thought, think first, between {THINK_OPEN} and {THINK_CLOSE}, then answer. Where it "
    f"does not, answer at once. {_STYLE} Think and answer in the language of the user.",
}
_WORD: Final = re.compile(r"[぀-ヿ㐀-鿿]|(?:(?![぀-ヿ㐀-鿿])\w)+(?:['’]\w+)?")
_MARKDOWN: Final = re.compile(r"^\s{0,3}(?:#{1,6}\s|[-*+]\s|\d{1,3}[.)]\s|```|~~~)|\*\*\S", re.MULTILINE)
_WONT: Final = (
    r"\b(?:can(?:no|['’])?t|am (?:not able|unable)|['’]m (?:not able|unable)|won['’]t|will not|must decline)\b"
)
_DO: Final = r"\b(?:help|assist|provide|answer|do that|comply|fulfil|continue|create|write|discuss|engage)"
_REFUSAL: Final = re.compile(  # I'm sorry, but I can't help with that
    rf"^\W*(?:[^.!?。！？\n]{{0,40}}\b(?:sorry|apologi[sz]e|unfortunately|an ai)\b)?"
    rf"[^.!?。！？\n]{{0,40}}?\bi ?{_WONT}[^.!?。！？\n]{{0,30}}?{_DO}"
    r"|^\W*(?:很?抱歉|对不起|不好意思)[^。！？\n]{0,20}(?:不能|无法|没办法)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralFilters:
    """What an answer must be to be kept; fields as of [`~trl_r1.script_arguments.GeneralDataArguments`]."""

    drop_refusals: bool = True
    keep_language_consistent: bool = True
    drop_markdown_thoughts: bool = True
    max_paragraph_words: int | None = None
    max_repetition: float | None = None
    max_kept_per_prompt: int | None = 1
    max_rows: int | None = None
    domain_column: str = "domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A teacher's answer, looked at.

    Args:
        text (`str` or `None`):
            The response to train on; `None` where there is none.
        thinking (`bool`):
            Whether it begins with thoughts.
        reason (`str` or `None`):
            Why it is dropped.
    """

    text: str | None
    thinking: bool
    reason: str | None


def is_trivial(text: str, max_words: int = 3) -> bool:
    """Whether a prompt is as short as a greeting: words, or single Chinese and Japanese characters."""
    return len(_WORD.findall(text)) <= max_words


def way_to_ask(row: Mapping[str, Any], thinking: str, column: str = "thinking", max_trivial_words: int = 3) -> str:
    """
    How to ask for an answer.

    Args:
        row (`Mapping[str, Any]`):
            With `problem`.
        thinking, column, max_trivial_words:
            As of [`~trl_r1.script_arguments.GeneralDataArguments`].

    Returns:
        `str`: `"think"`, `"direct"`, or `"free"`: as the teacher chooses.
    """
    if thinking in ("always", "never"):
        return THINK if thinking == "always" else DIRECT
    if thinking == "column" and row.get(column) is not None:
        return THINK if row[column] else DIRECT
    return DIRECT if is_trivial(row["problem"], max_trivial_words) else FREE


def prepare_general(
    source: RawSource, prompt_column: str, domain_column: str, **asking: Any
) -> tuple[Dataset, dict[str, int]]:
    """
    Make a data set of general prompts ready to ask.

    Args:
        source ([`RawSource`]):
            With a column of problems, or of ready chats (`prompt`).
        prompt_column (`str`):
            Column with the problem.
        domain_column (`str`):
            Column with the domain, made where there is none.
        **asking:
            As of [`way_to_ask`].

    Returns:
        `tuple[Dataset, dict[str, int]]`: rows with `prompt` (instructions first), `problem`, `asked` (the turns
        without them), `way`, the domain, `reward_type`, and their own columns; dropped rows by reason.

    Raises:
        [`DataError`]: when no row can be asked.
    """
    dataset = source.dataset
    dataset, dropped = keep_rows(
        dataset, map_rows(dataset, lambda row: _problem_of_row(row, prompt_column)), source.name
    )
    asked = [_turns(row, prompt_column) for row in dataset]
    problems = [turns[-1]["content"] for turns in asked]
    rows = zip(dataset, problems, strict=True)
    ways = [way_to_ask({**row, "problem": problem}, **asking) for row, problem in rows]
    columns: dict[str, list[Any]] = {
        "prompt": [_with_instructions(turns, way) for turns, way in zip(asked, ways, strict=True)],
        "problem": problems,
        "asked": asked,
        "way": ways,
        domain_column: [str(row.get(domain_column) or GENERAL) for row in dataset],
        "reward_type": [row.get("reward_type") or HELPFUL for row in dataset],
    }
    for name, values in columns.items():
        dataset = set_column(dataset, name, values)
    return dataset, dropped


def read_answer(row: Mapping[str, Any], completion: Completion, prompt_tail: str, filters: GeneralFilters) -> Answer:
    """
    Read a teacher's answer, and say whether it is worth learning from.

    Args:
        row (`Mapping[str, Any]`):
            The prompt, as of [`prepare_general`].
        completion ([`Completion`]):
            What the teacher wrote.
        prompt_tail (`str`):
            What its template had begun of that.
        filters ([`GeneralFilters`]):
            What to keep.
    """
    if completion.finish_reason == "length":
        return Answer(text=None, thinking=False, reason="truncated")
    parsed = ThinkParser().parse(completion.text, prompt_tail)
    bare = not any(mark in prompt_tail + completion.text for mark in (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN))
    reasoning, answer = ("", completion.text.strip()) if bare else (parsed.reasoning or "", parsed.answer or "")
    problem = _format_problem(parsed, bare, row["way"], answer)
    if row["way"] == DIRECT:
        reasoning = ""  # a teacher that always thinks has thought for itself
    problem = problem or _content_problem(row, reasoning, answer, filters)
    if problem:
        return Answer(text=None, thinking=bool(reasoning), reason=problem)
    text = join_response(reasoning, answer) if reasoning else f"{THINK_OPEN}\n\n{THINK_CLOSE}\n\n{answer}"
    return Answer(text=text, thinking=bool(reasoning), reason=None)


def choose_answers(
    answers: Sequence[tuple[int, bytes]], filters: GeneralFilters, seed: int
) -> tuple[list[int], dict[str, int]]:
    """
    Which of the answers that passed are rows: not the same twice, not too many of a prompt or in all.

    Args:
        answers (`Sequence[tuple[int, bytes]]`):
            Of each its prompt, and a key that is the same for equal answers to equal prompts; in order.
        filters ([`GeneralFilters`]):
            The limits.
        seed (`int`):
            Chooses where there are too many in all.

    Returns:
        `tuple[list[int], dict[str, int]]`: places of the rows, in order; how many were left out, by reason.
    """
    seen: set[bytes] = set()
    of_prompt: Counter[int] = Counter()
    dropped: Counter[str] = Counter()
    kept = []
    for place, (prompt, key) in enumerate(answers):
        if key in seen:
            dropped["duplicate"] += 1
            continue
        seen.add(key)
        of_prompt[prompt] += 1
        if filters.max_kept_per_prompt is not None and of_prompt[prompt] > filters.max_kept_per_prompt:
            dropped["over_limit"] += 1
        else:
            kept.append(place)
    if filters.max_rows is not None and len(kept) > filters.max_rows:
        dropped["over_limit"] += len(kept) - filters.max_rows
        kept = sorted(random.Random(seed).sample(kept, filters.max_rows))
    return kept, dict(dropped.most_common())


def is_refusal(answer: str) -> bool:
    """Whether an answer begins like a refusal."""
    return _REFUSAL.search(answer[:200]) is not None


def _format_problem(parsed: ParsedCompletion, bare: bool, way: str, answer: str) -> str | None:
    if not answer:
        return f"malformed:{Defect.ANSWER_MISSING}"
    if bare:
        return f"malformed:{Defect.MISSING_OPEN}" if way == THINK else None
    empty_is_fine = {Defect.EMPTY_REASONING} if way != THINK else set()
    return next((f"malformed:{defect}" for defect in parsed.defects if defect not in empty_is_fine), None)


def _content_problem(row: Mapping[str, Any], reasoning: str, answer: str, filters: GeneralFilters) -> str | None:
    if filters.drop_refusals and row["reward_type"] != HARMLESS and is_refusal(answer):
        return "refusal"
    if filters.keep_language_consistent and (problem := _language_problem(row, reasoning, answer, filters)):
        return problem
    if filters.max_repetition is not None and max(map(repetition, (reasoning, answer))) > filters.max_repetition:
        return "repetitive"
    if filters.max_paragraph_words is not None and longest_paragraph(reasoning) > filters.max_paragraph_words:
        return "long_paragraph"
    return "markdown_thoughts" if filters.drop_markdown_thoughts and _MARKDOWN.search(reasoning) else None


def _language_problem(row: Mapping[str, Any], reasoning: str, answer: str, filters: GeneralFilters) -> str | None:
    """Thoughts are wholly in the prompt's language, answers mostly: they may quote."""
    target = row.get("language") or detect_language(row["problem"])
    thoughts = count_words(reasoning, target)
    if len(thoughts) > 1:
        return "mixed_language"
    if thoughts and target not in thoughts:
        return "other_language"
    words = count_words(answer, target)
    if row[filters.domain_column] == TRANSLATION or not words:
        return None
    return None if max(words, key=lambda language: words[language]) == target else "other_language"


def _problem_of_row(row: Mapping[str, Any], column: str) -> str | None:
    if (row.get("reward_type") or HELPFUL) == REASONING:
        return "verifiable"  # rejection sampling is for those
    turns = _turns(row, column)
    fine = turns and turns[-1].get("role") == "user" and all(isinstance(turn.get("content"), str) for turn in turns)
    return None if fine and turns[-1]["content"].strip() else "prompt_missing"


def _turns(row: Mapping[str, Any], column: str) -> list[dict[str, Any]]:
    asked = row.get(column) or row.get("prompt")
    if isinstance(asked, str):
        return [{"role": "user", "content": asked}]
    return [dict(turn) for turn in asked] if isinstance(asked, list) else []


def _with_instructions(turns: Sequence[Mapping[str, Any]], way: str) -> list[dict[str, Any]]:
    """The turns with our instructions as, or before, the system's."""
    first, rest = (turns[0], turns[1:]) if turns[0]["role"] == "system" else (None, turns)
    text = INSTRUCTIONS[way] if first is None else f"{first['content']}\n\n{INSTRUCTIONS[way]}"
    return [{"role": "system", "content": text}, *(dict(turn) for turn in rest)]


def general_rows(
    dataset: Dataset, answers: Iterator[tuple[int, Mapping[str, Any]]], constants: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The rows of the data set: the chat without our instructions, the prompt's own columns, where it is from."""
    own = [name for name in dataset.column_names if name not in ("prompt", "asked", "way", "thinking", "messages")]
    for prompt, answer in answers:
        row = dataset[prompt]
        messages = [*row["asked"], {"role": "assistant", "content": answer["text"]}]
        kept = {name: row[name] for name in own}
        yield (
            {"messages": messages}
            | kept
            | {"thinking": answer["thinking"]}
            | dict(constants)
            | {
                "sample_index": answer["sample"],
                "sample_seed": answer["seed"],
                "completion_tokens": answer["tokens"],
            }
        )
