"""`report.html`: one static file with everything a pipeline's records say."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from trl_r1.evaluation.reports import picture_files
from trl_r1.report.charts import difficulty_charts, plotly_source, training_charts
from trl_r1.report.samples import DEFAULT_QUESTIONS, pick_questions
from trl_r1.report.table import build_tables
from trl_r1.run_records import LOSS_NOTE, FinishedStage, RunRecords


REPORT_NAME = "report.html"
DIFFICULTY_METRICS = {"accuracy": "accuracy", "chain_tokens": "tokens in the chain of thought"}


def build_report(folder: str | Path) -> Path:
    """
    Write the report of a pipeline's folder, from its records and nothing else.

    The file stands alone: no network, no server, and every text that a model wrote is shown as text.

    Args:
        folder (`str` or `Path`):
            The pipeline's folder.

    Returns:
        `Path`: the report.

    Raises:
        [`RecordError`]: when a record is damaged, or there is none.
    """
    import jinja2

    records = RunRecords.read(folder)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    source = (files("trl_r1") / "templates" / REPORT_NAME).read_text(encoding="utf-8")
    html = environment.from_string(source).render(
        title=records.content.get("title") or records.folder.name,
        facts=list(_facts(records)),
        tables=build_tables(records),
        pictures=[picture for stage in records.stages.values() for picture in _pictures(stage)],
        difficulty=difficulty_charts(records, DIFFICULTY_METRICS),
        training=[(stage.name, charts) for stage in records.stages.values() if (charts := training_charts(stage))],
        questions=pick_questions(records, records.content.get("questions") or DEFAULT_QUESTIONS),
        stages=[_describe(stage) for stage in records.stages.values()],
        plotly=plotly_source(),
    )
    path = records.folder / REPORT_NAME
    partial = path.with_name(f".{REPORT_NAME}.partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(path)
    return path


def _facts(records: RunRecords) -> Iterator[str]:
    """The line below the title."""
    stages = list(records.stages.values())
    if records.content.get("pipeline"):
        yield str(records.content["pipeline"])
    if records.content.get("seed") is not None:
        yield f"seed {records.content['seed']}"
    yield f"{len(stages)} stages, {records.seconds:.0f} s in all"
    yield f"finished {max(stage.record.finished for stage in stages)}"
    last = stages[-1].record
    for package in ("trl_r1", "trl", "transformers", "torch"):
        if package in last.versions:
            yield f"{package} {last.versions[package]}"


def _pictures(stage: FinishedStage) -> Iterator[dict[str, str]]:
    """What an evaluation drew, inside the page: it stands alone."""
    for title, path in picture_files(stage.record.evaluations, stage.folder):
        content = base64.b64encode(path.read_bytes()).decode("ascii")
        yield {"title": title, "source": f"data:image/png;base64,{content}"}


def _describe(stage: FinishedStage) -> dict[str, Any]:
    """A stage's row in the table of where things come from."""
    record = stage.record
    return {
        "name": stage.name,
        "kind": record.kind,
        "parents": [f"{parent.role}: {parent.stage or parent.name_or_path}" for parent in record.parents],
        "data": [
            f"{source.source} ({source.split}): {source.rows_kept} of {source.rows_in} rows"
            + "".join(f", {count} {reason}" for reason, count in source.dropped.items())
            for source in record.data
        ],
        "rewards": [f"{reward.name} × {reward.weight:g}" for reward in record.rewards],
        "seeds": ", ".join(f"{name} {value}" for name, value in record.seeds.items()),
        "seconds": f"{record.seconds:.0f}",
        "command": " ".join(record.command),
        "notes": [note for note in record.notes if not note.startswith(LOSS_NOTE)],  # that one is beside the curve
    }
