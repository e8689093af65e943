"""
Measure checkpoints on suites of questions, and compare them in pairs.

    trl-r1 evaluate --config recipes/tiny/evaluation.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.errors import RecipeError
from trl_r1.scripts.common import StageRecorder, run_script
from trl_r1.stage_record import DataSource, Measurement, describe_parent


if TYPE_CHECKING:
    from trl_r1.recipe import Recipe


def measure(recipe: Recipe) -> None:
    """Ask every checkpoint every suite, compare the pairs the recipe names, write the record."""
    from trl_r1.evaluation import Checkpoint, EvaluationSuite, evaluate_policy

    arguments = recipe.script_args
    recorder = StageRecorder.from_recipe("evaluate", recipe, arguments.output_dir, arguments.stage_name)
    suites = [EvaluationSuite.from_mapping(entry) for entry in arguments.suites]
    checkpoints = [Checkpoint.from_mapping(entry) for entry in arguments.checkpoints]
    for checkpoint in checkpoints:
        engine = checkpoint.load(arguments.dtype)
        for suite in suites:
            recorder.evaluations += evaluate_policy(
                engine,
                suite,
                checkpoint,
                arguments.output_dir,
                seed=arguments.seed,
                max_completion_length=arguments.max_completion_length,
                batch_size=arguments.generation_batch_size,
                progress=True,
            )
        recorder.parents.append(describe_parent(checkpoint.path, role="evaluated", revision=checkpoint.revision))
    recorder.data = data_sources(recorder.evaluations)
    recorder.metrics = compare_pairs(arguments.comparisons, recorder.evaluations, Path(arguments.output_dir))
    recorder.seeds = {"seed": arguments.seed}
    recipe.write_resolved(arguments.output_dir)
    recorder.write()


def data_sources(evaluations: Sequence[Mapping[str, Any]]) -> list[DataSource]:
    """Every dataset that was asked, once."""
    sources = {repr(sorted(entry["data"].items())): entry["data"] for entry in evaluations}
    return [DataSource(**source) for source in sources.values()]


def compare_pairs(
    comparisons: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]], folder: Path
) -> dict[str, Measurement]:
    """
    Differences between checkpoints on the same questions, with paired intervals.

    Args:
        comparisons (`Sequence[Mapping[str, Any]]`):
            Each with `before` and `after` (names of checkpoints), `suite`, `mode` and `metric`.
        evaluations (`Sequence[Mapping[str, Any]]`):
            Records of [`evaluate_policy`].
        folder (`Path`):
            Where their answers are.

    Returns:
        `dict[str, Measurement]`: by `"<after> - <before> (<suite>, <mode>, <metric>)"`.

    Raises:
        [`RecipeError`]: when a comparison names what was not measured.
    """
    from trl_r1.evaluation import compare

    files = {(entry["checkpoint"], entry["suite"], entry["mode"]): folder / entry["samples"] for entry in evaluations}
    differences = {}
    for entry in comparisons:
        before, after = ((entry[side], entry["suite"], entry["mode"]) for side in ("before", "after"))
        missing = [key for key in (before, after) if key not in files]
        if missing:
            raise RecipeError(
                [f"comparisons: {' / '.join(missing[0])} was not measured; name a checkpoint, suite, mode"]
            )
        metric = entry["metric"]
        result = compare(files[before], files[after], [metric])["metrics"].get(metric)
        if result is not None:
            label = f"{entry['after']} - {entry['before']} ({entry['suite']}, {entry['mode']}, {metric})"
            differences[label] = Measurement(**result["difference"])
    return differences


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("evaluate", measure, argv)


if __name__ == "__main__":
    sys.exit(main())
