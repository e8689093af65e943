"""The table at the end of a pipeline."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def print_summary(folder: str | Path, console: Console | None = None) -> None:
    """Print the table of a pipeline's folder."""
