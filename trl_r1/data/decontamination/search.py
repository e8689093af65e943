"""A data set searched for benchmarks, row by row, and the rows that are left without what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.decontamination.benchmarks import Benchmark, answer_key
from trl_r1.data.decontamination.index import BenchmarkIndex, Kind, Match, SearchSettings, surest
from trl_r1.data.decontamination.report import ContaminationReport
from trl_r1.data.decontamination.texts import row_fields, searched_columns


if TYPE_CHECKING:
    from datasets import Dataset

READ_AT_ONCE: Final = 256  # rows
REASON: Final = "contaminated:"  # before the kind, among the reasons why rows are dropped


def decontaminate(
    dataset: Dataset,
    benchmarks: Sequence[Benchmark],
    settings: SearchSettings | None = None,
    *,
    keep_renumbered: bool = False,
    prompt_column: str = "problem",
    solution_column: str = "solution",
    trace_columns: Sequence[str] = (),
) -> tuple[Dataset, ContaminationReport]:
    """
    Take out of a data set the rows that hold a benchmark's question.

    Problems and traces are searched: a chain of thought that quotes a question is found too. Rows are read one at a
    time, so a memory-mapped data set may be of any size.

    Args:
        dataset ([`~datasets.Dataset`]):
            The rows.
        benchmarks (`Sequence[Benchmark]`):
            What must not be in them, as [`load_benchmarks`] reads it.
        settings ([`SearchSettings`], *optional*):
            What counts as found.
        keep_renumbered (`bool`, *optional*, defaults to `False`):
            Whether problems that are a question's with other numbers are reported but kept.
        prompt_column, solution_column (`str`, *optional*):
            Columns with the problem and its answer.
        trace_columns (`Sequence[str]`, *optional*):
            Columns to search beside those of the usual names.

    Returns:
        `tuple[Dataset, ContaminationReport]`: the rows that are left, and what was found.

    Raises:
        [`DataError`]: when a column is missing, or there is nothing to look for.
    """
    index = BenchmarkIndex(benchmarks, settings)
    report = ContaminationReport(benchmarks=index.benchmarks, settings=index.settings, keep_renumbered=keep_renumbered)
    reasons = search_rows(
        dataset,
        index,
        report,
        prompt_column=prompt_column,
        solution_column=solution_column,
        trace_columns=trace_columns,
    )
    return keep_clean(dataset, reasons), report


def search_rows(
    dataset: Dataset,
    index: BenchmarkIndex,
    report: ContaminationReport,
    *,
    prompt_column: str = "problem",
    solution_column: str = "solution",
    trace_columns: Sequence[str] = (),
    source: str = "",
) -> list[str | None]:
    """
    Search every row, and add what is found to a report.

    Returns:
        `list[str | None]`: for each row why it is to be dropped, `None` to keep it.

    Raises:
        [`DataError`]: when no column can be searched.
    """
    columns = searched_columns(dataset.column_names, prompt_column, trace_columns)
    read = list(dict.fromkeys([*columns, *([solution_column] if solution_column in dataset.column_names else [])]))
    reasons: list[str | None] = []
    for number, row in enumerate(_rows(dataset.select_columns(read))):
        answer = answer_key(row.get(solution_column))
        matches: list[Match] = []
        sharing: set[int] = set()
        for field in row_fields(row, columns, prompt_column):
            found, shared = index.search(field, answer)
            matches += found
            sharing |= shared
        report.add_row(source, number, matches, sharing)
        reasons.append(_reason([match.kind for match in matches], report.keep_renumbered))
    return reasons


def _rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """The rows, some read at a time, which is faster than one."""
    names = dataset.column_names
    for batch in dataset.iter(READ_AT_ONCE):
        yield from (dict(zip(names, row, strict=True)) for row in zip(*(batch[name] for name in names), strict=True))


def keep_clean(dataset: Dataset, reasons: Sequence[str | None]) -> Dataset:
    """The rows without a reason to be dropped; none is an empty data set, not an error."""
    if not any(reasons):
        return dataset
    return dataset.select([number for number, reason in enumerate(reasons) if reason is None])


def _reason(kinds: Sequence[Kind], keep_renumbered: bool) -> str | None:
    kind = surest(kinds)
    return None if kind is None or (keep_renumbered and kind == "renumbered") else REASON + kind
