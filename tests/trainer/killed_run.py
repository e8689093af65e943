"""A training run in a process of its own, to be killed: `python killed_run.py '{"kind": "grpo", ...}'`.

Keys: `kind` (`grpo`, `mixed`: GRPO with rewards of all kinds, `sft`), `output_dir`, `options` (fields of the
configuration), and optionally `adapters` (true: LoRA), `kill_at` (step), `kill_while_saving` (step: SIGKILL after the
weights, before the rest of that checkpoint is written), `kill_after` (`{"seconds": 0.1, "latest": 5}`: SIGKILL so
long after the first step of this process begins, and in step 5 at the latest).

`python killed_run.py --serve` imports everything once, then reads a job a line and runs each in a fork. It answers
with the exit status; a kill costs no second import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from peft import LoraConfig
from tiny_run import finish, make_arguments, make_grpo, make_tokenizer, policy_on_disk, questions
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import AlarmCallback, AlarmThresholds, RolloutSignals, train_or_resume


SENSITIVE = AlarmThresholds(window=2, quiet_rows=1, least_signal=0.9, most_truncated=0.2)


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


class KillAfter(TrainerCallback):
    """SIGKILL at any moment: some time after the first step of this process begins, at the latest after a step."""

    def __init__(self, seconds: float, latest: int) -> None:
        self.timer = threading.Timer(seconds, kill)
        self.latest = latest

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.timer.is_alive():
            self.timer.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= self.latest:
            kill()


def accuracy_by_first_token(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    """1 or 0 by one token, so that many groups are tied; shows the token in the table of completions."""
    kwargs["log_extra"]("first token", [ids[0] for ids in completion_ids])
    kwargs["log_metric"]("first tokens", sum(ids[0] for ids in completion_ids) / len(completion_ids))
    return [float(ids[0] % 3 == 0) for ids in completion_ids]


def brevity_reward(completion_ids: list[list[int]], reward_type: list[str], **kwargs: Any) -> list[float | None]:
    """Judges some rows only."""
    return [None if kind == "long" else 0.01 * len(ids) for ids, kind in zip(completion_ids, reward_type, strict=True)]


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


def make_trainer(job: dict[str, Any]) -> Any:
    """The trainer of a job."""
    output_dir, options = job["output_dir"], job["options"]
    if job["kind"] == "sft":
        return make_sft(output_dir, **options)
    run: dict[str, Any] = {}
    if job.get("adapters"):
        run["peft_config"] = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], lora_dropout=0.1)
    if job["kind"] == "mixed":
        kinds = ["long" if index % 3 == 0 else "short" for index in range(12)]
        rows = questions().add_column("reward_type", kinds)
        run |= {"train_dataset": rows, "reward_funcs": [accuracy_by_first_token, brevity_reward]}
        signals = RolloutSignals()
        run["callbacks"] = [signals, AlarmCallback(signals, SENSITIVE)]
    return make_grpo(R1GRPOTrainer, R1GRPOConfig, output_dir, **options, run=run)


def main(job: dict[str, Any]) -> None:
    """Train, or be killed."""
    trainer = make_trainer(job)
    if "kill_at" in job:
        trainer.add_callback(KillAt(job["kill_at"]))
    if "kill_after" in job:
        trainer.add_callback(KillAfter(**job["kill_after"]))
    if "kill_while_saving" in job:
        save = trainer._save_optimizer_and_scheduler
        trainer._save_optimizer_and_scheduler = lambda folder: (
            kill() if folder.endswith(f"-{job['kill_while_saving']}") else save(folder)
        )
    train_or_resume(trainer)
    finish(trainer, Path(job["output_dir"]) / "result.pt")


def serve() -> None:
    """Run a job a line, each in a process of its own. Answers with its exit status, `-9` when it was killed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a run prints is no answer
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            status = 1
            try:
                main(json.loads(line))
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(status, file=answers, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve()
    else:
        main(json.loads(sys.argv[1]))
