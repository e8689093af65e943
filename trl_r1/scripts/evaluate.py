"""
Measure checkpoints on suites of questions, and compare them in pairs.

    trl-r1 evaluate --config recipes/tiny/evaluation.yaml
    torchrun --nproc_per_node 8 -m trl_r1.scripts.evaluate --config evaluation.yaml

Goes on where it was after a kill, and leaves what an undisturbed run would have left.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import GenerationError, R1Error, RecipeError
from trl_r1.scripts.common import StageRecorder, run_script
from trl_r1.scripts.sampling import PROGRESS_NAME, WORK_NAME, remove_work, stop_on_sigterm
from trl_r1.stage_record import DataSource, Measurement, describe_parent


if TYPE_CHECKING:
    from trl_r1.evaluation import Checkpoint, EvaluationSuite
    from trl_r1.recipe import Recipe

SHOWN: Final = ("accuracy", "pass@", "cons@")  # beginnings of the metrics that are printed; all are in the reports

logger = logging.getLogger(__name__)


def measure(recipe: Recipe) -> None:
    """
    Ask every checkpoint every suite, compare the pairs the recipe names, write the record.

    All processes share the work in `.work`; the first writes what is left of it.
    """
    from trl_r1.evaluation import Checkpoint, EvaluationSuite
    from trl_r1.generation.jobs.locking import hold_share
    from trl_r1.generation.jobs.shares import end_share, rank_and_world, share_of

    arguments = recipe.script_args
    rank, world_size = rank_and_world()
    recorder = StageRecorder.from_recipe("evaluate", recipe, arguments.output_dir, arguments.stage_name)
    suites = [EvaluationSuite.from_mapping(entry) for entry in arguments.suites]
    checkpoints = [Checkpoint.from_mapping(entry) for entry in arguments.checkpoints]
    for checkpoint in checkpoints:
        check_questions(checkpoint, suites, arguments)
    work = Path(arguments.output_dir) / WORK_NAME
    hold_share(work, rank)
    share = share_of(work, rank, world_size)
    with stop_on_sigterm():
        try:
            for checkpoint in checkpoints:
                ask(checkpoint, suites, recipe, recorder, (rank, world_size))
        except R1Error as error:
            if rank == 0:
                raise
            logger.error("process %d: %s", rank, error)  # perhaps its own alone, and the first would not tell it
            if not isinstance(error, GenerationError):
                raise
        finally:
            if rank != 0:
                end_share(work)
        if rank == 0:
            recorder.processes = {"world_size": world_size}
            finish(recipe, recorder, checkpoints)
            if not arguments.keep_work:
                share.wait_for_others()
                remove_work(work)


def ask(
    checkpoint: Checkpoint,
    suites: Sequence[EvaluationSuite],
    recipe: Recipe,
    recorder: StageRecorder,
    place: tuple[int, int],
) -> None:
    """Load a checkpoint and measure it on every suite; `place` is this process and the number of all."""
    from trl_r1.evaluation import evaluate_policy

    arguments = recipe.script_args
    engine = checkpoint.load(arguments.dtype, arguments)
    for suite in suites:
        recorder.evaluations += evaluate_policy(
            engine,
            suite,
            checkpoint,
            arguments.output_dir,
            seed=arguments.seed,
            max_completion_length=arguments.max_completion_length,
            batch_size=arguments.generation_batch_size,
            max_undecidable=arguments.max_undecidable,
            progress=True,
            progress_file=Path(arguments.output_dir) / PROGRESS_NAME,
            rank=place[0],
            world_size=place[1],
            keep_work=True,
        )
    recorder.notes += [f"Server: {note}" for note in getattr(engine, "notes", ())]


def check_questions(checkpoint: Checkpoint, suites: Sequence[EvaluationSuite], arguments: Any) -> None:
    """
    Check that every suite can be asked, with the tokenizer alone: before any model is loaded, or a server asked.

    Raises:
        [`DataError`], [`TemplateError`] or [`R1Error`]: as [`~trl_r1.evaluation.evaluate_policy`], when questions
            cannot be read, shown, or do not fit.
    """
    from trl_r1.evaluation.preflight import Reader, check_suite

    longest = arguments.vllm_max_model_length if arguments.engine == "vllm" else None
    tokenizer = checkpoint.load_tokenizer(arguments)
    served = arguments.engine == "server"  # which alone knows how long its context is
    reader = Reader(tokenizer) if served else Reader.of_checkpoint(checkpoint, tokenizer, longest)
    for suite in suites:
        check_suite(
            reader,
            suite,
            checkpoint,
            seed=arguments.seed,
            max_completion_length=arguments.max_completion_length,
            batch_size=arguments.generation_batch_size,
        )


def finish(recipe: Recipe, recorder: StageRecorder, checkpoints: Sequence[Checkpoint]) -> None:
    """Compare what the recipe pairs, and write the record. For the first process."""
    from trl_r1.generation.jobs.shares import earlier_launches

    arguments = recipe.script_args
    output_dir = Path(arguments.output_dir)
    recorder.parents += [
        describe_parent(checkpoint.path, role="evaluated", revision=checkpoint.revision) for checkpoint in checkpoints
    ]
    recorder.data = data_sources(recorder.evaluations)
    recorder.metrics = compare_pairs(arguments.comparisons, recorder.evaluations, output_dir)
    recorder.seeds = {"seed": arguments.seed}
    show_results(recorder.evaluations, output_dir, recorder.metrics)
    recorder.metrics.update(measure_spreads(recorder.evaluations, output_dir))
    recipe.write_resolved(arguments.output_dir)
    recorder.left_over = left_over(recorder.evaluations, output_dir)
    if recorder.left_over:
        recorder.notes.append(f"Not of this evaluation: {', '.join(sorted(recorder.left_over))}")
    if earlier := earlier_launches(output_dir / WORK_NAME):
        recorder.count_in(earlier.begun, earlier.seconds, earlier.cpu_seconds)
    recorder.write()


def show_results(
    evaluations: Sequence[Mapping[str, Any]], folder: Path, differences: Mapping[str, Measurement]
) -> None:
    """Leave the reports in the folder, and print what is read first: scores, where there are any, and comparisons."""
    from rich.console import Console

    from trl_r1.evaluation.reports import difference_table, read_results, result_tables, write_reports

    write_reports(evaluations, folder, differences)
    results = read_results(evaluations)
    scores = [result for result in results if result.metric.startswith(SHOWN)]
    console = Console(stderr=True)
    tables = [*result_tables(scores or results), *([difference_table(differences)] if differences else [])]
    for table in tables:
        console.print(table.to_rich())


def left_over(evaluations: Sequence[Mapping[str, Any]], folder: Path) -> frozenset[str]:
    """Answers and pictures that an earlier evaluation of other suites or checkpoints left in the folder."""
    from trl_r1.evaluation.harness import file_stem
    from trl_r1.evaluation.reports import picture_files

    spread = {file_stem(entry["checkpoint"], entry["suite"], entry["mode"]) for entry in evaluations}
    own = {str(entry["samples"]) for entry in evaluations}
    own |= {path.name for _, path in picture_files(evaluations, folder)}
    own |= {path.name for stem in spread for path in folder.glob(f"sensitivity-{stem}.*")}
    patterns = ("samples-*", "evaluation-*.png", "sensitivity-*")
    return frozenset(path.name for pattern in patterns for path in folder.glob(pattern)) - own


def measure_spreads(evaluations: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Measurement]:
    """Write and print how much each score hangs on the way to ask, where several were; for the record."""
    from rich.console import Console

    from trl_r1.evaluation.prompt_sensitivity import asked_in_many_ways, summary_table, write_sensitivity

    groups = asked_in_many_ways(evaluations, folder)
    if not groups:
        return {}
    Console(stderr=True).print(summary_table(groups).to_rich())
    return write_sensitivity(groups, folder)


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

    files = {
        (entry["checkpoint"], entry["suite"], entry["mode"], entry.get("variant")): folder / entry["samples"]
        for entry in evaluations
    }
    differences = {}
    for entry in comparisons:
        before, after = (
            (entry[side], entry["suite"], entry["mode"], entry.get("variant")) for side in ("before", "after")
        )
        missing = [key for key in (before, after) if key not in files]
        if missing:
            raise RecipeError(
                [f"comparisons: {_key_text(missing[0])} was not measured; name a checkpoint, suite, mode"]
            )
        metric = entry["metric"]
        result = compare(files[before], files[after], [metric])["metrics"].get(metric)
        words = [entry["suite"], entry["mode"], *([entry["variant"]] if entry.get("variant") else []), metric]
        label = f"{entry['after']} - {entry['before']} ({', '.join(words)})"
        if result is None:
            logger.warning("comparisons: %s: the metric applies to no question of both; there is no difference", label)
        else:
            differences[label] = Measurement(**result["difference"])
    return differences


def _key_text(key: Sequence[str | None]) -> str:
    return " / ".join(part for part in key if part)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("evaluate", measure, argv)


if __name__ == "__main__":
    sys.exit(main())
