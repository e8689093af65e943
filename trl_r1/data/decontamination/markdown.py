"""The report for reading: a table a benchmark, and what was found beside what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trl_r1.data.decontamination.index import KINDS
from trl_r1.data.decontamination.report import MEANINGS


def report_markdown(report: Mapping[str, Any]) -> str:
    """
    The report as Markdown.

    Args:
        report (`Mapping[str, Any]`):
            What [`ContaminationReport.to_dict`] gives.
    """
    return "\n".join([*_summary(report), *_table(report), *_scores(report), *_examples(report)]) + "\n"


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    settings = report["settings"]
    yield "# Contamination\n"
    found = sum(report["rows_found"].values())
    yield (
        f"{found:,} of {report['rows_checked']:,} rows hold a question of a benchmark, or one very like it; "
        f"{report['rows_dropped']:,} are dropped.\n"
    )
    for kind in KINDS:
        kept = ", kept" if kind == "renumbered" and report["keep_renumbered"] else ""
        yield f"- `{kind}`: {MEANINGS[kind]} ({report['rows_found'].get(kind, 0):,} rows{kept})"
    yield (
        f"\nBy {settings['ngram_size']}-grams of words after normalising; `ngram` from {settings['min_coverage']:.0%} "
        f"of a question's n-grams on, `near_duplicate` from a Jaccard similarity of "
        f"{settings['near_duplicate_threshold']} on. What says the same in other words is not found.\n"
    )


def _table(report: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| benchmark | questions | found | rate (95 % interval) | " + " | ".join(KINDS) + " | rows sharing an n-gram |"
    )
    yield "|---|---|---|---|" + "---|" * (len(KINDS) + 1)
    for each in report["benchmarks"]:
        rate = each["rate"]
        kinds = " | ".join(str(each["found_by_kind"].get(kind, 0)) for kind in KINDS)
        interval = f"{rate['value']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})"
        yield (
            f"| {_cell(each['name'])} | {each['questions']:,} | {each['questions_found']:,} | {interval} | {kinds} | "
            f"{each['rows_sharing_an_ngram']:,} |"
        )
    yield "\nRows sharing an n-gram are those the paper's rule (any one of them) would drop.\n"


def _scores(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["scores"]:
        return
    yield "## Scores without the questions found\n"
    yield "| samples | questions | found | accuracy | without them | change (95 % interval) | on those found |"
    yield "|---|---|---|---|---|---|---|"
    for score in report["scores"]:
        interval = "" if score["low"] is None else f" ({score['low']:+.3f} to {score['high']:+.3f})"
        change = "none" if score["change"] is None else f"{score['change']:+.3f}{interval}"
        yield (
            f"| {_cell(score['samples'])} | {score['questions']} | {score['contaminated']} | {score['accuracy']:.3f} "
            f"| {_number(score['clean_accuracy'])} | {change} | {_number(score['contaminated_accuracy'])} |"
        )
    yield "\nQuestions that were found may also be easier than the others: a change is no proof of memorising.\n"


def _examples(report: Mapping[str, Any]) -> Iterator[str]:
    for each in report["benchmarks"]:
        if each["examples"]:
            yield f"## Examples of {_cell(each['name'])}\n"
            yield "| kind | row | field | the question | found |"
            yield "|---|---|---|---|---|"
        for kind, examples in each["examples"].items():
            for example in examples:
                place = f"{example['source']} {example['row']}".strip()
                yield (
                    f"| {kind} | {_cell(place)} | {_cell(example['field'])} | {_cell(example['question'])} | "
                    f"{_cell(example['found'])} |"
                )
        yield ""


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """A text on one line that no table, markup or tag can come out of."""
    line = " ".join(text.split()).replace("\\", "\\\\")
    for sign in "|`<*_$[":
        line = line.replace(sign, "&lt;" if sign == "<" else "\\" + sign)
    return line
