"""
Starts sampling scripts in processes that share one folder, without paying for the imports again and again.

Reads a job a line, `{"verb", "argv", "world_size", "die"}`, forks its processes, answers with their ids; then, asked
to `wait`, with their exit codes. `die` names a moment at which the first process kills itself, see `MOMENTS`.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


LATE = [  # what the scripts import when they run
    *("datasets", "peft", "pyarrow.parquet", "trl.trainer.distillation_config", "trl.trainer.reward_config"),
    *("trl.trainer.sft_config", "trl.trainer.model_config", "transformers.models.llama.modeling_llama"),
    *("trl_r1.data", "trl_r1.data.sample_rows", "trl_r1.data.rejection_sampling", "trl_r1.generation.engine_loading"),
    *("trl_r1.generation.jobs", "trl_r1.generation.compaction", "trl_r1.hub.cards.dataset_card", "trl_r1.hub.lineage"),
    *("trl_r1.recipe", "trl_r1.scripts.generate", "trl_r1.scripts.rejection_sample", "trl_r1.scripts.training"),
    *("trl_r1.hub.publishing.recipe_target", "jinja2", "rich.progress", "trl_r1.scripts.evaluate", "scipy.stats"),
    *("trl_r1.evaluation.harness", "trl_r1.evaluation.preflight", "trl_r1.evaluation.reports"),
    *(
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "math_verify",
        "transformers.models.auto.tokenization_auto",
    ),
]


def die(*arguments: Any, **options: Any) -> None:
    """No handler, no `finally`, no flush: as a power cut or the out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(module: str, name: str) -> None:
    """Die instead of calling a function."""
    setattr(importlib.import_module(module), name, die)


def after(module: str, name: str) -> None:
    """Die right after calling a function."""
    home = importlib.import_module(module)
    real = getattr(home, name)

    def call(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        die()

    setattr(home, name, call)


def within_rows() -> None:
    """Die while the rows of the result are written: some are on disk, in a file without its name."""
    from trl_r1.data.sample_rows import SampleRows

    real, seen = SampleRows._tables, [0]

    def tables(self: Any, start: int, end: int) -> Any:
        for table in real(self, start, end):
            seen[0] += 1
            if seen[0] == 2:
                die()
            yield table

    SampleRows._tables = tables  # type: ignore[method-assign]


def between_folders() -> None:
    """Die when the old rows are gone and the new ones are not yet in their place."""
    real = Path.rename

    def rename(self: Path, target: Any) -> Path:
        if self.name == "data":
            die()
        return real(self, target)

    Path.rename = rename  # type: ignore[method-assign,assignment]


MOMENTS: dict[str, Callable[[], None]] = {
    "within rows": within_rows,
    "between folders": between_folders,
    "before record": lambda: before("trl_r1.scripts.common", "write_stage_record"),
    "after record": lambda: after("trl_r1.scripts.common", "write_stage_record"),
    "before card": lambda: before("trl_r1.hub.cards.dataset_card", "create_dataset_card"),
    "before cleaning": lambda: before("trl_r1.scripts.sampling", "remove_work"),
    "before answers": lambda: before("trl_r1.evaluation.harness", "write_samples"),
    "after answers": lambda: after("trl_r1.evaluation.harness", "write_samples"),
    "before verdicts": lambda: before("trl_r1.evaluation.judged_job", "judge_parsed"),
    "before cleaning an evaluation": lambda: before("trl_r1.scripts.evaluate", "remove_work"),
}


def run(job: dict[str, Any], rank: int) -> int:
    """One process of a job. Returns its exit code."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(job["world_size"]))
    torch.set_num_threads(1)
    if rank == 0 and job.get("die"):
        MOMENTS[job["die"]]()
    return int(importlib.import_module(f"trl_r1.scripts.{job['verb']}").main(job["argv"]))


def start(job: dict[str, Any], rank: int) -> int:
    """Fork a process. Returns its number."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        status = run(job, rank)
    except SystemExit as error:
        status = int(error.code or 0)
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stderr.flush()
        atexit._run_exitfuncs()
        os._exit(status)


def main() -> None:
    """Serve."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, children too
    for module in LATE:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a script prints is no answer
    for line in sys.stdin:
        job = json.loads(line)
        processes = [start(job, rank) for rank in range(job["world_size"])]
        print(json.dumps(processes), file=answers, flush=True)
        assert sys.stdin.readline() == "wait\n"
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        print(json.dumps(codes), file=answers, flush=True)


if __name__ == "__main__":
    main()
