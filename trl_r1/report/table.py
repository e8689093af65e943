"""The tables of a pipeline: one row a checkpoint, one column a measurement, and only columns that some row fills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trl_r1.run_records import LEAST_SHARE, SPREAD, Evaluation, FinishedStage, RunRecords
from trl_r1.stage_record import Measurement


MODE_LABELS = {"sampled": "T=1", "greedy": "greedy", "forced_chain": "chain forced"}
METRIC_LABELS = {
    "accuracy": "accuracy",
    "well_formed": "format",
    "language_consistency": "language",
    "mixed": "mixed chains",
    "chain_tokens": "chain tokens",
}
HIDDEN_METRICS = ("completion_tokens",)  # the chain's length says it
COMPARISON_HEADINGS = ("compared on the same questions", "difference", "n")
SPREAD_HEADINGS = ("how much a score hangs on the way to ask", "standard deviation", "ways")


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
        title (`str`):
            The suite, or `"comparisons"`.
        columns (`list[str]`):
            Headings; the first is the stage.
        rows (`list[list[Cell]]`):
            As many cells a row as columns.
        caption (`str`):
            What the numbers are.
    """

    title: str
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
    functions of their own (a rude reply, say), and the seconds. Then paired comparisons and the spreads over ways to
    ask, then the other suites, as far as there are any.
    """
    evaluations = [evaluation for _, evaluation in records.evaluations()]
    suites = list(dict.fromkeys(evaluation.suite for evaluation in evaluations))
    main = next((item.suite for item in evaluations if "accuracy" in item.metrics), suites[0] if suites else "")
    others = [suite for suite in suites if suite != main]
    columns = list(_columns(evaluations, main))
    for suite in others:
        columns += _columns(evaluations, suite, own_metrics=True)
    columns.append(_Column("seconds", lambda stage: Cell(f"{stage.record.seconds:.0f}")))
    stages = [stage for stage in records.stages.values() if stage.is_checkpoint or stage.evaluations]
    total = f" {len(records.stages)} stages, {records.seconds:.0f} s in all."
    tables = [_fill(main, columns, stages, _caption(records, main) + total)]
    comparisons = [row for stage in records.stages.values() for row in _comparisons(stage)]
    if comparisons:
        caption = "Paired by question, 95 % intervals; one that leaves out 0 shows a difference."
        tables.append(Table("comparisons", list(COMPARISON_HEADINGS), comparisons, caption))
    spreads = [row for stage in records.stages.values() for row in _spreads(stage)]
    if spreads:
        caption = "Of the ways' true scores, the noise of questions and samples taken off; 95 % intervals, these ways."
        tables.append(Table("prompt sensitivity", list(SPREAD_HEADINGS), spreads, caption))
    for suite in others:
        asked = [stage for stage in stages if any(item.suite == suite for item in stage.evaluations)]
        tables.append(_fill(suite, list(_columns(evaluations, suite)), asked, _caption(records, suite)))
    return tables


def _fill(title: str, columns: list[_Column], stages: list[FinishedStage], caption: str) -> Table:
    """Rows of stages, without the columns that none fills."""
    filled = [column for column in columns if any(column.cell(stage).value for stage in stages)]
    rows = [[Cell(stage.name), *(column.cell(stage) for column in filled)] for stage in stages]
    return Table(title, ["stage", *(column.heading for column in filled)], rows, caption)


def _comparisons(stage: FinishedStage) -> Iterator[list[Cell]]:
    """The differences an evaluation stage recorded."""
    if stage.record.kind == "evaluate":
        for label, difference in stage.record.metrics.items():
            if not label.startswith(SPREAD):
                yield [Cell(label), signed_cell(difference), _count_cell(difference)]


def _spreads(stage: FinishedStage) -> Iterator[list[Cell]]:
    """The spreads over ways to ask that an evaluation stage recorded, and their differences between checkpoints."""
    if stage.record.kind == "evaluate":
        for label, spread in stage.record.metrics.items():
            if label.startswith(SPREAD):
                show = signed_cell if label.startswith(f"{SPREAD}:") else measured_cell
                yield [Cell(label), show(spread), _count_cell(spread)]


def _count_cell(measured: Measurement) -> Cell:
    return Cell("" if measured.n is None else str(measured.n))


def to_markdown(table: Table) -> str:
    """The table as Markdown, each interval beside its value."""
    lines = [_markdown_row(table.columns), _markdown_row(["---"] * len(table.columns))]
    lines += [
        _markdown_row([" ".join(filter(None, (cell.value, cell.interval))) for cell in row]) for row in table.rows
    ]
    return "\n".join([*lines, "", table.caption])


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _caption(records: RunRecords, suite: str) -> str:
    own = [evaluation for _, evaluation in records.evaluations() if evaluation.suite == suite]
    if not own:
        return "Nothing was measured yet."
    counts = sorted({evaluation.n for evaluation in own})
    spread = " to ".join(dict.fromkeys(str(count) for count in (counts[0], counts[-1])))
    grouped = next((item for item in own if any("chain_tokens" in metrics for metrics in item.groups.values())), None)
    by = f" Chain tokens: means by {_words(grouped.group_by)}." if grouped else ""
    blank = f" Blank: it applies to fewer than {LEAST_SHARE:.0%} of the answers."
    return f"Suite {suite!r}, {spread} answers a stage and mode, 95 % intervals.{by}{blank}"


def _columns(evaluations: list[Evaluation], suite: str, *, own_metrics: bool | None = None) -> Iterator[_Column]:
    """Columns of a suite: accuracy in every mode, the rest in the first; all, or only (or no) metrics of one's own."""
    own = [evaluation for evaluation in evaluations if evaluation.suite == suite]
    measured = dict.fromkeys(name for entry in own for name in entry.metrics)
    for metric in _ordered([name for name in measured if _wanted(name, own_metrics)], METRIC_LABELS):
        modes = _ordered([entry.mode for entry in own if metric in entry.metrics], MODE_LABELS)
        for mode in modes if metric == "accuracy" else modes[:1]:
            yield _metric_column([entry for entry in own if entry.mode == mode], metric, mode)


