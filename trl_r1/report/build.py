"""The report."""

from __future__ import annotations

from pathlib import Path


def build_report(folder: str | Path) -> Path:
    """Write `report.html`."""
    path = Path(folder) / "report.html"
    path.write_text("", encoding="utf-8")
    return path
