"""GRPO with a reward that fails on one process only: `torchrun --nproc_per_node 2 reward_errors.py FOLDER`.

Every process writes `FOLDER/errors_<rank>.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import length_reward, make_grpo, make_tokenizer, policy_on_disk, stable_logs

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.reward_errors import reward_budgets


class FailsOnRank:
    """Raises on every batch of one process."""

    __name__ = "fails_on_rank"

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __call__(self, completions: list[str], **kwargs: Any) -> list[float]:
        if PartialState().process_index == self.rank:
            raise OSError("the grader is down")
        return [float(row % 2) for row in range(len(completions))]


def main(folder: Path) -> None:
    """Train for two steps; groups of four, one a process."""
    state = PartialState(cpu=True)
    with state.main_process_first():
        policy_on_disk(str(folder / "out"), make_tokenizer())
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(folder / "out"),
        max_steps=2,
        skip_unscorable=True,
        reward_error_budget=0.9,
        run={"reward_funcs": [FailsOnRank(1), length_reward]},
    )
    trainer.train()
    budget = reward_budgets(trainer)[0]
    account = {"rows": budget.rows, "failed": budget.failed, "logs": stable_logs(trainer.state.log_history)}
    (folder / f"errors_{state.process_index}.json").write_text(json.dumps(account))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
