"""A training run in a process of its own, to be killed: `python killed_run.py '{"kind": "grpo", ...}'`.

Keys: `kind` (`grpo`, `sft`), `output_dir`, `options` (fields of the configuration), `kill_at` (step, optional),
`kill_while_saving` (step, optional: SIGKILL after the weights, before the rest of that checkpoint is written).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tiny_run import finish, make_arguments, make_grpo, make_tokenizer, policy_on_disk, questions
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import train_or_resume


def kill() -> None:
    """No handler, no `finally`, no flush: as a power cut or the out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillAt(TrainerCallback):
    """SIGKILL at the end of a step, before its checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            kill()


def make_sft(output_dir: str, **options: Any) -> SFTTrainer:
    """SFT of the tiny policy on its questions with their answers."""
    tokenizer = make_tokenizer()
    rows = questions().map(lambda row: {"completion": f" <answer> {row['solution']} </answer>"})
    return SFTTrainer(
        model=policy_on_disk(output_dir, tokenizer),
        args=make_arguments(SFTConfig, output_dir, **{"per_device_train_batch_size": 2, **options}),
        processing_class=tokenizer,
        train_dataset=rows.remove_columns("solution"),
    )


def main(job: dict[str, Any]) -> None:
    """Train, or be killed."""
    output_dir, options = job["output_dir"], job["options"]
    if job["kind"] == "sft":
        trainer: Any = make_sft(output_dir, **options)
    else:
        trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, output_dir, **options)
    if "kill_at" in job:
        trainer.add_callback(KillAt(job["kill_at"]))
    if "kill_while_saving" in job:
        save = trainer._save_optimizer_and_scheduler
        trainer._save_optimizer_and_scheduler = lambda folder: (
            kill() if folder.endswith(f"-{job['kill_while_saving']}") else save(folder)
        )
    train_or_resume(trainer)
    finish(trainer, Path(output_dir) / "result.pt")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
