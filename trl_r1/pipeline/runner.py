"""Run a pipeline: stages in the order of their needs, several at a time, none twice."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from trl_r1.errors import PipelineError, R1Error
from trl_r1.pipeline.display import Display, Status
from trl_r1.pipeline.fingerprint import stage_fingerprints
from trl_r1.pipeline.finish import finish_run, finish_stage, record_pipeline
from trl_r1.pipeline.graph import Pipeline, stages_behind
from trl_r1.pipeline.loading import check_recipes, load_pipeline
from trl_r1.pipeline.locking import run_lock
from trl_r1.pipeline.publication import check_targets
from trl_r1.pipeline.stage_process import StageProcess, last_lines, stop_stages
from trl_r1.pipeline.state import DISCARD_NAME, Action, Decision, begin, decide
from trl_r1.run_records import read_pipeline_record
from trl_r1.stage_record import StageRecord, read_stage_record


POLL_SECONDS = 0.1
FAILURE_LINES = 25  # of the log of a failed stage that are shown


def run_pipeline(
    path: str | Path,
    *,
    output_dir: str | Path | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    only: Sequence[str] | None = None,
    console: Console | None = None,
) -> int:
    """
    Run what is not finished of a pipeline, then write its cards and report and print its table.

    Run it again after anything went wrong: finished stages are skipped, a broken one goes on from its last checkpoint.

    Args:
        path (`str` or `Path`):
            Pipeline YAML.
        output_dir (`str` or `Path`, *optional*):
            Folder of all stages, instead of the pipeline's own.
        seed (`int`, *optional*):
            Seed of every stage, instead of the pipeline's own.
        jobs (`int`, *optional*):
            Stages at a time, instead of the pipeline's own.
        only (`Sequence[str]`, *optional*):
            Stages to make, with those they need.
        console ([`~rich.console.Console`], *optional*):
            Where progress and table are shown.

    Returns:
        `int`: exit code: 0 when every stage is finished, 1 when one failed, 128 + the signal's number when stopped.

    Raises:
        [`RecipeError`]: with all that is wrong in the pipeline's files, before anything runs.
        [`PublishError`]: when a recipe asks to be published where that is not allowed, before anything runs.
        [`RecordError`]: when all is done and written but a card, whose records or files are damaged.
        [`PipelineError`]: when another run holds the folder, or it holds files that are not the pipeline's.
    """
    console = console or Console()
    pipeline = load_pipeline(path, output_dir=output_dir, seed=seed, jobs=jobs)
    selected = pipeline.select(only) if only else pipeline
    fingerprints = stage_fingerprints(pipeline)
    with run_lock(pipeline.output_dir) as lock, _catch_signals() as caught:
        shutil.rmtree(pipeline.output_dir / DISCARD_NAME, ignore_errors=True)  # left by a run that was killed
        _check_seed(pipeline)
        record_pipeline(pipeline)
        with Display(selected.stages, console) as display:
            code = _Run(selected, fingerprints, lock, display, caught).run()
        if code == 0:
            finish_run(pipeline, console)
    return code


def _check_seed(pipeline: Pipeline) -> None:
    """Refuse to throw away the stages of another seed."""
    made_with = read_pipeline_record(pipeline.output_dir).get("seed", pipeline.seed)
    if made_with != pipeline.seed:
        raise PipelineError(
            f"seed: {pipeline.output_dir} holds the stages of seed {made_with}, not {pipeline.seed}; "
            "give this seed a folder of its own with --output_dir"
        )


@contextmanager
def _catch_signals() -> Iterator[list[int]]:
    """Collect the signals that ask a run to stop, so that it can stop its stages first."""
    caught: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield caught
        return
    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """The state of one run: which stages wait, run, are done or failed."""

    def __init__(
        self, pipeline: Pipeline, fingerprints: dict[str, str], lock: int, display: Display, caught: list[int]
    ) -> None:
        self.pipeline, self.fingerprints = pipeline, fingerprints
        self.lock, self.display, self.caught = lock, display, caught
        self.waiting = list(pipeline.stages)
        self.urgency = stages_behind(pipeline.stages)
        self.running: list[StageProcess] = []
        self.records: dict[str, StageRecord] = {}  # of the stages that are finished
        self.failed: dict[str, str] = {}  # stage -> reason

    def run(self) -> int:
        """Start, watch and collect stages until none is left. Returns the exit code."""
        self._check()
        try:
            while self.waiting or self.running:
                if self.caught:
                    return self._stop()
                self._start_ready()
                self._collect()
                if self.failed and not self.running:
                    break
                if self.running:
                    time.sleep(POLL_SECONDS)
        finally:
            stop_stages(self.running)  # none unless an error ends the run
        return self._conclude()

    def _check(self) -> None:
        """
        Refuse, before anything runs, what would fail later.

        That is a folder that is not the pipeline's, a recipe with mistakes, and a place on the Hub that may not be
        written to.
        """
        decisions = {
            name: decide(self.pipeline.folder(name), self.fingerprints[name], []).action for name in self.waiting
        }
        to_run = [name for name, action in decisions.items() if action is not Action.SKIP]
        check_recipes(self.pipeline, to_run)
        check_targets(self.pipeline, to_run)

    def _start_ready(self) -> None:
        """Skip and start stages whose needs are finished; after a failure, none."""
        if self.failed:
            return
        ready: dict[str, Decision] = {}
        for name in list(self.waiting):  # a stage comes after those it needs, so one pass sees all that skips free
            needs = self.pipeline.stages[name].needs
            if all(need in self.records for need in needs):
                folder = self.pipeline.folder(name)
                decision = decide(folder, self.fingerprints[name], [self.records[need] for need in needs])
                if decision.action is Action.SKIP:
                    self.waiting.remove(name)
                    self.records[name] = read_stage_record(folder)
                    self.display.set_status(name, Status.SKIPPED, self.records[name].seconds)
                else:
                    ready[name] = decision
        room = self.pipeline.jobs - len(self.running)
        for name in sorted(ready, key=lambda name: -self.urgency[name])[:room]:
            self.waiting.remove(name)
            self._start(name, ready[name])

    def _start(self, name: str, decision: Decision) -> None:
        begin(self.pipeline.folder(name), self.fingerprints[name], decision.action)
        resumed = decision.action is Action.RESUME
        stage = StageProcess.start(
            self.pipeline, name, fingerprint=self.fingerprints[name], lock=self.lock, append_log=resumed
        )
        self.running.append(stage)
        verb = "goes on" if resumed else "starts again"
        self.display.set_status(name, Status.RUNNING, note=f"{verb}: {decision.reason}" if decision.reason else "")

    def _collect(self) -> None:
        """Take in the stages that have ended and redraw the others."""
        for stage in list(self.running):
            code = stage.poll()
            if code is None:
                self.display.show_progress(stage.name, stage.seconds, stage.progress())
                continue
            self.running.remove(stage)
            try:
                self.records[stage.name] = finish_stage(self.pipeline, stage, code, self.fingerprints[stage.name])
            except R1Error as error:
                stage.signal(signal.SIGKILL)  # whatever it started and left behind
                self.failed[stage.name] = str(error)
                self.display.set_status(stage.name, Status.FAILED, stage.seconds, str(error))
            else:
                self.display.set_status(stage.name, Status.FINISHED, stage.seconds)
        self.display.refresh()

    def _stop(self) -> int:
        """End the running stages after a signal. Returns the exit code a shell expects."""
        for stage in self.running:
            self.display.set_status(stage.name, Status.STOPPED, stage.seconds, "run again to go on")
        stop_stages(self.running)
        self.running.clear()
        return 128 + self.caught[0]

    def _conclude(self) -> int:
        for name in self.waiting:
            self.display.set_status(name, Status.BLOCKED)
        for name, reason in self.failed.items():
            log = self.pipeline.log(name)
            self.display.show_failure(name, reason, str(log), last_lines(log, FAILURE_LINES))
        return 1 if self.failed else 0
