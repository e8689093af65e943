"""
Compare two checkpoints that answered the same questions, or several ways to train one model.

    trl-r1 compare outputs/mine/evaluation --before base --after zero
    trl-r1 compare outputs/old/evaluation outputs/new/evaluation
    trl-r1 compare old/samples-a.parquet new/samples-a.parquet
    trl-r1 compare outputs/mine/evaluation --published deepseek-r1-distill-qwen-1.5b
    trl-r1 compare outputs/tiny_seed0 outputs/tiny_seed1
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import R1Error
from trl_r1.stage_record import RECORD_NAME


if TYPE_CHECKING:
    from trl_r1.evaluation.reports import TextTable

DESCRIPTION: Final = (
    "Two checkpoints' evaluations, paired by question: output folders of `trl-r1 evaluate`, one with --before and "
    "--after, or two files of answers. Or output folders of one pipeline, each run with another seed: what each way "
    "to train cost and reached."
)
WIDTH: Final = 160  # columns, where the table goes to a file instead of a terminal


def main(argv: Sequence[str]) -> int:
    """Entry point. Returns the exit code."""
    options = _parser().parse_args(argv)
    missing = [path for path in options.places if not Path(path).exists()]
    if missing:
        raise R1Error(f"folders: {missing[0]!r} does not exist; run the pipeline first, or the evaluation")
    evaluated = [_is_evaluation(Path(path)) for path in options.places]
    if all(evaluated):
        return _compare_published(options) if options.published else _compare_checkpoints(options)
    if any(evaluated):
        raise R1Error("folders: some are evaluations and some are not; compare like with like")
    given = [name for name in ("before", "after", "metrics", "published", "json", "anyway") if getattr(options, name)]
    if given:
        raise R1Error(f"--{given[0]}: it is for evaluations; name a folder that `trl-r1 evaluate` wrote")
    from trl_r1.report import print_methods

    print_methods(options.places, markdown=options.markdown)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trl-r1 compare", description=DESCRIPTION)
    parser.add_argument("places", nargs="+", metavar="FOLDER", help="folders, or two files of answers")
    parser.add_argument("--before", metavar="NAME", help="checkpoint of the first folder, where it holds several")
    parser.add_argument("--after", metavar="NAME", help="checkpoint of the second (or only) folder")
    parser.add_argument("--metrics", nargs="+", metavar="METRIC", help="what to compare (default: all that both have)")
    parser.add_argument("--published", metavar="MODEL", help="hold an evaluation beside what is published of a model")
    parser.add_argument("--anyway", action="store_true", help="compare though the protocols differ, which is said")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print tables as Markdown")
    form.add_argument("--json", action="store_true", help="print the comparison of checkpoints as JSON")
    return parser


def _is_evaluation(path: Path) -> bool:
    return path.is_file() or (path / RECORD_NAME).is_file()


def _compare_checkpoints(options: argparse.Namespace) -> int:
    from trl_r1.evaluation.checkpoint_comparison import compare_checkpoints
    from trl_r1.evaluation.reports import comparison_table

    if len(options.places) > 2:
        raise R1Error(f"folders: {len(options.places)} evaluations; compare two at a time")
    found = compare_checkpoints(
        *options.places,
        before=options.before,
        after=options.after,
        metrics=options.metrics,
        anyway=options.anyway,
    )
    _show(comparison_table(found), found.to_dict(), options)
    return 0


def _compare_published(options: argparse.Namespace) -> int:
    from trl_r1.evaluation.published import compare_with_published, published_numbers
    from trl_r1.evaluation.reports import agreement_table
    from trl_r1.stage_record import read_stage_record

    given = [name for name in ("after", "metrics", "anyway") if getattr(options, name)]
    if len(options.places) > 1 or given or not Path(options.places[0]).is_dir():
        raise R1Error("--published: give one folder of `trl-r1 evaluate`, and --before for one checkpoint in it")
    published_numbers(options.published)  # a model that nobody knows is told first
    records = [
        record
        for record in read_stage_record(Path(options.places[0])).evaluations
        if options.before in (None, record["checkpoint"]) and record.get("benchmark")
    ]
    if not records:
        whose = f" of {options.before!r}" if options.before else ""
        raise R1Error(f"folders: {options.places[0]} measured no benchmark{whose}; `trl-r1 benchmarks` lists them")
    rows = [
        (" / ".join(filter(None, (record["checkpoint"], record["mode"], record.get("variant")))), each)
        for record in records
        for each in compare_with_published(record, options.published)
    ]
    if not rows:
        asked = ", ".join(dict.fromkeys(str(record["benchmark"]["name"]) for record in records))
        raise R1Error(f"--published: nothing is published of {options.published!r} on {asked}")
    content = {"rows": [{"measured": measured, **each.to_dict()} for measured, each in rows]}
    _show(agreement_table(rows), content, options)
    return 0


def _show(table: TextTable, content: Mapping[str, Any], options: argparse.Namespace) -> None:
    """In the form that was asked for."""
    from rich.console import Console

    console = Console()
    if options.json:
        text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
        console.print(text, soft_wrap=True, highlight=False, markup=False)
    elif options.markdown:
        console.print(table.to_markdown(), soft_wrap=True, highlight=False, markup=False)
    else:
        if not console.is_terminal:
            console.width = max(console.width, WIDTH)
        console.print(table.to_rich())
