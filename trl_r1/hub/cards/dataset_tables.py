"""The lines and table rows of a data set's card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from trl_r1.hub.cards.dataset_counts import SamplingCounts, describe_reason, setting
from trl_r1.hub.cards.dataset_files import DataFile
from trl_r1.hub.cards.dataset_kinds import SAMPLED, derived_license, kind_limits
from trl_r1.hub.cards.dataset_rows import Lengths, RowSummary
from trl_r1.hub.cards.tables import cell, code
from trl_r1.hub.lineage import Lineage
from trl_r1.stage_record import DataSource, Parent, StageRecord


MEANINGS: Final = {
    "messages": "the conversation; its last turn is the response, thoughts first",
    "prompt": "the prompt as it was shown to the teacher",
    "completion": "the response that continues it",
    "problem": "the question",
    "solution": "the reference answer; none where nothing decides",
    "response": "the response, thoughts first",
    "chosen": "the preferred reply",
    "rejected": "the other reply",
    "prefill": "how the response has to begin",
    "language": "language of the question",
    "reward_type": "which reward judges it",
    "sample_index": "number of the sample among those of its question, from 0",
    "teacher": "who wrote the response",
    "temperature": "of the sampling",
    "domain": "what kind of question it is",
    "composed_from": "the data set the row comes from",
    "pass_rate": "share of the model's judged samples that are right",
    "num_samples": "samples that were judged",
    "pass_rate_low": "lower end of the pass rate's 95 % Wilson interval",
    "pass_rate_high": "upper end of it",
    "thinking": "whether the teacher was asked to think before it answered",
    "top_p": "of the sampling",
    "sample_seed": "what the sample, or the batch it was in, was drawn with",
    "verified_by": "what judged the answer: a rule of trl_r1, or `judge` for a model",
    "rewritten_by": "who wrote the response anew",
    "completion_tokens": "of the sample as drawn, the end token included",
    "reasoning_tokens": "of the thoughts",
    "answer_tokens": "of the answer",
    "question_sha256": "beginning of the hash of the question's columns",
    "question_source": "data set the question is from",
}


def fact_lines(total: RowSummary, configs: int, counts: SamplingCounts | None) -> Iterator[str]:
    """What a reader wants to know first."""
    languages = f", in {', '.join(total.languages())}" if total.languages() else ""
    yield f"{_rows(total.rows)}{f' in {configs} configurations' if configs > 1 else ''}{languages}"
    if counts:
        yield (
            f"{counts.kept:,} of {counts.samples:,} samples kept ({_share(counts.kept, counts.samples)}), for "
            f"{counts.solved:,} of {counts.prompts:,} questions ({_share(counts.solved, counts.prompts)})"
        )


def loading_line(repo_id: str, revision: str | None, config: str | None, split: str) -> str:
    """A line of Python that reads one split."""
    at = f"revision={json.dumps(revision, ensure_ascii=False)}, " if revision else ""
    named = [json.dumps(name, ensure_ascii=False) for name in (repo_id, config) if name is not None]
    variable = split if split.isidentifier() and split != "load_dataset" else "rows"
    return f"{variable} = load_dataset({', '.join(named)}, {at}split={json.dumps(split, ensure_ascii=False)})"


def sampling_lines(record: StageRecord, lineage: Lineage) -> Iterator[str]:
    """Teacher, questions and sampling of a rejection sampling."""
    published = {node.name: node.hub_id for role, node in lineage.parents(lineage.root) if role == "teacher"}
    for parent in record.parents:
        if parent.role == "teacher":
            at = f" at revision {code(parent.revision)}" if parent.revision else ""
            weights = f", weights sha256 {code(parent.weights_sha256[:16])}" if parent.weights_sha256 else ""
            license = f", licence {cell(parent.license)}" if parent.license else ""
            name = parent.stage or parent.name_or_path
            place = published.get(name)
            on_hub = f", on the Hub {code(place)}" if place and place != name else ""
            yield f"teacher: {code(name)}{on_hub}{at}{weights}{license}"
    for source in record.data:
        yield (
            f"questions: {source.rows_kept:,} of {code(source.source)}, split {code(source.split)}, fingerprint "
            f"{code(source.fingerprint[:16])}"
        )
    yield (
        f"sampling: {setting(record, 'num_generations')} a question, temperature {setting(record, 'temperature')}, "
        f"top-p {setting(record, 'top_p')}, at most {setting(record, 'max_completion_length')} tokens, seed "
        f"{record.seeds.get('seed', setting(record, 'seed'))}"
    )
    if template := setting(record, "prompt_template"):
        yield f"asked through the prompt template {code(template)}, not through a chat template"


def script_lines(record: StageRecord) -> Iterator[str]:
    """The file that wrote the rows, and with what."""
    yield f"written by {code(record.config.get('script') or record.command[0])}"
    for name, value in sorted(record.config.items()):
        if name not in ("script", "output_dir"):
            yield f"{cell(name)}: {code(value)}"
    for name, seed in sorted(record.seeds.items()):
        yield f"{cell(name)}: {seed}"


def count_rows(counts: SamplingCounts) -> list[dict[str, str]]:
    """What became of the samples, in three lines that add up."""
    dropped = sum(counts.dropped.values())
    lines = {"drawn": counts.samples, "kept: the rows of this data set": counts.kept, "dropped": dropped}
    return [
        {"what": what, "count": f"{count:,}", "share": _share(count, counts.samples)} for what, count in lines.items()
    ]


def dropped_rows(counts: SamplingCounts) -> list[dict[str, str]]:
    """One row a reason."""
    return [
        {
            "reason": code(reason),
            "count": f"{count:,}",
            "share": _share(count, counts.samples),
            "why": cell(describe_reason(reason)),
        }
        for reason, count in counts.dropped.items()
    ]


def split_rows(files: Sequence[DataFile], splits: Mapping[tuple[str, str], RowSummary]) -> list[dict[str, str]]:
    """One row a split."""
    rows = []
    for (config, split), summary in splits.items():
        own = [item for item in files if (item.config, item.split) == (config, split)]
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        rows.append(
            {
                "config": code(config),
                "split": code(split),
                "rows": f"{summary.rows:,}",
                **_lengths(summary.lengths),
                "files": code(own[0].path) + more,
                "sha256": code(own[0].sha256[:16]) + more,
            }
        )
    return rows


def group_rows(splits: Mapping[tuple[str, str], RowSummary]) -> list[dict[str, str]]:
    """Rows by value of every column with few values, each value on a line of its own."""
    return [
        {
            "column": code(column),
            "value": _value(value),
            "rows": f"{group.rows:,}",
            "share": _share(group.rows, summary.rows),
            **_lengths(group.lengths),
        }
        for summary in _by_config(splits).values()
        for column, groups in summary.shown_groups().items()
        for value, group in groups
    ]


def listed_groups(splits: Mapping[tuple[str, str], RowSummary]) -> list[dict[str, str]]:
    """The same for several configurations, with the values of a column on one line."""
    return [
        {
            "config": code(config),
            "column": code(column),
            "values": ", ".join(f"{_value(value)} {_share(group.rows, summary.rows)}" for value, group in groups),
        }
        for config, summary in _by_config(splits).items()
        for column, groups in summary.shown_groups().items()
    ]


def column_rows(splits: Mapping[tuple[str, str], RowSummary]) -> list[dict[str, str]]:
    """One row a column, with the configurations that have it."""
    configs = _by_config(splits)
    types: dict[str, Counter[str]] = {}
    homes: dict[str, list[str]] = {}
    for config, summary in configs.items():
        for name, counts in summary.columns.items():
            types.setdefault(name, Counter()).update(counts)
            homes.setdefault(name, []).append(config)
    return [
        {
            "name": code(name),
            "configs": "all" if len(homes[name]) == len(configs) else ", ".join(map(code, homes[name])),
            "type": _describe_types(counts),
            "meaning": MEANINGS.get(name, ""),
        }
        for name, counts in types.items()
    ]


def limit_lines(record: StageRecord, counts: SamplingCounts | None, license: str | None) -> Iterator[str]:
    """What the data set is not."""
    yield from kind_limits(record)
    if counts and record.kind == SAMPLED:
        yield from _sampling_limits(record, counts)
    if not record.contamination:
        yield "No check against a benchmark is on record: questions of one may be among the rows."
    yield "Nothing here looks for personal, offensive or unsafe content."
    if license is None:
        sources = [name for item in (record.data, record.parents) for name in _licenses(item)]
        named = f" The records name, for what it was made from: {cell(', '.join(dict.fromkeys(sources)))}."
        yield f"Its owner has not named a licence.{named if sources else ''}"
    elif "hub_license" not in record.config and license == derived_license(record):
        yield "The licence is that of all it was made from, as their cards name it."


def _sampling_limits(record: StageRecord, counts: SamplingCounts) -> Iterator[str]:
    if setting(record, "keep_correct"):
        yield (
            "Only final answers were verified. Thoughts that reach a right answer by a wrong way are in here, and the "
            "verifier has misses of its own: it refuses some right answers in unusual form (inequalities left "
            "unsolved, units to be added up, intervals written the other way round) and can accept a right number "
            "with a word after it that changes it."
        )
    else:
        yield "Answers were not verified (`keep_correct: false`): wrong ones are in here."
    unsolved = counts.prompts - counts.solved
    if unsolved:
        yield (
            f"Questions without a row, {unsolved:,} of {counts.prompts:,}, are those of which no sample is left: the "
            "rows are a selection, by what the teacher can do, and easier than the questions asked."
        )
    if setting(record, "keep_language_consistent"):
        yield "The language check counts words; it knows no grammar, and may drop good rows with foreign names."
    else:
        yield "Languages were not checked (`keep_language_consistent: false`)."
    yield "All responses are one teacher's: its habits, gaps and mistakes beyond the filters are in every row."


def _licenses(items: Sequence[DataSource] | Sequence[Parent]) -> list[str]:
    return [item.license for item in items if item.license]


def _by_config(splits: Mapping[tuple[str, str], RowSummary]) -> dict[str, RowSummary]:
    """The rows of each configuration, its splits together."""
    merged: dict[str, RowSummary] = {}
    for (config, _), summary in splits.items():
        merged.setdefault(config, RowSummary()).merge(summary)
    return merged


def _value(value: str | int | None) -> str:
    return "none" if value is None else code(value)


def _lengths(lengths: Lengths) -> dict[str, str]:
    means = {"reasoning": lengths.mean_reasoning, "answer": lengths.mean_answer}
    return {name: "" if mean is None else f"{mean:.1f}" for name, mean in means.items()}


def _describe_types(counts: Counter[str]) -> str:
    known = [name for name, _ in counts.most_common() if name != "none"]
    return cell(" or ".join(known + (["none"] if "none" in counts else [])))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
