"""One line a stage while a pipeline runs: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text


SHOWN_METRICS = {"reward": "reward", "loss": "loss", "accuracy": "accuracy"}  # as the trainers name them


class Status(enum.StrEnum):
    """State of a stage."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    SKIPPED = "finished before"
    FAILED = "failed"
    STOPPED = "stopped"
    BLOCKED = "not started"


STYLES = {
    Status.WAITING: "dim",
    Status.RUNNING: "cyan",
    Status.FINISHED: "green",
    Status.SKIPPED: "dim green",
    Status.FAILED: "bold red",
    Status.STOPPED: "yellow",
    Status.BLOCKED: "dim yellow",
}


@dataclass(slots=True)
class _Line:
    """What is shown of one stage."""

    task: TaskID
    status: Status = Status.WAITING


class Display:
    """
    Shows the stages of a run. Use it as a context manager.

    Args:
        names (`Iterable[str]`):
            Stages in the order they are shown.
        console ([`~rich.console.Console`], *optional*):
            Where to; standard output unless given.
    """

    def __init__(self, names: Iterable[str], console: Console | None = None) -> None:
        self.console = console or Console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[status]}"),
            TextColumn("{task.fields[clock]}", justify="right"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
            console=self.console,
            auto_refresh=False,  # no second thread: stages are forked from this process
        )
        self._lines = {
            name: _Line(self._progress.add_task(escape(name), total=1, status=Status.WAITING, clock="", detail=""))
            for name in names
        }

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self._progress.refresh()
            self._progress.stop()

    def set_status(self, name: str, status: Status, seconds: float = 0.0, note: str = "") -> None:
        """Change a stage's state."""
        line = self._lines[name]
        line.status = status
        style = STYLES[status]
        done = status in (Status.FINISHED, Status.SKIPPED)
        clock = format_seconds(seconds) if seconds else ""
        shown = f"[{style}]{status}[/]"
        self._progress.update(line.task, status=shown, clock=clock, detail=note, completed=int(done))
        if not self.console.is_terminal and status is not Status.WAITING:
            words = [time.strftime("%H:%M:%S"), name, str(status), clock, f"({note})" if note else ""]
            self.console.print(Text(" ".join(filter(None, words))), soft_wrap=True)

    def show_progress(self, name: str, seconds: float, progress: Mapping[str, Any]) -> None:
        """Redraw the line of a running stage from its own `progress.json`."""
        step, total = progress.get("step"), progress.get("max_steps")
        detail = ""
        if isinstance(step, int) and isinstance(total, int) and total > 0:
            self._progress.update(self._lines[name].task, completed=step, total=total)
            detail = " ".join([f"step {step}/{total}", *_metrics(progress.get("metrics"))])
        self._progress.update(self._lines[name].task, clock=format_seconds(seconds), detail=detail)

    def refresh(self) -> None:
        """Draw."""
        if self.console.is_terminal:
            self._progress.refresh()

    def show_failure(self, name: str, reason: str, log: str, lines: Iterable[str]) -> None:
        """Show the end of a failed stage's log in one block."""
        body = Text("\n".join(lines) or "(it printed nothing)")
        title = Text(f"{name} failed: {reason}", style="bold red")
        self.console.print(Panel(body, title=title, subtitle=Text(log, style="dim"), border_style="red"))


def format_seconds(seconds: float) -> str:
    """`"1:05"`, or `"2:01:05"` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _metrics(metrics: Any) -> list[str]:
    """The metrics worth a line, such as `["reward 0.84"]`."""
    if not isinstance(metrics, Mapping):
        return []
    return [
        f"{label} {metrics[key]:.3g}"
        for key, label in SHOWN_METRICS.items()
        if isinstance(metrics.get(key), (int, float))
    ]
