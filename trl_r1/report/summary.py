"""The tables a pipeline ends with, on the console."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trl_r1.report.table import Cell, build_tables
from trl_r1.report.table import Table as R1Table
from trl_r1.run_records import RunRecords


def print_summary(folder: str | Path, console: Console | None = None) -> None:
    """
    Print the tables of a pipeline's folder.

    Args:
        folder (`str` or `Path`):
            The pipeline's folder.
        console ([`~rich.console.Console`], *optional*):
            Where to; standard output unless given.

    Raises:
        [`RecordError`]: when a record is damaged, or there is none.
    """
    console = console or Console()
    for table in build_tables(RunRecords.read(folder)):
        console.print(_draw(table))
        console.print(Text(table.caption + "\n", style="dim"), soft_wrap=True)


def _draw(table: R1Table) -> Table:
    drawn = Table(header_style="bold", pad_edge=False)
    for index, heading in enumerate(table.columns):
        drawn.add_column(heading, justify="right" if index else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return drawn


def _text(cell: Cell) -> Text:
    text = Text(cell.value)
    if cell.interval:
        text.append("\n" + cell.interval, style="dim")
    return text
