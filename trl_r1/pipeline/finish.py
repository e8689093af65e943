"""What is written when a stage, and when the whole pipeline, has ended."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from trl_r1.errors import PipelineError, RecordError
from trl_r1.pipeline.graph import Pipeline
from trl_r1.pipeline.publication import publish_stages
from trl_r1.pipeline.relocation import relocate_values
from trl_r1.pipeline.stage_process import StageProcess
from trl_r1.run_records import write_pipeline_record
from trl_r1.stage_record import (
    RECORD_NAME,
    Parent,
    StageRecord,
    collect_versions,
    describe_artefacts,
    describe_data_files,
    describe_parent,
    finish_time,
    has_stage_record,
    hash_json,
    read_stage_record,
    weight_files,
    write_stage_record,
)


def finish_stage(pipeline: Pipeline, stage: StageProcess, code: int, fingerprint: str) -> StageRecord:
    """
    Accept a stage that has ended.

    A Python file that writes no record of its own gets one here.

    Returns:
        [`StageRecord`]: the record it left.

    Raises:
        [`PipelineError`]: when it failed, or left no record of what it was asked to do.
    """
    if code != 0:
        raise PipelineError(f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}")
    if pipeline.stages[stage.name].kind == "script" and not has_stage_record(stage.folder):
        write_stage_record(stage.folder, _script_record(pipeline, stage, fingerprint))
    try:
        record = read_stage_record(stage.folder)
    except RecordError as error:
        raise PipelineError(f"it ended well but left no usable record ({error})") from error
    if record.fingerprint != fingerprint:
        raise PipelineError(f"it ended well but {stage.folder}/stage.json is not the record of this run")
    return record


def _script_record(pipeline: Pipeline, stage: StageProcess, fingerprint: str) -> StageRecord:
    """Record of a Python file: what the runner saw of it."""
    definition = pipeline.stages[stage.name]
    config: dict[str, Any] = {
        "script": definition.script,
        "output_dir": str(stage.folder),
        **relocate_values(pipeline, definition.args),
    }
    return StageRecord(
        stage=stage.name,
        kind="script",
        started=stage.started.isoformat(timespec="seconds"),
        finished=finish_time(stage.started, stage.seconds),
        seconds=round(stage.seconds, 2),
        cpu_seconds=round(stage.cpu_seconds, 2),
        command=["python", *stage.command[1:]],
        config=config,
        config_sha256=hash_json(config),
        parents=_script_parents(pipeline, stage.name),
        versions=collect_versions(),
        hardware={"machine": platform.machine(), "cpu_count": os.cpu_count()},
        seeds={} if pipeline.seed is None else {"seed": pipeline.seed},
        artefacts=[*describe_artefacts(stage.folder), *describe_data_files(stage.folder)],
        fingerprint=fingerprint,
    )


def _script_parents(pipeline: Pipeline, name: str) -> list[Parent]:
    """The checkpoints among the stages a script needs; how it used them only the script knows."""
    folders = [pipeline.folder(need) for need in pipeline.stages[name].needs]
    return [describe_parent(str(folder), role="input") for folder in folders if any(weight_files(folder))]


def record_pipeline(pipeline: Pipeline) -> None:
    """Write `pipeline.json`: the stages in order, for table, cards and report."""
    content = {
        "pipeline": str(pipeline.path),
        "seed": pipeline.seed,
        "license": pipeline.license,
        "title": pipeline.report.get("title"),
        "questions": pipeline.report.get("questions"),
        "stages": [
            {"name": name, "kind": stage.kind, "folder": stage.output, "needs": list(stage.needs)}
            for name, stage in pipeline.stages.items()
        ],
    }
    write_pipeline_record(pipeline.output_dir, content)


def finish_run(pipeline: Pipeline, console: Console) -> None:
    """
    Bring cards and report up to date with the records, print the table, and publish what asks for it.

    Raises:
        [`RecordError`]: when all the rest is done, if a card, the report or the table could not be made.
    """
    from trl_r1.report import print_summary

    report = pipeline.output_dir / "report.html"
    newest = _newest_record(pipeline)
    problems: list[str] = []
    if newest > (report.stat().st_mtime if report.is_file() else 0.0):
        from trl_r1.hub.cards import create_dataset_cards, create_model_cards
        from trl_r1.report import build_report

        for create in (create_model_cards, create_dataset_cards, build_report):
            problems += _problem(create, pipeline.output_dir)
        if problems and report.is_file():  # older than the records, so that the next run tries again
            os.utime(report, (newest - 1, newest - 1))
    problems += _problem(partial(print_summary, console=console), pipeline.output_dir)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    publish_stages(pipeline)
    if problems:
        raise RecordError("\n".join(dict.fromkeys(problems)))


def _problem(make: Callable[[Path], object], folder: Path) -> list[str]:
    """Make something of a pipeline's records. Returns why it could not be made."""
    try:
        make(folder)
    except RecordError as error:
        return [str(error)]
    return []


def _newest_record(pipeline: Pipeline) -> float:
    """Time the last stage was finished, in seconds since the epoch."""
    records = [pipeline.folder(name) / RECORD_NAME for name in pipeline.stages]
    return max((record.stat().st_mtime for record in records if record.is_file()), default=0.0)
