"""Several ways to train the same model, side by side: what each cost, what each reached, and over several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from trl_r1.errors import RecordError
from trl_r1.report.table import MODE_LABELS, Cell, Table, measured_cell, signed_cell
from trl_r1.run_records import SPREAD, Evaluation, FinishedStage, RunRecords
from trl_r1.stage_record import Measurement


METRIC: Final = "accuracy"
TOKENS: Final = "num_tokens"  # as TRL logs it: of prompts and answers, all that the trainer has seen


def compare_methods(folders: Sequence[str | Path]) -> list[Table]:
    """
    The tables of a comparison, run once a seed.

    Args:
        folders (`Sequence[str | Path]`):
            Output folders of one pipeline, each with another seed.

    Returns:
        `list[Table]`: for each folder the cost of each model, its data and what it started from included, as far as
        that folder made them; then accuracy, a row a model and a column a folder, for each suite and mode; then the
        paired differences.

    Raises:
        [`RecordError`]: when a folder holds no record or no evaluation.
    """
    runs = {_name(folder): RunRecords.read(folder) for folder in folders}
    for name, run in runs.items():
        if not run.measured:
            raise RecordError(f"{name}: no evaluation has finished there; run the pipeline to its end")
    costs = [_costs(name, run) for name, run in runs.items()]
    asked = dict.fromkeys((item.suite, item.mode) for run in runs.values() for item in run.measured)
    accuracies = [_accuracies(runs, *which) for which in asked]
    return [*costs, *(table for table in accuracies if table.rows), _differences(runs)]


def _name(folder: str | Path) -> str:
    return Path(folder).resolve().name


def _costs(name: str, run: RunRecords) -> Table:
    rows = []
    for stage in run.stages.values():
        if stage.is_checkpoint:
            used = list(_made_of(stage, run))
            tokens = [int(each.record.metrics[TOKENS].value) for each in used if TOKENS in each.record.metrics]
            times = (sum(each.record.seconds for each in used), sum(each.record.cpu_seconds for each in used))
            made = ", ".join(each.name for each in used[1:])
            rows.append(
                [Cell(stage.name), Cell(made), *(Cell(f"{time:.0f}") for time in times), Cell(f"{sum(tokens):,}")]
            )
    columns = ["model", "made of", "seconds", "CPU seconds", "tokens trained on"]
    caption = "Seconds of the stage and of what it is made of; CPU seconds are the main process's."
    return Table(f"cost, {name}", columns, rows, caption)


def _made_of(stage: FinishedStage, run: RunRecords) -> Iterator[FinishedStage]:
    """A stage and every stage of the same run that it needed, once each."""
    seen = {stage.name: stage}
    waiting = [stage]
    while waiting:
        record = waiting.pop().record
        names = [*(parent.name_or_path for parent in record.parents), *(source.source for source in record.data)]
        for found in run.stages.values():
            if found.name not in seen and any(_is_within(name, found.folder) for name in names):
                seen[found.name] = found
                waiting.append(found)
    yield from seen.values()


def _is_within(name: str, folder: Path) -> bool:
    """Whether a path, as a recipe has it, lies in a stage's folder; from another machine, by its last name."""
    path = Path(name)
    return path.resolve().is_relative_to(folder.resolve()) if path.exists() else path.name == folder.name


def _accuracies(runs: dict[str, RunRecords], suite: str, mode: str) -> Table:
    measured = {
        name: {item.checkpoint: item for item in run.measured if (item.suite, item.mode) == (suite, mode)}
        for name, run in runs.items()
    }
    models = dict.fromkeys(model for found in measured.values() for model in found)
    rows = [[Cell(model), *(_accuracy(found.get(model)) for found in measured.values())] for model in models]
    filled = [row for row in rows if any(cell.value for cell in row[1:])]
    title = f"{METRIC}, {suite}, {MODE_LABELS.get(mode, mode)}"
    return Table(title, ["model", *runs], filled, "95 % intervals over the questions.")


def _accuracy(evaluation: Evaluation | None) -> Cell:
    found = evaluation.telling_metrics.get(METRIC) if evaluation else None
    return measured_cell(found) if found else Cell()


def _differences(runs: dict[str, RunRecords]) -> Table:
    found = {name: dict(_compared(run)) for name, run in runs.items()}
    labels = dict.fromkeys(label for differences in found.values() for label in differences)
    rows = [
        [Cell(label), *(signed_cell(each[label]) if label in each else Cell() for each in found.values())]
        for label in labels
    ]
    caption = "Paired by question, 95 % intervals; one that leaves out 0 shows a difference."
    return Table("differences", ["after - before", *runs], rows, caption)


def _compared(run: RunRecords) -> Iterator[tuple[str, Measurement]]:
    for stage in run.stages.values():
        if stage.record.kind == "evaluate":
            yield from ((label, each) for label, each in stage.record.metrics.items() if not label.startswith(SPREAD))
