"""
Rejection sampling: sample a teacher, verify, keep what is right and readable.

Every sample ends as a kept row or under one reason in the counts, so that the two add up.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from trl_r1.chat_template import ParsedCompletion, ResponseFormat, ThinkParser
from trl_r1.data.filters import RejectionFilters, find_problem
from trl_r1.data.judging import JudgedSample, judge_answers, judge_samples
from trl_r1.data.rendering import render_text
from trl_r1.data.rows import write_jsonl
from trl_r1.errors import DataError
from trl_r1.generation import GenerationEngine, SamplingParameters, generate
from trl_r1.verifiers import Verdict


logger = logging.getLogger(__name__)

OutputFormat = Literal["messages", "prompt_completion"]
# Rewrites a kept sample: its question's row and the parsed sample in, the whole new response out (`None` drops it).
Refine = Callable[[Mapping[str, Any], ParsedCompletion], str | None]

ROW_FILE = "train.jsonl"
NOT_COPIED = ("prompt", "completion", "messages", "prompt_tail", "response_format")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionResult:
    """
    What rejection sampling left.

    Args:
        rows (`list[dict[str, Any]]`):
            `messages`, or `prompt` and `completion`; the question's own columns; `sample_index`, `teacher` and
            `temperature`.
        num_prompts, num_samples (`int`):
            Questions asked and completions drawn.
        num_solved (`int`):
            Questions with at least one kept row.
        dropped (`dict[str, int]`):
            Samples dropped, by reason. `len(rows) + sum(dropped.values()) == num_samples`.
    """

    rows: list[dict[str, Any]]
    num_prompts: int
    num_samples: int
    num_solved: int
    dropped: dict[str, int]

    def write(self, folder: str | Path) -> Path:
        """Write the rows to `folder/train.jsonl`, atomically. Returns its path."""
        path = Path(folder) / ROW_FILE
        write_jsonl(path, self.rows)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A sample that passed, with the text it will be trained on."""

    sample: JudgedSample
    text: str


def rejection_sample(
    engine: GenerationEngine,
    rows: Iterable[Mapping[str, Any]],
    params: SamplingParameters,
    filters: RejectionFilters | None = None,
    *,
    refine: Refine | None = None,
    output_format: OutputFormat = "messages",
    teacher: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> RejectionResult:
    """
    Sample every question `params.num_samples` times and keep the samples that pass.

    Args:
        engine ([`GenerationEngine`]):
            The teacher.
        rows (`Iterable[Mapping[str, Any]]`):
            Questions as [`load_prompts`] prepares them, a [`~datasets.Dataset`] or a list.
        params ([`SamplingParameters`]):
            How to sample.
        filters ([`RejectionFilters`], *optional*):
            What to keep.
        refine (`Callable`, *optional*):
            Rewrites each kept sample. The result is parsed and verified again: it must be well formed, and right
            where the sample was.
        output_format (`"messages"` or `"prompt_completion"`, *optional*, defaults to `"messages"`):
            Chat rows, or the teacher's rendered prompt with the completion.
        teacher (`str`, *optional*):
            Name noted in every row.
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            For the teacher's chat template.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw a progress bar.

    Returns:
        [`RejectionResult`]

    Raises:
        [`DataError`]: when there is no question, no sample passes, or `refine` fails.
    """
    filters = filters or RejectionFilters()
    questions = list(rows)
    if not questions:
        raise DataError("dataset: no question to sample; give a dataset with rows")
    texts = [render_text(row["prompt"], engine.tokenizer, chat_template_kwargs) for row in questions]
    groups = generate(texts, params, engine, progress)
    samples = judge_samples(questions, groups)
    counts: Counter[str] = Counter()
    kept = _filter(samples, filters, engine.tokenizer, counts)
    if refine is not None:
        kept = _refine(kept, refine, output_format, counts)
    kept = _deduplicate(kept, counts)
    kept = _limit(kept, filters, params.seed, counts)
    if not kept:
        raise DataError(
            f"rejection sampling: none of {len(samples)} samples passed ({_describe(counts)}); "
            "look at the teacher's samples, or ask less of them"
        )
    result = RejectionResult(
        rows=[
            _to_row(item, output_format, teacher, params.temperature, engine, chat_template_kwargs) for item in kept
        ],
        num_prompts=len(questions),
        num_samples=len(samples),
        num_solved=len({item.sample.row["problem"] for item in kept}),
        dropped=dict(counts.most_common()),
    )
    logger.info("kept %d of %d samples; dropped: %s", len(kept), len(samples), _describe(counts))
    return result


def _filter(
    samples: Sequence[JudgedSample], filters: RejectionFilters, tokenizer: Any, counts: Counter[str]
) -> list[_Kept]:
    kept = []
    for sample in samples:
        problem = find_problem(sample, filters, tokenizer)
        if problem is None:
            kept.append(_Kept(sample=sample, text=sample.text.strip()))
        else:
            counts[problem] += 1
    return kept


def _refine(kept: Sequence[_Kept], refine: Refine, output_format: OutputFormat, counts: Counter[str]) -> list[_Kept]:
    """Rewrite, and drop what the rewriting broke."""
    rewritten = [_call_refine(refine, item.sample) for item in kept]
    parsed = [
        ThinkParser(_format_of(item.sample, output_format)).parse(text or "")
        for item, text in zip(kept, rewritten, strict=True)
    ]
    golds = [item.sample.row.get("solution") for item in kept]
    left = []
    for item, text, read, judgement in zip(kept, rewritten, parsed, judge_answers(parsed, golds), strict=True):
        if text is None:
            counts["refined:rejected"] += 1
        elif read.defects:
            counts[f"refined:malformed:{read.defects[0]}"] += 1
        elif item.sample.correct and (judgement is None or judgement.verdict is not Verdict.CORRECT):
            counts["refined:not_correct"] += 1
        else:
            left.append(_Kept(sample=item.sample, text=text.strip()))
    return left


def _format_of(sample: JudgedSample, output_format: OutputFormat) -> ResponseFormat:
    """Chat rows are in R1's format, whatever the teacher's own is."""
    if output_format == "messages":
        return "r1"
    return cast(ResponseFormat, sample.row.get("response_format") or "r1")


def _call_refine(refine: Refine, sample: JudgedSample) -> str | None:
    name = getattr(refine, "__name__", type(refine).__name__)
    try:
        text = refine(sample.row, sample.parsed)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"refine: {name} raised {reason} on problem {sample.row['problem']!r}; mend it") from error
    if text is not None and not isinstance(text, str):
        raise DataError(f"refine: {name} returned {type(text).__name__}; it must return the response, or None")
    return text


