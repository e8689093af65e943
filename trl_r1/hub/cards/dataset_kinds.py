"""What the card of a data set says that depends on the verb that made it: summary, tags, making, tables, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from trl_r1.data.paper_composition import TOTAL, paper_row
from trl_r1.hub.cards.dataset_counts import setting
from trl_r1.hub.cards.tables import cell, code
from trl_r1.stage_record import StageRecord


GENERATED, SAMPLED, GENERAL, MEASURED = "generate", "rejection_sample", "general_data", "estimate_difficulty"
CLEANED, COMPOSED, REVIEWED, MADE = "decontaminate", "compose", "review", "script"
_BY: Final = "made with trl_r1, which follows DeepSeek-R1."
SUMMARIES: Final = {
    GENERATED: "Every response sampled from a model, right or wrong, as the parser splits it and the verifier judges "
    f"it, {_BY}",
    SAMPLED: f"Responses sampled from a teacher and kept when they passed every filter below, {_BY}",
    GENERAL: f"A teacher's answers to prompts that no rule verifies, kept when they passed every filter below, {_BY}",
    MEASURED: f"Problems with the share of a model's samples that solve them, {_BY}",
    CLEANED: f"Rows of other data sets without those that hold what benchmarks ask, {_BY}",
    COMPOSED: f"Rows of other data sets joined into one for supervised fine-tuning, {_BY}",
    REVIEWED: f"Rows of another data set that people looked at, and accepted or edited, {_BY}",
    MADE: "Data written by a Python file of a trl_r1 pipeline.",
}
TAGS: Final = {
    GENERATED: ("synthetic",),
    SAMPLED: ("rejection-sampling", "synthetic"),
    GENERAL: ("synthetic",),
    MEASURED: ("difficulty",),
    CLEANED: ("decontaminated",),
    COMPOSED: ("mixture",),
    REVIEWED: ("human-reviewed",),
}
COUNTED: Final = (SAMPLED, GENERAL)  # every sample of theirs is a row or has a reason
_COMPOSITION: Final = "composition/"
_PASS_RATE: Final = "pass_rate/"
_BAND_NAMES: Final = {"0": "none solved", "1": "all solved", "none": "not known: no sample could be judged"}


def row_lines(record: StageRecord) -> Iterator[str]:
    """How rows of other data sets became these."""
    config = record.config
    for source in record.data:
        place = f"{code(source.source)}, split {code(source.split)}"
        yield f"{source.rows_kept:,} of the {source.rows_in:,} rows of {place}"
    if record.kind == CLEANED:
        names = config.get("benchmarks") or []
        yield f"searched for the questions of {', '.join(code(name) for name in names)}"
        if config.get("keep_renumbered"):
            yield "problems that are a question with other numbers were kept"
        return
    if record.kind == REVIEWED:
        counts = {name: int(measured.value) for name, measured in record.metrics.items()}
        accepted, edited, rejected = (counts[name] for name in ("accepted", "edited", "rejected"))
        yield f"people accepted {accepted:,}, edited {edited:,} and rejected {rejected:,}"
        yield f"not looked at: {counts['unreviewed_kept']:,} that were kept, {counts['unreviewed_dropped']:,} dropped"
        return
    yield "of equal conversations the first is kept; spaces do not tell them apart"
    if (threshold := config.get("near_duplicate_threshold")) is not None:
        yield f"so is the first of those whose words are alike (Jaccard similarity of 5-grams at least {threshold})"
    for domain, target in (config.get("domain_targets") or {}).items():
        wanted = f"{target:g} of the whole" if isinstance(target, float) else f"at most {target:,} rows"
        yield f"domain {code(domain)}: {wanted}, chosen at random"
    if limit := config.get("max_rows"):
        yield f"at most {limit:,} rows in all, chosen at random"
    if "seed" in record.seeds:
        yield f"seed {record.seeds['seed']}"


def composition_rows(record: StageRecord) -> list[dict[str, str]]:
    """The table of a composition, beside the paper's; empty for other stages."""
    table: dict[str, dict[str, float]] = {}
    for name, measured in record.metrics.items():
        if name.startswith(_COMPOSITION):
            domain, _, what = name.removeprefix(_COMPOSITION).rpartition("/")
            table.setdefault(domain, {})[what] = measured.value
    whole = table.get(TOTAL, {}).get("samples", 0)
    return [
        {
            "domain": "**total**" if domain == TOTAL else cell(domain),
            "samples": f"{int(row['samples']):,}",
            "share": f"{row['samples'] / whole:.1%}" if whole else "",
            "rounds": f"{row['rounds']:.1f}",
            "tokens": f"{row['tokens']:,.1f}" if "tokens" in row else "",
            **dict(
                zip(("paper_samples", "paper_share", "paper_rounds", "paper_tokens"), paper_row(domain), strict=True)
            ),
        }
        for domain, row in table.items()
    ]


