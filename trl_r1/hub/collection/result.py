"""What came of publishing a pipeline, and the table that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trl_r1.hub.collection.plan import REPORT, REPORT_NAME
from trl_r1.hub.publishing import HubTarget
from trl_r1.hub.publishing.target import MAIN, show_size


SUMMARY_WIDTH: Final = 120  # columns
SENT, NOTHING_NEW, TO_SEND, FAILED = "sent", "nothing new", "to send", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionItemResult:
    """
    What came of one thing that was to be published.

    Args:
        name (`str`):
            The stage's name, or `"report"`.
        target ([`HubTarget`]):
            Where it goes.
        files, size (`int`):
            Files that belong there, and their bytes.
        sent (`int`):
            Bytes that were sent, or for a dry run would be at most.
        state (`str`):
            `"sent"`, `"nothing new"`, `"to send"` or `"failed"`.
        reason (`str`):
            Why it failed.
    """

    name: str
    target: HubTarget
    state: str
    files: int = 0
    size: int = 0
    sent: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionResult:
    """
    What came of publishing a pipeline. Its text is a table of it.

    Args:
        title (`str`):
            Of the collection.
        url (`str`):
            Of the collection; empty for a dry run, or when it could not be made.
        items (`list[CollectionItemResult]`):
            In the pipeline's order, the report last.
        unfinished (`list[str]`):
            Stages of the pipeline that have not finished, so that nothing of them was published.
        command (`str`):
            The same again, which goes on where this stopped.
        problem (`str`):
            Why the collection itself could not be brought up to date.
    """

    title: str
    url: str = ""
    items: list[CollectionItemResult] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    command: str = ""
    problem: str = ""

    @property
    def failures(self) -> dict[str, str]:
        """Why things are not there, by name; empty when all went well."""
        failed = {item.name: item.reason for item in self.items if item.state == FAILED}
        return failed | ({f"collection {self.title!r}": self.problem} if self.problem else {})

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=SUMMARY_WIDTH, emoji=False, color_system=None, force_terminal=False)
        with console.capture() as shown:
            console.print(_table(self.items), markup=False)
            for line in _summary_lines(self):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        return shown.get().rstrip("\n")


def _table(items: Sequence[CollectionItemResult]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name, side in (("what", "left"), ("repository", "left"), ("files", "right"), ("size", "right")):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    table.add_column("sent", justify="right")
    table.add_column("state")
    for item in items:
        branch = "" if item.target.revision == MAIN else f"@{item.target.revision}"
        place = f"{item.target.repo_type} {item.target.repo_id}{branch}"
        sent = show_size(item.sent) if item.state == SENT else ""
        counted = [str(item.files), show_size(item.size)] if item.state != FAILED else ["", ""]
        table.add_row(item.name, place, *counted, sent, item.state)
    return table


def _summary_lines(result: CollectionResult) -> Iterator[str]:
    size = sum(item.sent for item in result.items)
    failures = result.failures
    if result.unfinished:
        yield f"not finished, so left out: {', '.join(result.unfinished)}"
    if any(item.state == TO_SEND for item in result.items):
        yield f"dry run: {len(result.items)} repositories, {show_size(size)} at most; nothing was sent"
        yield f"collection {result.title!r}; to publish: {result.command}"
        return
    yield f"sent {show_size(size)}" + (f"; collection: {result.url}" if result.url else "")
    if not any(item.name == REPORT for item in result.items):
        yield f"no {REPORT_NAME} in the folder, so no report was published; `trl-r1 run` writes it"
    for name, reason in failures.items():
        yield f"failed: {name}: {reason}"
    if failures:
        yield f"to go on: {result.command}"
