"""What `trl-r1 score` shows and writes: rows with their rewards and reasons, and a summary with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error


if TYPE_CHECKING:
    from rich.console import Console

    from trl_r1.bench.completion_files import MalformedRow
    from trl_r1.bench.offline import ScoredRow


def show_rows(console: Console, scored: Sequence[ScoredRow], malformed: Sequence[MalformedRow], shown: int) -> None:
    """Print the first rows with rewards, sum and reasons, and every malformed row."""
    from rich.table import Table
    from rich.text import Text

    from trl_r1.bench.report import shorten
    from trl_r1.chat_template import completion_text

    names = list(scored[0].rewards) if scored else []
    table = Table(header_style="bold")
    for heading in ("row", *names, "sum"):
        table.add_column(heading, justify="right")
    for heading in ("completion", "why"):
        table.add_column(heading, overflow="fold", ratio=1)
    for entry in scored[: max(0, shown)]:
        values = [_number(value) for value in (*entry.rewards.values(), entry.total)]
        text = shorten(completion_text(entry.row.completion))
        why = "; ".join(f"{name}: {value}" for name, value in entry.why.items() if isinstance(value, str))
        table.add_row(entry.row.place, *values, Text(text), Text(shorten(why, 160)))
    if scored and shown > 0:
        console.print(table)
    if len(scored) > max(0, shown):
        console.print(f"{len(scored) - max(0, shown)} more rows; --rows {len(scored)} shows all", highlight=False)
    for row in malformed:
        console.print(f"malformed: {row.place}: {row.reason}", style="red", markup=False, highlight=False)


def show_summary(
    console: Console, scored: Sequence[ScoredRow], malformed: Sequence[MalformedRow], weights: Sequence[float]
) -> None:
    """Print mean and interval of each reward and of the sum, how often each was `None`, and differences to the log."""
    from rich.table import Table

    table = Table(header_style="bold", title=_counts(scored, malformed), title_justify="left")
    logged = any(name in entry.row.columns for entry in scored for name in entry.rewards)
    headings = ["reward", "weight", "mean", "95 % interval", "scored", "None"]
    for heading in [*headings, "other than logged"] if logged else headings:
        table.add_column(heading, justify="left" if heading == "reward" else "right")
    names = list(scored[0].rewards) if scored else []
    shown: list[tuple[str, float | None]] = [*zip(names, weights, strict=bool(scored)), ("sum", None)]
    for name, weight in shown:
        values = [entry.total if weight is None else entry.rewards[name] for entry in scored]
        cells = _summary(values, scored, name)
        table.add_row(name, "" if weight is None else f"{weight:g}", *(cells if logged else cells[:-1]))
    console.print(table)


def _counts(scored: Sequence[ScoredRow], malformed: Sequence[MalformedRow]) -> str:
    groups = len({repr(entry.row.prompt) for entry in scored})
    text = f"{len(scored)} completions of {groups} prompts"
    partly = sum(None in entry.rewards.values() and entry.total is not None for entry in scored)
    text += f", {partly} that some reward did not judge" if partly else ""
    return text + (f", {len(malformed)} malformed rows left out" if malformed else "")


def _summary(values: Sequence[float | None], scored: Sequence[ScoredRow], name: str) -> list[str]:
    """Mean, interval over prompts, number of values, number of `None`, and how many differ from a logged column."""
    from trl_r1.evaluation.intervals import measure_mean

    known = [(value, repr(entry.row.prompt)) for value, entry in zip(values, scored, strict=True) if value is not None]
    logged = [(value, entry.row.columns.get(name)) for value, entry in zip(values, scored, strict=True)]
    compared = [(value, old) for value, old in logged if isinstance(old, (int, float)) and old == old]
    differ = sum(value is None or abs(value - old) > 1e-5 for value, old in compared)
    logged_text = f"{differ} of {len(compared)}" if compared else ""
    if not known:
        return ["-", "-", "0", str(len(values)), logged_text]
    share = all(0 <= value <= 1 for value, _ in known)
    measured, _ = measure_mean([value for value, _ in known], [prompt for _, prompt in known], share=share)
    interval = "-" if measured.low is None else f"{measured.low:.3f} to {measured.high:.3f}"
    return [f"{measured.value:.3f}", interval, str(len(known)), str(len(values) - len(known)), logged_text]


def write_scores(path: str, scored: Sequence[ScoredRow], malformed: Sequence[MalformedRow]) -> None:
    """Write one JSON line a row, malformed ones with their reason."""
    lines: list[Mapping[str, Any]] = [
        {
            "row": entry.row.place,
            "prompt": entry.row.prompt,
            "completion": entry.row.completion,
            "rewards": entry.rewards,
            "reward": entry.total,
            "why": entry.why,
        }
        for entry in scored
    ]
    lines += [{"row": row.place, "error": row.reason} for row in malformed]
    partial = Path(path).with_name(f".{Path(path).name}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as stream:  # half surrogate pairs
            for line in lines:
                stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        partial.replace(path)
    except OSError as error:
        raise R1Error(f"output: {path} cannot be written ({error.strerror})") from error


def _number(value: float | None) -> str:
    return "None" if value is None else f"{value:.3g}"
