"""The tables of a pipeline: one row a checkpoint, one column a measurement, and only columns that some row fills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trl_r1.run_records import Evaluation, FinishedStage, RunRecords
from trl_r1.stage_record import Measurement


MODE_LABELS = {"sampled": "T=1", "greedy": "greedy", "forced_chain": "greedy, chain forced"}
METRIC_LABELS = {
    "accuracy": "accuracy",
    "well_formed": "format",
    "language_consistency": "language",
    "mixed": "mixed chains",
    "chain_tokens": "chain tokens",
}
HIDDEN_METRICS = ("completion_tokens",)  # the chain's length says it
COMPARISON_HEADINGS = ("compared on the same questions", "difference", "n")


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and its interval, as text; both empty where nothing was measured."""

    value: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table of text.

    Args:
        columns (`list[str]`):
            Headings; the first is the stage.
        rows (`list[list[Cell]]`):
            As many cells a row as columns.
        caption (`str`):
            What the numbers are.
    """

    columns: list[str]
    rows: list[list[Cell]]
    caption: str


@dataclass(frozen=True, slots=True)
class _Column:
    """A heading and where its cell comes from."""

    heading: str
    cell: Callable[[FinishedStage], Cell]


def build_tables(records: RunRecords) -> list[Table]:
    """
    The tables of a pipeline's finished stages.

    First the main one: all that the first suite with right and wrong answers measured, what other suites measured by
    functions of their own (a rude reply, say), and the seconds. Then the other suites, then paired comparisons; either
    only if there is something to show.
    """
    evaluations = [evaluation for _, evaluation in records.evaluations()]
    suites = list(dict.fromkeys(evaluation.suite for evaluation in evaluations))
    main = next((item.suite for item in evaluations if "accuracy" in item.metrics), suites[0] if suites else "")
    main_columns = list(_columns(evaluations, main, ""))
    further: list[_Column] = []
    for suite in suites:
        if suite != main:
            main_columns += _columns(evaluations, suite, "", own_metrics=True)
            further += _columns(evaluations, suite, f" ({suite})", own_metrics=False)
    main_columns.append(_Column("seconds", lambda stage: Cell(f"{stage.record.seconds:.0f}")))
    stages = [stage for stage in records.stages.values() if stage.is_checkpoint or stage.evaluations]
    measured = [stage for stage in stages if stage.evaluations]
    tables = [_fill(main_columns, stages, _caption(records))]
    if further:
        tables.append(_fill(further, measured, "The other suites of questions."))
    comparisons = [row for stage in records.stages.values() for row in _comparisons(stage)]
    if comparisons:
        caption = "Paired by question, 95 % intervals; one that leaves out 0 shows a difference."
        tables.append(Table(list(COMPARISON_HEADINGS), comparisons, caption))
    return tables


def _fill(columns: list[_Column], stages: list[FinishedStage], caption: str) -> Table:
    """Rows of stages, without the columns that none fills."""
    filled = [column for column in columns if any(column.cell(stage).value for stage in stages)]
    rows = [[Cell(stage.name), *(column.cell(stage) for column in filled)] for stage in stages]
    return Table(["stage", *(column.heading for column in filled)], rows, caption)


def _comparisons(stage: FinishedStage) -> Iterator[list[Cell]]:
    """The differences an evaluation stage recorded."""
    if stage.record.kind == "evaluate":
        for label, difference in stage.record.metrics.items():
            cell = _cell(difference)
            count = "" if difference.n is None else str(difference.n)
            yield [Cell(label), Cell(f"{difference.value:+.3f}", cell.interval), Cell(count)]


def to_markdown(table: Table) -> str:
    """The table as Markdown, each interval beside its value."""
    lines = [_markdown_row(table.columns), _markdown_row(["---"] * len(table.columns))]
    lines += [
        _markdown_row([" ".join(filter(None, (cell.value, cell.interval))) for cell in row]) for row in table.rows
    ]
    return "\n".join([*lines, "", table.caption])


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _caption(records: RunRecords) -> str:
    counts = sorted({evaluation.n for _, evaluation in records.evaluations()})
    spread = f"{counts[0]}" if len(set(counts)) == 1 else f"{counts[0]} to {counts[-1]}" if counts else ""
    answers = f"{spread} answers a cell, 95 % intervals. " if counts else ""
    return f"{answers}{len(records.stages)} stages, {records.seconds:.0f} s in all."


def _columns(
    evaluations: list[Evaluation], suite: str, suffix: str, *, own_metrics: bool | None = None
) -> Iterator[_Column]:
    """Columns of a suite: accuracy in every mode, the rest in the first; all, or only (or no) metrics of one's own."""
    own = [evaluation for evaluation in evaluations if evaluation.suite == suite]
    names = [
        name for name in dict.fromkeys(name for entry in own for name in entry.metrics) if _wanted(name, own_metrics)
    ]
    for metric in _ordered(names, METRIC_LABELS):
        modes = _ordered([entry.mode for entry in own if metric in entry.metrics], MODE_LABELS)
        for mode in modes if metric == "accuracy" else modes[:1]:
            yield _metric_column(suite, metric, mode, suffix, several=metric == "accuracy")


def _wanted(metric: str, own_metrics: bool | None) -> bool:
    if metric in HIDDEN_METRICS:
        return False
    return own_metrics is None or own_metrics is (metric not in METRIC_LABELS)


def _ordered(names: list[str], known: dict[str, str]) -> list[str]:
    """Each name once, known ones first and in their order."""
    rest = [name for name in dict.fromkeys(names) if name not in known]
    return [name for name in known if name in names] + rest


def _metric_column(suite: str, metric: str, mode: str, suffix: str, *, several: bool) -> _Column:
    label = METRIC_LABELS.get(metric, metric.removeprefix("is_").replace("_", " "))
    heading = f"{label} {MODE_LABELS.get(mode, mode)}" if several else label

    def cell(stage: FinishedStage) -> Cell:
        for evaluation in stage.evaluations:
            if (evaluation.suite, evaluation.mode) == (suite, mode) and metric in evaluation.metrics:
                return (
                    _group_cell(evaluation, metric) if metric == "chain_tokens" else _cell(evaluation.metrics[metric])
                )
        return Cell()

    return _Column(heading + suffix, cell)


def _cell(measured: Measurement) -> Cell:
    interval = (
        "" if measured.low is None or measured.high is None else f"[{_short(measured.low)} {_short(measured.high)}]"
    )
    return Cell(_short(measured.value), interval)


def _short(value: float) -> str:
    """Two digits of a share without its zero; one digit of anything larger."""
    text = f"{value:.2f}" if abs(value) <= 1 else f"{value:.1f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _group_cell(evaluation: Evaluation, metric: str) -> Cell:
    """The mean, and below it the mean of each difficulty."""
    means = {value: metrics[metric].value for value, metrics in evaluation.groups.items() if metric in metrics}
    by_group = " ".join(f"{value}:{mean:.0f}" for value, mean in means.items())
    return Cell(f"{evaluation.metrics[metric].value:.1f}", by_group)
