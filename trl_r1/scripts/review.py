"""
Let people look at the rows of a stage, and take their verdicts back.

    trl-r1 review export outputs/mine/cold_start_data --output review.jsonl --max_rows 200
    trl-r1 review import outputs/mine/cold_start_data review.jsonl --output_dir outputs/mine/cold_start_reviewed

In between each row gets a verdict: `accept`, `reject`, or `edit` with an edited text.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trl_r1.errors import R1Error
from trl_r1.scripts.common import StageRecorder, configure_logging, report_error
from trl_r1.stage_record import DataSource, Measurement, has_stage_record, hash_file, read_stage_record


COUNTS = ("accepted", "edited", "rejected", "unreviewed_kept", "unreviewed_dropped")


def make_parser() -> argparse.ArgumentParser:
    """The command line of `trl-r1 review`."""
    parser = argparse.ArgumentParser(prog="trl-r1 review", description="let people look at the rows of a stage")
    actions = parser.add_subparsers(dest="action", required=True)
    export = actions.add_parser("export", help="write rows for people to look at")
    export.add_argument("folder", help="folder of a stage with train.jsonl")
    export.add_argument("--output", required=True, help="file of JSON lines to write")
    export.add_argument("--max_rows", type=int, help="a random choice of so many rows (default: all)")
    export.add_argument("--seed", type=int, default=42, help="of that choice (default: 42)")
    back = actions.add_parser("import", help="apply the verdicts, and leave a stage of what is kept")
    back.add_argument("folder", help="folder of the stage that was reviewed")
    back.add_argument("reviews", help="the file with the verdicts")
    back.add_argument("--output_dir", required=True, help="folder of the new stage")
    back.add_argument("--stage_name", help="its name (default: the folder's)")
    back.add_argument("--hub_license", help="licence of the result, such as apache-2.0")
    back.add_argument(
        "--unreviewed",
        choices=("refuse", "keep", "drop"),
        default="refuse",
        help="what to do with rows that have no verdict (default: refuse)",
    )
    return parser


def export_reviews(options: argparse.Namespace) -> None:
    """Write the rows to review; a file that may hold verdicts already is not overwritten."""
    from trl_r1.data.review import export_rows
    from trl_r1.data.rows import write_jsonl

    if options.max_rows is not None and options.max_rows < 1:
        raise R1Error(f"--max_rows: {options.max_rows} must be at least 1")
    if Path(options.output).exists():
        raise R1Error(f"--output: {options.output!r} is there already, perhaps with verdicts; name another file")
    written = write_jsonl(options.output, export_rows(options.folder, options.max_rows, options.seed))
    _say(f"{written} rows to review: {options.output}")


def import_reviews(options: argparse.Namespace, words: Sequence[str]) -> None:
    """Check every verdict, then write rows, record and card, in that order."""
    from trl_r1.data.rejection_sampling import ROW_FILE
    from trl_r1.data.review import apply_reviews, read_reviews
    from trl_r1.data.rows import write_jsonl
    from trl_r1.hub.cards.dataset_card import create_dataset_card
    from trl_r1.hub.lineage import write_lineage

    output = Path(options.output_dir)
    if has_stage_record(output) or output.resolve() == Path(options.folder).resolve():
        raise R1Error(f"--output_dir: {options.output_dir!r} holds a stage already; name another folder")
    earlier = read_stage_record(options.folder)
    config = {name: value for name, value in vars(options).items() if name != "action" and value is not None}
    config["reviews_sha256"] = hash_file(_existing(options.reviews))
    recorder = StageRecorder(
        kind="review",
        output_dir=options.output_dir,
        config=config,
        command=["trl-r1", "review", *words],
        stage=options.stage_name or output.resolve().name,
    )
    recorder.begin_after(earlier)
    reviewed = apply_reviews(options.folder, read_reviews(options.reviews), options.unreviewed, options.reviews)
    write_jsonl(output / ROW_FILE, reviewed.rows)
    counts = reviewed.counts
    dropped = {name: counts[name] for name in ("rejected", "unreviewed_dropped") if counts[name]}
    fingerprint = _fingerprint(Path(options.folder) / ROW_FILE)
    recorder.data = [
        DataSource(
            source=options.folder,
            split="train",
            fingerprint=fingerprint,
            rows_in=counts.total(),
            rows_kept=counts.total() - sum(dropped.values()),
            dropped=dropped,
        )
    ]
    recorder.metrics = {name: Measurement(value=float(counts[name])) for name in COUNTS}
    recorder.write()
    write_lineage(output)
    create_dataset_card(output, license=options.hub_license)
    shown = ", ".join(f"{name} {counts[name]}" for name in COUNTS if counts[name])
    _say(f"{shown}: {options.output_dir}")


def _fingerprint(path: Path) -> str:
    """The hash of the rows, as a stage that reads them has it."""
    from datasets import Dataset

    from trl_r1.data.rows import fingerprint_rows

    with tempfile.TemporaryDirectory() as cache:
        return fingerprint_rows(Dataset.from_json(str(path), cache_dir=cache))


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise R1Error(f"reviews: there is no file {path!r}; give the file with the verdicts")
    return Path(path)


def _say(text: str) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns 0, or 2 for wrong input."""
    words = list(sys.argv[1:] if argv is None else argv)
    configure_logging()
    options = make_parser().parse_args(words)
    try:
        if options.action == "export":
            export_reviews(options)
        else:
            import_reviews(options, words)
    except R1Error as error:
        report_error(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