def _deduplicate(kept: Sequence[_Kept], counts: Counter[str]) -> list[_Kept]:
    """Keep the first of equal responses to equal problems; spaces do not tell them apart."""
    seen: set[tuple[str, str]] = set()
    left = []
    for item in kept:
        key = (" ".join(item.sample.row["problem"].split()), " ".join(item.text.split()))
        if key in seen:
            counts["duplicate"] += 1
        else:
            seen.add(key)
            left.append(item)
    return left


def _limit(kept: list[_Kept], filters: RejectionFilters, seed: int, counts: Counter[str]) -> list[_Kept]:
    """At most so many of a problem, the first ones; then at most so many in all, at random, order kept."""
    of_problem: Counter[str] = Counter()
    left = []
    for item in kept:
        problem = item.sample.row["problem"]
        of_problem[problem] += 1
        if filters.max_kept_per_prompt is None or of_problem[problem] <= filters.max_kept_per_prompt:
            left.append(item)
    if filters.max_rows is not None and len(left) > filters.max_rows:
        chosen = sorted(random.Random(seed).sample(range(len(left)), filters.max_rows))
        left = [left[index] for index in chosen]
    if len(left) < len(kept):
        counts["over_limit"] += len(kept) - len(left)
    return left


def _to_row(
    item: _Kept,
    output_format: OutputFormat,
    teacher: str | None,
    temperature: float,
    engine: GenerationEngine,
    chat_template_kwargs: Mapping[str, Any] | None,
) -> dict[str, Any]:
    row = item.sample.row
    if output_format == "messages":
        prompt = row["prompt"]
        asked = [{"role": "user", "content": row["problem"]}] if isinstance(prompt, str) else list(prompt)
        content: dict[str, Any] = {"messages": [*asked, {"role": "assistant", "content": item.text}]}
    else:
        content = {
            "prompt": render_text(row["prompt"], engine.tokenizer, chat_template_kwargs),
            "completion": item.text.removeprefix(_prefilled(row)).lstrip() if _prefilled(row) else item.text,
        }
    own = {name: value for name, value in row.items() if name not in NOT_COPIED}
    provenance = {"sample_index": item.sample.sample_index, "teacher": teacher, "temperature": temperature}
    return {**content, **own, **provenance}


def _prefilled(row: Mapping[str, Any]) -> str:
    """What the rendered prompt already holds of the response."""
    return str(row.get("prompt_tail") or "").strip()


def _describe(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "nothing"