def composition_note(record: StageRecord) -> str:
    """What a token of the table is."""
    if not composition_rows(record):
        return ""
    tokenizer = record.config.get("tokenizer")
    counted = (
        f"Tokens, counted by the tokenizer of {code(tokenizer)}, are those of all turns without chat marks."
        if tokenizer
        else "Tokens were not counted (no `tokenizer`)."
    )
    return (
        f"{counted} A round is an answer of the assistant. The paper's figures are those of DeepSeek-R1's second "
        "fine-tuning (arXiv 2501.12948 v2, table 5), in tokens of another tokenizer."
    )


def difficulty_rows(record: StageRecord) -> list[dict[str, str]]:
    """Problems by band of pass rate; empty for other stages."""
    counts = {
        name.removeprefix(_PASS_RATE): int(measured.value)
        for name, measured in record.metrics.items()
        if name.startswith(_PASS_RATE)
    }
    whole = sum(counts.values())
    return [
        {
            "band": _describe_band(band),
            "count": f"{count:,}",
            "share": f"{count / whole:.1%}" if whole else "",
            "bar": "█" * round(20 * count / whole) if whole else "",
        }
        for band, count in counts.items()
    ]


def difficulty_lines(record: StageRecord) -> Iterator[str]:
    """What was measured, in all."""
    if record.kind != MEASURED:
        return
    metrics = {name: measured.value for name, measured in record.metrics.items()}
    mean = record.metrics.get("mean_pass_rate")
    if mean is not None:
        ends = f" (95 % interval {mean.low:.3f} to {mean.high:.3f})" if mean.low is not None else ""
        yield f"mean pass rate {mean.value:.3f}{ends}, over {mean.n:,} problems"
    if {"samples", "samples_from_cache", "undecided"} <= metrics.keys():
        yield (
            f"{metrics['samples']:,.0f} samples, {metrics['samples_from_cache']:,.0f} of them measured before; "
            f"{metrics['undecided']:,.0f} could not be judged and count as none"
        )
    low, high = record.config.get("min_pass_rate"), record.config.get("max_pass_rate")
    if low is not None or high is not None:
        yield f"rows kept: those with a pass rate from {low or 0} to {1 if high is None else high}"


def general_filter_lines(record: StageRecord) -> Iterator[str]:
    """What a sample of general data had to be to be kept."""
    yield "ended by itself, with an answer that can be told from its thoughts"
    if setting(record, "drop_refusals"):
        yield "no refusal, as far as its first words tell"
    if setting(record, "keep_language_consistent"):
        yield "thoughts and answer in the language of the question (translations: thoughts alone)"
    if (share := setting(record, "max_repetition")) is not None:
        yield f"at most {share} of the 4-grams of its text repeated"
    if limit := setting(record, "max_paragraph_words"):
        yield f"paragraphs of its thoughts of at most {limit} words"
    if setting(record, "drop_markdown_thoughts"):
        yield "thoughts without headings, lists, bold type and blocks of code"
    yield "one of each group of equal responses to equal questions"
    if limit := setting(record, "max_kept_per_prompt"):
        yield f"at most {limit} of one question"
    if limit := setting(record, "max_rows"):
        yield f"at most {limit} rows in all, chosen at random"


def kind_limits(record: StageRecord) -> Iterator[str]:
    """What a data set of this kind is not; nothing for those whose limits depend on its counts."""
    lines = {
        GENERATED: "Nothing was filtered: samples that are wrong, cut off or malformed are in here, as their columns "
        "say.",
        GENERAL: "No answer was verified: facts may be wrong, and advice bad. The filters look at form and language "
        "alone.",
        MEASURED: "A pass rate is of this model and this sampling, and no more certain than its interval; for others "
        "problems are easier or harder.",
        CLEANED: "Paraphrases of a benchmark's questions are not found, as in the paper.",
        COMPOSED: "Rows are as their sources have them; what those data sets' cards say of limits holds here, too.",
        MADE: "What the Python file read beside its arguments is not on record; read it before you rely on the rows.",
    }
    if record.kind in lines:
        yield lines[record.kind]


def derived_license(record: StageRecord) -> str | None:
    """The licence of all that a stage was made from, where each has one on record and all are the same."""
    if record.kind == MADE:
        return None
    found = {source.license for source in record.data} | {parent.license for parent in record.parents}
    return found.pop() if len(found) == 1 else None


def kind_sections(record: StageRecord) -> dict[str, Any]:
    """The tables of the card that only some verbs fill."""
    return {
        "composition": composition_rows(record),
        "composition_note": composition_note(record),
        "difficulty": difficulty_rows(record),
        "difficulty_lines": list(difficulty_lines(record)),
    }


def _describe_band(band: str) -> str:
    if band in _BAND_NAMES:
        return _BAND_NAMES[band]
    low, _, high = band.partition("-")
    ends = {"0": "above 0", "1": "below 1"}
    return f"{ends.get(low, f'above {low}')}, {ends.get(high, f'up to {high}')}"