def _wanted(metric: str, own_metrics: bool | None) -> bool:
    if metric in HIDDEN_METRICS:
        return False
    return own_metrics is None or own_metrics is (metric not in METRIC_LABELS)


def _ordered(names: list[str], known: dict[str, str]) -> list[str]:
    """Each name once, known ones first and in their order."""
    rest = [name for name in dict.fromkeys(names) if name not in known]
    return [name for name in known if name in names] + rest


def _metric_column(evaluations: list[Evaluation], metric: str, mode: str) -> _Column:
    """The column of a metric among evaluations of one suite and mode."""
    heading = METRIC_LABELS.get(metric, _words(metric.removeprefix("is_")))
    groups = list(dict.fromkeys(value for entry in evaluations for value in entry.groups if metric == "chain_tokens"))
    if metric == "accuracy":
        heading = f"{heading} {MODE_LABELS.get(mode, mode)}"
    if groups:
        heading = f"{heading} {'/'.join(groups)}"

    def cell(stage: FinishedStage) -> Cell:
        found = [entry for entry in stage.evaluations if entry in evaluations and metric in entry.telling_metrics]
        if not found:
            return Cell()
        return _group_cell(found[0], metric, groups) if groups else measured_cell(found[0].metrics[metric])

    return _Column(heading, cell)


def signed_cell(difference: Measurement) -> Cell:
    """A difference with its sign, and its interval."""
    return Cell(f"{difference.value:+.3f}", measured_cell(difference).interval)


def measured_cell(measured: Measurement) -> Cell:
    """A value, and its interval where it has one."""
    interval = (
        "" if measured.low is None or measured.high is None else f"{_short(measured.low)}–{_short(measured.high)}"
    )
    return Cell(_short(measured.value), interval)


def _short(value: float) -> str:
    """Two digits of a share without its zero; one digit of anything larger."""
    text = f"{value:.2f}" if abs(value) <= 1 else f"{value:.1f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _group_cell(evaluation: Evaluation, metric: str, groups: list[str]) -> Cell:
    """The mean of each difficulty."""
    means = [evaluation.groups.get(value, {}).get(metric) for value in groups]
    return Cell("/".join("-" if mean is None else f"{mean.value:.0f}" for mean in means))


def _words(name: str | None) -> str:
    return (name or "group").replace("_", " ")
