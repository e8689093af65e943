"""
Find what of benchmarks is in a data set, report it, and write the rows without it.

    trl-r1 decontaminate --config decontaminate.yaml

`check_only: true` writes the report alone, and ends with exit code 1 when a row would be dropped.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import DataError
from trl_r1.scripts.common import StageRecorder, is_main_process, run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.stage_record import Measurement, write_json


if TYPE_CHECKING:
    from datasets import Dataset

    from trl_r1.data.decontamination import ContaminationReport
    from trl_r1.recipe import Recipe

FOUND: Final = 1  # exit code of a check that found something
REPORT: Final = "contamination"
ROW_FILE: Final = "train.jsonl"

logger = logging.getLogger(__name__)


def clean(recipe: Recipe) -> int:
    """Search, report, write the clean rows, then the record and the card. Returns the exit code."""
    from trl_r1.data.decontamination import BenchmarkIndex, ContaminationReport, SearchSettings, load_benchmarks
    from trl_r1.data.decontamination.scores import find_sample_files
    from trl_r1.data.mixture import load_sources

    if not is_main_process():
        return 0
    arguments = recipe.script_args
    recorder = StageRecorder.from_recipe("decontaminate", recipe, arguments.output_dir, arguments.stage_name)
    samples = find_sample_files(arguments.samples)
    settings = SearchSettings(
        ngram_size=arguments.ngram_size,
        min_coverage=arguments.min_coverage,
        near_duplicate_threshold=arguments.near_duplicate_threshold,
    )
    index = BenchmarkIndex(load_benchmarks(arguments.benchmarks), settings)
    report = ContaminationReport(
        benchmarks=index.benchmarks, settings=settings, keep_renumbered=arguments.keep_renumbered
    )
    parts = [
        _search(source, index, report, arguments, recorder) for source in load_sources(arguments, recipe.dataset_args)
    ]
    report.add_scores(samples)
    write_report(arguments.output_dir, report)
    show_report(report)
    if arguments.check_only and report.dropped:
        logger.error("%d rows hold what benchmarks ask: see %s/%s.md", report.dropped, arguments.output_dir, REPORT)
        return FOUND
    rows = 0 if arguments.check_only else _write_rows(arguments.output_dir, parts, report)
    recorder.contamination = report.checks()
    recorder.seeds = {"seed": arguments.seed}
    recorder.metrics = _counts(report, rows)
    recipe.write_resolved(arguments.output_dir)
    recorder.write()
    if not arguments.check_only:
        _write_card(recipe)
    return 0


def _search(source: Any, index: Any, report: ContaminationReport, arguments: Any, recorder: StageRecorder) -> Dataset:
    """The rows of one source that are left, once they are searched and counted."""
    from trl_r1.data.decontamination.search import keep_clean, search_rows

    reasons = search_rows(
        source.dataset,
        index,
        report,
        prompt_column=arguments.dataset_prompt_column,
        solution_column=arguments.dataset_solution_column,
        trace_columns=arguments.trace_columns,
        source=source.name,
    )
    if source.set_aside:
        told = ", ".join(f"{reason} {count}" for reason, count in source.set_aside.items())
        recorder.notes.append(f"left out of {source.name} before the search, and in no count of it: {told}")
    left = keep_clean(source.dataset, reasons)
    recorder.data.append(
        source.describe(len(left), dict(Counter(reason for reason in reasons if reason).most_common()))
    )
    return left


def write_report(folder: str | Path, report: ContaminationReport) -> None:
    """Write `contamination.json` and, for reading, `contamination.md`."""
    from trl_r1.data.decontamination.markdown import report_markdown

    content = report.to_dict()
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_json(Path(folder) / f"{REPORT}.json", content)
    (Path(folder) / f"{REPORT}.md").write_text(report_markdown(content), encoding="utf-8", errors="backslashreplace")


def show_report(report: ContaminationReport) -> None:
    """Print a line a benchmark."""
    from rich.console import Console
    from rich.table import Table

    from trl_r1.data.decontamination import KINDS

    table = Table(title=f"{report.rows_checked:,} rows searched, {report.dropped:,} to drop")
    for name in ("benchmark", "questions", *KINDS):
        table.add_column(name, justify="left" if name == "benchmark" else "right", overflow="fold")
    for number, each in enumerate(report.benchmarks):
        hits = report.hits(number)
        table.add_row(each.name, str(len(each.questions)), *(str(hits.get(kind, 0)) for kind in KINDS))
    Console(stderr=True).print(table, markup=False)


def _write_rows(folder: str, parts: Sequence[Dataset], report: ContaminationReport) -> int:
    from trl_r1.data.mixture import PLACE
    from trl_r1.data.rows import join_parts, write_jsonl
    from trl_r1.stage_record import plain_json

    if not any(map(len, parts)):
        raise DataError(
            f"benchmarks: all of {report.rows_checked} rows hold what they ask; see {folder}/{REPORT}.md, and set "
            "keep_renumbered where the data come from the benchmark's own templates"
        )
    return write_jsonl(Path(folder) / ROW_FILE, (plain_json(row) for row in join_parts(parts, PLACE)))


def _counts(report: ContaminationReport, rows: int) -> dict[str, Measurement]:
    counts = {"rows_checked": report.rows_checked, "kept": rows, "dropped": report.dropped}
    counts |= {f"found/{kind}": count for kind, count in report.rows.items()}
    return {name: Measurement(value=float(count)) for name, count in counts.items()}


def _write_card(recipe: Recipe) -> None:
    from trl_r1.hub.cards.dataset_card import create_dataset_card
    from trl_r1.hub.lineage import write_lineage

    folder, license = recipe.script_args.output_dir, recipe.script_args.hub_license
    write_lineage(folder)
    create_dataset_card(folder, license=license, repo_id=recipe.hub_repo_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    codes: list[int] = []
    failed = run_script("decontaminate", publishing(lambda recipe: codes.append(clean(recipe))), argv)
    return failed or max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
