"""A stage as a process group of its own: start, look, stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trl_r1.pipeline.graph import Pipeline
from trl_r1.pipeline.publication import stage_environment
from trl_r1.pipeline.relocation import relocate_values, stage_recipe


STAGE_NAME_VARIABLE = "TRL_R1_STAGE_NAME"
FINGERPRINT_VARIABLE = "TRL_R1_STAGE_FINGERPRINT"
PROGRESS_NAME = "progress.json"
LOG_TAIL_BYTES = 65536


def stage_command(pipeline: Pipeline, name: str) -> list[str]:
    """Command line of a stage: its script, then recipe, folder, seed and the pipeline's own arguments."""
    stage = pipeline.stages[name]
    program = ["-m", f"trl_r1.scripts.{stage.script}"] if stage.kind == stage.script else [stage.script]
    given: dict[str, Any] = {"output_dir": str(pipeline.folder(name))}
    if pipeline.seed is not None:
        given["seed"] = pipeline.seed
    given |= relocate_values(pipeline, stage.args)
    config = ["--config", str(stage_recipe(pipeline, name))] if stage.config else []
    return [sys.executable, *program, *config, *_flags(given)]


def _flags(values: Mapping[str, Any]) -> list[str]:
    """`--key value ...` as TRL's parser reads it: lists one word an item, mappings and nested values as JSON."""
    words: list[str] = []
    for key, value in values.items():
        items: Sequence[Any] = value if isinstance(value, list) else [value]
        words += [f"--{key}", *(item if isinstance(item, str) else json.dumps(item) for item in items)]
    return words


@dataclass(slots=True)
class StageProcess:
    """
    A running stage.

    Args:
        name (`str`):
            The stage.
        command (`list[str]`):
            What was started.
        process (`subprocess.Popen[bytes]`):
            Leader of its process group.
        folder, log (`Path`):
            Where it writes, and where what it prints goes.
        cpu_seconds (`float`):
            CPU time of the stage and its own children, known when it has ended.
    """

    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path
    started: datetime
    clock: float
    cpu_seconds: float = 0.0

    @classmethod
    def start(
        cls, pipeline: Pipeline, name: str, *, fingerprint: str, lock: int, append_log: bool = False
    ) -> StageProcess:
        """Start a stage. `lock` is a file descriptor it inherits, `append_log` keeps the log of its first part."""
        command = stage_command(pipeline, name)
        log = pipeline.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {STAGE_NAME_VARIABLE: name, FINGERPRINT_VARIABLE: fingerprint, "PYTHONUNBUFFERED": "1"}
        with log.open("ab" if append_log else "wb") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **stage_environment(pipeline, name), **environment},
                start_new_session=True,  # a group of its own: stopping it reaches whatever it started
                pass_fds=(lock,),
            )
        return cls(name, command, process, pipeline.folder(name), log, datetime.now(UTC), time.monotonic())

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self.clock

    def poll(self) -> int | None:
        """Exit code, negative for a signal, or `None` while it runs."""
        if self.process.returncode is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.process.returncode

    def signal(self, number: int) -> None:
        """Send a signal to the stage and to all that it started."""
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(self.process.pid, number)

    def progress(self) -> dict[str, Any]:
        """What the stage last said of itself: `step`, `max_steps`, `metrics`; empty before it says anything."""
        try:
            content = json.loads((self.folder / PROGRESS_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there yet, or read in the middle of a write
            return {}
        return content if isinstance(content, dict) else {}


def last_lines(log: Path, count: int) -> list[str]:
    """The end of a stage's log, with progress bars reduced to their last state."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    lines = [line.rstrip().rsplit("\r", 1)[-1] for line in text.split("\n")]
    return [line for line in lines if line][-count:]


def stop_stages(running: Sequence[StageProcess], grace: float = 10.0) -> None:
    """End stages and all that they started: ask, wait up to `grace` seconds, then kill."""
    for stage in running:
        stage.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(stage.poll() is None for stage in running):
        time.sleep(0.05)
    for stage in running:
        stage.signal(signal.SIGKILL)
        while stage.poll() is None:
            time.sleep(0.01)
