"""
Sample a model on a data set and keep every sample, right or wrong: to look at, to filter later, to measure.

    trl-r1 generate --model_name_or_path MODEL --dataset_name QUESTIONS --output_dir outputs/samples
    torchrun --nproc_per_node 8 -m trl_r1.scripts.generate --config samples.yaml
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from trl_r1.scripts.common import run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.scripts.sampling import generation_metrics, sampling_run
from trl_r1.stage_record import Measurement


if TYPE_CHECKING:
    from trl_r1.data.sample_rows import SampleCounts
    from trl_r1.recipe import Recipe

DATA_FOLDER: Final = "data"


def generate(recipe: Recipe) -> None:
    """Sample, parse, verify, write the rows, then the record with every count, and the card."""
    from trl_r1.data.sample_rows import SampleRows

    with sampling_run(recipe) as run:
        job = run.sample()
        rows = SampleRows(job, run.prompts.dataset, verify=run.arguments.verify)
        rows.run(progress=True, progress_file=run.progress_file)
        if not run.is_main:
            return
        written = run.folder / DATA_FOLDER
        rows.write(written, run.arguments.rows_per_file)
        place = run.output_dir / DATA_FOLDER
        shutil.rmtree(place, ignore_errors=True)  # of an earlier run of other settings
        written.rename(place)
        run.finish(
            {**generation_metrics(job.summary()), **count_metrics(rows.counts(), verified=run.arguments.verify)}
        )


def count_metrics(counts: SampleCounts, *, verified: bool) -> dict[str, Measurement]:
    """How many samples are malformed, and how many have each verdict."""
    verdicts = {f"verdict/{name}": count for name, count in counts.verdicts.items()} if verified else {}
    return {
        name: Measurement(value=float(count)) for name, count in {"malformed": counts.malformed, **verdicts}.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("generate", publishing(generate), argv)


if __name__ == "__main__":
    sys.exit(main())
