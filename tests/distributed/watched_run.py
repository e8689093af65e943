"""Signals of a rollout dealt out to processes, and a run an alarm stops: `torchrun ... watched_run.py FOLDER`.

Every process writes `FOLDER/signals_<rank>.json` and `FOLDER/stopped_<rank>.json`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo, make_tokenizer, policy_on_disk

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import (
    AlarmCallback,
    AlarmThresholds,
    RolloutSignals,
    get_canary,
    last_whole_checkpoint,
    train_or_resume,
)
from trl_r1.trainer.rollout import Rollout


ROWS, GROUP = 24, 6  # with two processes of 12 rows; with four, groups would span them


def whole_rollout() -> Rollout:
    """Rows of four groups, all different, some of the texts the same."""
    generator = torch.Generator().manual_seed(1)
    texts = [f"<think> {'wait a b ' * (row % 5)} </think> {7 + row % 3}" for row in range(ROWS)]
    return Rollout(
        step=0,
        rows=[{"solution": "7"}] * ROWS,
        prompts=[f"prompt {row // GROUP}" for row in range(ROWS)],
        completions=texts,
        completion_ids=[[1] * (row % 5 + 1) for row in range(ROWS)],
        truncated=[row % 7 == 0 for row in range(ROWS)],
        rewards=torch.randint(2, (ROWS, 2), generator=generator).float(),
        offset=0,
        num_generations=GROUP,
        reward_names=("accuracy_reward", "format_reward"),
        reward_weights=(1.0, 0.1),
    )


def part_of(rollout: Rollout, rank: int, processes: int) -> Rollout:
    """What one process sees of it: its own rows, and the rewards of all."""
    size = ROWS // processes
    own = slice(rank * size, (rank + 1) * size)
    fields = ("rows", "prompts", "completions", "completion_ids", "truncated")
    return replace(rollout, offset=own.start, **{name: getattr(rollout, name)[own] for name in fields})


def signals_of(rollout: Rollout, canary_rows: int) -> dict[str, float]:
    """What is logged for a rollout."""
    logged: dict[str, float] = {}
    RolloutSignals(get_canary("exact"), canary_rows).on_rollout(rollout, logged.__setitem__)
    return logged


def no_reward(completions: list[Any], **kwargs: Any) -> list[float]:
    """Nothing to learn from."""
    return [0.0] * len(completions)


def stopped_run(folder: Path) -> Any:
    """A run that `no_signal` stops at its second step, and what it left."""
    signals = RolloutSignals()
    alarms = AlarmCallback(signals, AlarmThresholds(window=2, most_truncated=1.0))
    run = {"reward_funcs": [no_reward], "callbacks": [signals, alarms]}
    options = {"max_steps": 4, "num_generations": 8, "stop_on_alarm": True, "run": run}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder / "out"), **options)
    train_or_resume(trainer)
    return trainer


def main(folder: Path) -> None:
    """Both."""
    state = PartialState(cpu=True)
    rank, processes = state.process_index, state.num_processes
    with state.main_process_first():
        policy_on_disk(str(folder / "out"), make_tokenizer())
    signals = signals_of(part_of(whole_rollout(), rank, processes), ROWS)
    (folder / f"signals_{rank}.json").write_text(json.dumps(signals))
    steps = []
    for _ in range(2):  # stopped, then resumed
        trainer = stopped_run(folder)
        steps.append(trainer.state.global_step)
    rows = [row for row in trainer.state.log_history if "loss" in row]
    checkpoint = Path(str(last_whole_checkpoint(folder / "out"))).name
    left = {"steps": steps, "checkpoint": checkpoint, "signal": [row["signals/with_signal"] for row in rows]}
    (folder / f"stopped_{rank}.json").write_text(json.dumps(left))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
