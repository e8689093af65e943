"""What every script does around its work: parse, report errors in a line, time, record, write the card."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error
from trl_r1.redaction import HidingFormatter, HidingRecord, hide_secrets, redact_argv
from trl_r1.stage_record import (
    Artefact,
    ContaminationCheck,
    DataSource,
    Measurement,
    Parent,
    RewardUse,
    StageRecord,
    collect_hardware,
    collect_versions,
    describe_artefacts,
    describe_data_files,
    finish_time,
    hash_json,
    read_moment,
    write_stage_record,
)
from trl_r1.stage_record.kinds import DATA_VERBS


if TYPE_CHECKING:
    from trl_r1.recipe import Recipe

STAGE_NAME_VARIABLE = "TRL_R1_STAGE_NAME"
FINGERPRINT_VARIABLE = "TRL_R1_STAGE_FINGERPRINT"
INTERRUPTED = 130  # exit code after SIGINT
LONG_AGO = datetime.min.replace(tzinfo=UTC)

logger = logging.getLogger(__name__)


def run_script(verb: str, main: Callable[[Recipe], None], argv: Sequence[str] | None = None) -> int:
    """
    Parse the recipe, run `main`, and turn errors a user can mend into one line each.

    Returns:
        `int`: exit code; 0 when the stage finished, 2 for an [`R1Error`], 130 after Ctrl-C, as a shell has it.
    """
    from trl_r1.recipe import load_recipe

    configure_logging()
    words = list(sys.argv[1:] if argv is None else argv)
    sys.argv[1:] = redact_argv(sys.argv[1:])  # trackers take down the command line
    try:
        main(load_recipe(verb, words))
    except R1Error as error:
        if is_main_process():  # every process finds the same; one tells it
            report_error(error)
        return 2
    except KeyboardInterrupt:
        logger.info("stopped; the same command goes on from what is saved")
        return INTERRUPTED
    return 0


def is_main_process() -> bool:
    """Whether this is the launcher's first process; known before torch is imported."""
    return int(os.environ.get("RANK", "0")) == 0


def configure_logging() -> None:
    """Readable log lines and tracebacks, without secrets; only the main process speaks below warnings."""
    level = logging.INFO if is_main_process() else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HidingFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.setLogRecordFactory(HidingRecord)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("trl_r1").setLevel(level)
    sys.excepthook = _report_fault
    threading.excepthook = _report_thread_fault


def _report_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show a traceback, whose messages may quote what they were given."""
    sys.stderr.write(hide_secrets("".join(traceback.format_exception(kind, error, trace))))


def _report_thread_fault(fault: threading.ExceptHookArgs) -> None:
    """The same for a thread, such as one in which a library asks the Hub."""
    if fault.exc_value is not None and not isinstance(fault.exc_value, SystemExit):
        _report_fault(fault.exc_type, fault.exc_value, fault.exc_traceback)


def report_error(error: R1Error) -> None:
    """Print an error's lines to standard error, each on a line of its own."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    for line in hide_secrets(str(error)).splitlines():
        console.print("error: " + line, style="red", markup=False)


@dataclass
class StageRecorder:
    """
    Collects what a stage's record needs while the stage runs and writes it at the end.

    Args:
        kind (`str`):
            The verb, for example `"grpo"`.
        output_dir (`str`):
            Folder of the stage.
        config (`dict[str, Any]`):
            Resolved configuration.
    """

    kind: str
    output_dir: str
    config: dict[str, Any]
    command: list[str]
    stage: str
    parents: list[Parent] = field(default_factory=list)
    data: list[DataSource] = field(default_factory=list)
    rewards: list[RewardUse] = field(default_factory=list)
    template: dict[str, str] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Measurement] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contamination: list[ContaminationCheck] = field(default_factory=list)
    processes: dict[str, Any] = field(default_factory=dict)
    left_over: frozenset[str] = frozenset()  # files in the folder that an earlier run of other settings left
    _begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    _earliest: datetime = LONG_AGO
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=time.process_time)

    @classmethod
    def from_recipe(cls, kind: str, recipe: Recipe, output_dir: str, stage_name: str | None = None) -> StageRecorder:
        """Start the clock for a recipe's stage."""
        stage = os.environ.get(STAGE_NAME_VARIABLE) or stage_name or Path(output_dir).name
        command = ["trl-r1", kind, *recipe.argv]
        return cls(kind=kind, output_dir=output_dir, config=recipe.resolved, command=command, stage=stage)

    def begin_after(self, used: StageRecord) -> None:
        """
        Let the stage begin no earlier than one that it uses had finished.

        Clocks of two machines differ, and one may be set between two stages; a record that says otherwise would read
        as if what was used had been made anew since.
        """
        finished = read_moment(used.finished)
        if finished and finished > self._earliest:
            self._earliest = finished
        if finished and finished > self._begun:
            logger.warning("the clock says that %s finishes at %s, which is yet to come", used.stage, used.finished)

    def count_in(self, started: str, seconds: float, cpu_seconds: float) -> None:
        """Count in what earlier processes of the stage took, which began at `started` (ISO 8601, UTC)."""
        self._begun = datetime.fromisoformat(started)
        self._wall -= seconds
        self._cpu -= cpu_seconds

    def use_trainer(self, trainer: Any) -> None:
        """Take the training curve and its last row, the processes, and the time before a resume, from a trainer."""
        from trl_r1.trainer.callbacks import spent_earlier, training_history

        if earlier := spent_earlier(trainer):
            self.count_in(earlier.started, earlier.seconds, earlier.cpu_seconds)
        self.history = training_history(trainer.state)
        if self.history:
            self.metrics.update({key: Measurement(value=value) for key, value in self.history[-1].items()})
        accelerator = trainer.accelerator
        self.processes = {
            "world_size": accelerator.num_processes,
            "distributed_type": str(accelerator.distributed_type.value),
        }

    def _artefacts(self) -> list[Artefact]:
        """The files written: of a stage that leaves a data set also those of rows in folders."""
        rows = describe_data_files(self.output_dir) if self.kind in DATA_VERBS else []
        own = [item for item in describe_artefacts(self.output_dir) if item.path not in self.left_over]
        return [*own, *rows]

    def write(self) -> StageRecord:
        """Write `stage.json`, last. Call on the main process only, when all else is on disk."""
        started, seconds = max(self._begun, self._earliest), time.perf_counter() - self._wall
        record = StageRecord(
            stage=self.stage,
            kind=self.kind,
            started=started.isoformat(timespec="seconds"),
            finished=finish_time(started, seconds),
            seconds=round(seconds, 2),
            cpu_seconds=round(time.process_time() - self._cpu, 2),
            command=self.command,
            config=self.config,
            config_sha256=hash_json(self.config),
            parents=self.parents,
            data=self.data,
            rewards=self.rewards,
            template=self.template,
            versions=collect_versions(),
            hardware={**collect_hardware(), **self.processes},
            seeds=self.seeds,
            metrics=self.metrics,
            evaluations=self.evaluations,
            history=self.history,
            artefacts=self._artefacts(),
            notes=self.notes,
            contamination=self.contamination,
            fingerprint=os.environ.get(FINGERPRINT_VARIABLE),
        )
        write_stage_record(self.output_dir, record)
        logger.info("%s finished in %.0f s: %s", self.stage, record.seconds, self.output_dir)
        return record
