"""How sampled data were made: the settings in force and the counts, which must add up before a card may show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import RecordError
from trl_r1.hub.cards.dataset_rows import RowSummary
from trl_r1.stage_record import StageRecord


DROPPED: Final = "dropped/"
REASONS: Final = {  # why a sample was dropped, in the order in which samples are looked at
    "truncated": "did not end within the longest sample allowed",
    "malformed": "thoughts and answer could not be told apart",
    "wrong": "the verifier found another answer than the reference",
    "undecidable": "the verifier could not decide, or the judge gave no verdict",
    "no_gold": "the question has no reference answer",
    "too_long": "more thoughts than allowed",
    "long_paragraph": "a paragraph of the thoughts is longer than allowed",
    "code_block": "the thoughts hold a block of code",
    "repetitive": "the thoughts repeat themselves more than allowed",
    "mixed_language": "the thoughts mix languages",
    "other_language": "the thoughts are in another language than the question",
    "refined:rejected": "the rewriting gave nothing",
    "refined:malformed": "thoughts and answer could not be told apart after the rewriting",
    "refined:not_correct": "no longer right after the rewriting",
    "refined:undecidable": "right, but nothing could decide it again after the rewriting",
    "rewritten:no_reasoning": "the rewriting model gave no thoughts",
    "rewritten:no_summary": "the rewriting model gave no summary",
    "rewritten:malformed": "thoughts and answer could not be told apart after the rewriting",
    "rewritten:not_correct": "no longer right after the rewriting",
    "rewritten:undecidable": "right, but nothing could decide it again after the rewriting",
    "rewritten:mixed_language": "the rewritten thoughts mix languages",
    "rewritten:other_language": "the rewritten thoughts are in another language than the question",
    "rewritten:comments": "the rewritten thoughts speak of the rewriting",
    "rewritten:too_short": "the rewritten thoughts are much shorter",
    "rewritten:too_long": "the rewritten thoughts are much longer",
    "rewritten:new_numbers": "the rewritten thoughts calculate with other numbers",
    "rewritten:lost_numbers": "the rewritten thoughts leave most numbers out",
    "rewritten:summary_mixed_language": "the summary mixes languages",
    "rewritten:summary_other_language": "the summary is in another language than the question",
    "rewritten:summary_comments": "the summary speaks of the thoughts",
    "rewritten:summary_new_numbers": "the summary calculates with other numbers",
    "rewritten:no_box": "the summary has no boxed answer",
    "rewritten:other_answer": "the summary ends at another answer than the sample",
    "duplicate": "the same response to the same question was kept already",
    "over_domain_limit": "more than asked for, of one domain",
    "over_limit": "more than asked for, of one question or in all",
}
JUDGED: Final = {
    "marked": "questions marked for it",
    "undecided": "questions that no rule decides",
    "all": "all questions",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplingCounts:
    """
    What became of a teacher's samples. `kept + sum(dropped.values()) == samples`.

    Args:
        prompts, samples (`int`):
            Questions asked, and completions drawn.
        solved (`int`):
            Questions with a row in the data.
        kept (`int`):
            Rows.
        dropped (`dict[str, int]`):
            Samples by reason, as recorded: the most frequent first.
    """

    prompts: int
    samples: int
    solved: int
    kept: int
    dropped: dict[str, int]


def read_counts(folder: Path, record: StageRecord, summary: RowSummary) -> SamplingCounts:
    """
    The counts of a rejection sampling, checked against each other, the settings and the rows on disk.

    Raises:
        [`RecordError`]: naming what is missing or does not add up.
    """
    counts = SamplingCounts(
        prompts=_count(folder, record, "prompts"),
        samples=_count(folder, record, "samples"),
        solved=_count(folder, record, "solved_prompts"),
        kept=_count(folder, record, "kept"),
        dropped={
            name.removeprefix(DROPPED): _count(folder, record, name)
            for name in record.metrics
            if name.startswith(DROPPED)
        },
    )
    if problem := next(_contradictions(record, counts, summary), None):
        raise RecordError(f"{folder}/stage.json: {problem}; run the stage again")
    return counts


def setting(record: StageRecord, name: str) -> Any:
    """A setting of a sampling: a record holds those that differ from their defaults."""
    return record.config[name] if name in record.config else _defaults(record.kind).get(name)


def describe_reason(reason: str) -> str:
    """Why a sample was dropped, in words."""
    if reason in REASONS:
        return REASONS[reason]
    kind, _, defect = reason.rpartition(":")
    return f"{REASONS[kind]}: {defect.replace('_', ' ')}" if kind in REASONS else ""


def filter_lines(record: StageRecord) -> Iterator[str]:
    """What a sample had to be to be kept, one line a filter in force."""
    if setting(record, "keep_well_formed"):
        yield "well formed: thoughts and answer can be told apart, and it ended by itself"
    if setting(record, "keep_correct"):
        yield "right: the verifier of trl_r1 compares the final answer with the reference answer"
        if model := setting(record, "judge_model"):
            scope = JUDGED[setting(record, "judge_scope")]
            yield f"answers to {scope} are judged by {model}, given the reference"
    if limit := setting(record, "max_reasoning_tokens"):
        yield f"thoughts of at most {limit} tokens"
    if limit := setting(record, "max_paragraph_words"):
        yield f"paragraphs of its thoughts of at most {limit} words"
    if setting(record, "keep_without_code_blocks"):
        yield "no block of code in its thoughts"
    if (share := setting(record, "max_repetition")) is not None:
        yield f"at most {share} of the 4-grams of its thoughts repeated"
    if setting(record, "keep_language_consistent"):
        ignored = setting(record, "language_ignored_tokens")
        aside = f" (words that count for none: {', '.join(str(word) for word in ignored)})" if ignored else ""
        yield f"thoughts in the language of the question throughout{aside}"
    if refine := setting(record, "refine"):
        yield f"then rewritten by {refine}, parsed and verified again"
    if model := setting(record, "rewrite_model"):
        yield f"then rewritten by {model}, thoughts and summary, parsed, held against the sample and verified again"
    yield "one of each group of equal responses to equal questions"
    if limit := setting(record, "max_kept_per_prompt"):
        yield f"at most {limit} of one question"
    yield from _domain_lines(record)
    if limit := setting(record, "max_rows"):
        yield f"at most {limit} rows in all, chosen at random"


def _domain_lines(record: StageRecord) -> Iterator[str]:
    named, each = setting(record, "domain_max_rows") or {}, setting(record, "max_rows_per_domain")
    if named:
        yield f"at most {', '.join(f'{rows} rows of {name}' for name, rows in named.items())}, chosen at random"
    if each:
        yield f"at most {each} rows of each {'other ' if named else ''}domain, chosen at random"


def _count(folder: Path, record: StageRecord, name: str) -> int:
    measured = record.metrics.get(name)
    if measured is None or measured.value < 0 or measured.value != int(measured.value):
        found = "is missing" if measured is None else f"is {measured.value!r}, which counts nothing"
        raise RecordError(f"{folder}/stage.json: metrics: {name} {found}; run the stage again")
    return int(measured.value)


def _contradictions(record: StageRecord, counts: SamplingCounts, summary: RowSummary) -> Iterator[str]:
    """What cannot be true together."""
    dropped = sum(counts.dropped.values())
    if counts.kept + dropped != counts.samples:
        yield f"{counts.kept} samples kept and {dropped} dropped are not the {counts.samples} drawn"
    if counts.kept != summary.rows:
        yield f"{counts.kept} samples kept, but the data have {summary.rows} rows"
    if counts.solved > min(counts.prompts, counts.kept):
        yield f"{counts.solved} questions solved, of {counts.prompts} asked and with {counts.kept} rows"
    each = setting(record, "num_generations")
    if counts.samples != counts.prompts * each:
        yield f"{counts.samples} samples are not {each} (num_generations) of each of {counts.prompts} questions"
    read = sum(source.rows_kept for source in record.data)
    if record.data and read != counts.prompts:
        yield f"{counts.prompts} questions asked, but {read} rows of the data read were used"
    temperatures, temperature = summary.constants["temperature"], setting(record, "temperature")
    if temperatures - {temperature}:
        yield f"temperature {temperature}, but rows say {', '.join(sorted(str(value) for value in temperatures))}"


@cache
def _defaults(kind: str) -> dict[str, Any]:
    from trl_r1 import script_arguments

    of_kind: dict[str, Any] = {
        "generate": script_arguments.GenerationArguments,
        "general_data": script_arguments.GeneralDataArguments,
        "estimate_difficulty": script_arguments.DifficultyArguments,
    }
    return {
        field.name: field.default_factory() if callable(field.default_factory) else field.default
        for field in dataclasses.fields(of_kind.get(kind, script_arguments.RejectionSamplingArguments))
    }
