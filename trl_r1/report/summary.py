"""The tables a pipeline ends with, on the console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trl_r1.report.methods import compare_methods
from trl_r1.report.table import Cell, build_tables, to_markdown
from trl_r1.report.table import Table as R1Table
from trl_r1.run_records import RunRecords


SHORT_HEADINGS = {  # so that the table fits a terminal of 80 columns
    "accuracy": "acc",
    "chain forced": "forced",
    "chain tokens": "chain",
    "mixed chains": "mixed",
    "language": "lang",
    "sentence of": "in",
    "seconds": "sec",
}
SUMMED_UP = ("comparisons", "prompt sensitivity")  # titles of the tables that are printed beside the main one
FILE_WIDTH = 120  # columns, where the table goes to a file instead of a terminal


def print_summary(folder: str | Path, console: Console | None = None) -> None:
    """
    Print the main table of a pipeline's folder, its comparisons and its spreads over ways to ask. The report holds the
    other suites too.

    Args:
        folder (`str` or `Path`):
            The pipeline's folder.
        console ([`~rich.console.Console`], *optional*):
            Where to; standard output unless given.

    Raises:
        [`RecordError`]: when a record is damaged, or there is none.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    main, *others = build_tables(RunRecords.read(folder))
    for table in [main, *(other for other in others if other.title in SUMMED_UP)]:
        console.print(_draw(table))
        console.print(Text(table.caption + "\n", style="dim"), soft_wrap=True)


def print_methods(folders: Sequence[str | Path], console: Console | None = None, *, markdown: bool = False) -> None:
    """
    Print what several ways to train one model cost and reached, in one or more runs of a pipeline.

    Args:
        folders (`Sequence[str | Path]`):
            Output folders of one pipeline, each with another seed.
        console ([`~rich.console.Console`], *optional*):
            Where to; standard output unless given.
        markdown (`bool`, *optional*, defaults to `False`):
            Whether to print the tables as Markdown.

    Raises:
        [`RecordError`]: when a record is damaged, or nothing was evaluated.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    for table in compare_methods(folders):
        if markdown:
            console.print(f"{table.title}\n\n{to_markdown(table)}\n", soft_wrap=True, highlight=False, markup=False)
        else:
            console.print(Text(table.title, style="bold"))
            console.print(_draw(table))
            console.print(Text(table.caption + "\n", style="dim"), soft_wrap=True)


def _draw(table: R1Table) -> Table:
    drawn = Table(header_style="bold", padding=(0, 0, 0, 1), show_edge=False, box=box.SIMPLE_HEAD)
    for index, heading in enumerate(table.columns):
        for long, short in SHORT_HEADINGS.items():
            heading = heading.replace(long, short)
        drawn.add_column(heading, justify="right" if index else "left", no_wrap=not index, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return drawn


def _text(cell: Cell) -> Text:
    text = Text(cell.value)
    if cell.interval:
        text.append("\n" + cell.interval.replace("–", " "), style="dim")  # a space, so that it may be broken
    return text
