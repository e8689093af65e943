"""
Measure how often a model solves each problem, and write the problems with their pass rates, all or those in a band.

    trl-r1 estimate_difficulty --config difficulty.yaml

Goes on where it was after a kill. Asked again, with more problems or samples, it samples only what is missing.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import DataError
from trl_r1.scripts.common import run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.scripts.sampling import SamplingRun, sampling_run
from trl_r1.stage_record import DataSource, Measurement


if TYPE_CHECKING:
    from datasets import Dataset

    from trl_r1.data.difficulty_estimation import DifficultyEstimate
    from trl_r1.recipe import Recipe

CACHE_NAME: Final = ".difficulty_cache"  # hidden: no part of the data set

logger = logging.getLogger(__name__)


def measure(recipe: Recipe) -> None:
    """Sample, verify, count, write the rows, then the record with every count, and the card."""
    from trl_r1.data.difficulty_estimation import DifficultyJob

    with sampling_run(recipe) as run:
        job = DifficultyJob(
            run.engine,
            run.prompts.dataset,
            run.shown_prompts(),
            run.params,
            folder=run.folder,
            cache=run.arguments.difficulty_cache or run.output_dir / CACHE_NAME,
            rank=run.rank,
            world_size=run.world_size,
        )
        job.run(progress=True, progress_file=run.progress_file)
        if not run.is_main:
            return
        estimate = job.result()
        reasons = reasons_of(estimate, run.arguments)
        write(run, estimate, [place for place, reason in enumerate(reasons) if reason is None])
        run.recorder.data = count_sources(run.recorder.data, reasons)
        show(estimate)
        run.finish(difficulty_metrics(estimate, reasons))


def reasons_of(estimate: DifficultyEstimate, arguments: Any) -> list[str | None]:
    """Why each row is left out; nothing is when no band is asked for."""
    low, high = arguments.min_pass_rate, arguments.max_pass_rate
    if low is None and high is None:
        return [None] * len(estimate.counts)
    return estimate.outside(0.0 if low is None else low, 1.0 if high is None else high)


def write(run: SamplingRun, estimate: DifficultyEstimate, kept: Sequence[int]) -> None:
    """
    Write the rows that are left.

    Raises:
        [`DataError`]: when there is none.
    """
    from datasets import Features, Value

    from trl_r1.data.difficulty_estimation import left_out, measured_rows
    from trl_r1.data.parquet_files import write_parquet
    from trl_r1.evaluation.intervals import wilson_interval

    if not kept:
        bands = ", ".join(f"{band}: {rows}" for band, rows in estimate.histogram().items() if rows)
        raise DataError(f"min_pass_rate, max_pass_rate: no row lies between them (rows by pass rate: {bands})")
    dataset: Dataset = run.prompts.dataset
    gone = left_out(dataset)
    own = {name: feature for name, feature in dataset.features.items() if name not in gone}
    rate: Any = Value("float64")
    measured = {"pass_rate": rate, "num_samples": Value("int64"), "pass_rate_low": rate, "pass_rate_high": rate}
    rows = measured_rows(dataset, estimate, wilson_interval, kept)
    write_parquet(run.output_dir, rows, Features(own | measured), len(kept))


def count_sources(sources: Sequence[DataSource], reasons: Sequence[str | None]) -> list[DataSource]:
    """The sources, which the rows come from one after the other, with what was left out of each."""
    counted, start = [], 0
    for source in sources:
        own = reasons[start : start + source.rows_kept]
        start += source.rows_kept
        left = Counter(reason for reason in own if reason is not None)
        counted.append(
            replace(source, rows_kept=own.count(None), dropped={**source.dropped, **dict(left.most_common())})
        )
    return counted


def difficulty_metrics(estimate: DifficultyEstimate, reasons: Sequence[str | None]) -> dict[str, Measurement]:
    """Every count, the rows by band, and the mean pass rate."""
    from trl_r1.evaluation.intervals import mean_interval

    counts = {
        "prompts": len(estimate.counts),
        "questions": estimate.num_questions,
        "samples": estimate.drawn + estimate.reused,
        "samples_from_cache": estimate.reused,
        "undecided": estimate.undecided,
        "kept": reasons.count(None),
        **{f"pass_rate/{band}": rows for band, rows in estimate.histogram().items()},
    }
    metrics = {name: Measurement(value=float(count)) for name, count in counts.items()}
    rates = [count.rate for count in estimate.counts if count.rate is not None]
    low, high = mean_interval(rates) or (None, None)
    metrics["mean_pass_rate"] = Measurement(value=sum(rates) / len(rates), n=len(rates), low=low, high=high)
    return metrics


def show(estimate: DifficultyEstimate) -> None:
    """Print the rows by band."""
    from rich.console import Console
    from rich.table import Table

    rows = len(estimate.counts)
    table = Table(title=f"{rows:,} rows by pass rate ({estimate.drawn:,} samples drawn, {estimate.reused:,} known)")
    for name in ("pass rate", "rows", "share", ""):
        table.add_column(name, justify="left" if name in ("pass rate", "") else "right")
    for band, count in estimate.histogram().items():
        table.add_row(band, f"{count:,}", f"{count / rows:.1%}", "#" * round(40 * count / rows))
    Console(stderr=True).print(table, markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("estimate_difficulty", publishing(measure), argv)


if __name__ == "__main__":
    sys.exit(main())
