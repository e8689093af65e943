"""A run killed again and again, at any moment, ends as one that never was: weights, optimiser, log and tables."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_run import make_tokenizer, policy_on_disk

from trl_r1.trainer.callbacks import last_whole_checkpoint


HERE = Path(__file__).parent
SAVING = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 3, "lr_scheduler_type": "linear"}
# 4 rows a micro-batch, 4 micro-batches a rollout, 2 a step: a rollout serves two steps, an epoch has 6.
TWO_STEPS = {"gradient_accumulation_steps": 2, "steps_per_generation": 4}
FAST = {"fast": True, "log_completions": True, "num_completions_to_print": 0}
EVERYTHING = {
    **SAVING,
    **TWO_STEPS,
    **FAST,
    "beta": 0.05,
    "sync_ref_model": True,
    "ref_model_sync_steps": 3,
    "ref_model_mixup_alpha": 1.0,
    "dynamic_sampling": True,
    "dynamic_sampling_max_rounds": 3,
    "curriculum": "easy_first",
    "skip_unscorable": True,
    "drop_tied_groups": True,
    "max_completion_length_schedule": {5: 12},
}
RUNS = {
    "everything": {"options": EVERYTHING},
    "two passes, saved every third step, rows left out": {
        "options": {
            **SAVING,
            **TWO_STEPS,
            **FAST,
            "save_steps": 3,
            "num_iterations": 2,
            "dynamic_sampling": True,
            "dynamic_sampling_max_rounds": 2,
            "curriculum": "pass_rate_band",
            "pass_rate_band": [0.1, 0.9],
            "reward_workers": 1,
        }
    },
    "adaptive entropy, a log row over two steps": {
        "options": {
            **SAVING,
            **TWO_STEPS,
            **FAST,
            "logging_steps": 2,
            "use_adaptive_entropy": True,
            "entropy_coef": 0.01,
            "entropy_target": 3.0,
            "reward_error_budget": 0.1,
            "skip_unscorable": True,
        }
    },
    "adapters": {"options": {**SAVING, **TWO_STEPS, **FAST, "beta": 0.05}, "adapters": True},
}


class Server:
    """`killed_run.py --serve`."""

    def __init__(self):
        path = os.pathsep.join([os.environ["PYTHONPATH"], str(HERE.parents[1]), str(HERE.parent)])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "killed_run.py"), "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def run(self, job):
        """Exit status of a run."""
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        assert status in (0, -9), f"the run failed: {job}"
        return status


@pytest.fixture(scope="module")
def server():
    started = Server()
    yield started
    started.process.stdin.close()
    started.process.wait()


def outcome(folder):
    """What a finished run leaves behind."""
    result = torch.load(folder / "result.pt", weights_only=True)
    checkpoint = Path(last_whole_checkpoint(folder))
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    rows = [{key: value for key, value in row.items() if key != "step_time"} for row in state["log_history"]]
    return {
        "step": state["global_step"],
        "weights": result["weights"],
        "optimizer": torch.load(checkpoint / "optimizer.pt", weights_only=True),
        "log": rows,
        "tables": {path.name: path.read_bytes() for path in sorted((folder / "completions").glob("*.parquet"))},
        "alarms": [json.loads(line) for line in (folder / "alarms.jsonl").read_text(encoding="utf-8").splitlines()],
    }


def assert_equal(found, expected, place):
    """Equal to the bit, whatever it is made of."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for key in expected:
            assert_equal(found[key], expected[key], f"{place}/{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), place
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_equal(one, other, f"{place}/{index}")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), place
    else:
        assert found == expected, place


def train(server, folder, job, steps, kills=0, seconds=0.0):
    """Start the same run again until it is through, killed so many times. Each kill falls behind the one before."""
    chance = random.Random(f"{kills} kills in {steps} steps")
    job = {**job, "kind": "mixed", "output_dir": str(folder), "options": {**job["options"], "max_steps": steps}}
    reach = seconds * (job["options"]["save_steps"] + 1)
    for kill in range(1, kills + 1):
        moment = {"seconds": chance.uniform(0, reach), "latest": kill * steps // (kills + 1)}
        assert server.run({**job, "kill_after": moment}) == -9
    assert server.run(job) == 0
    return outcome(folder)


def check(server, tmp_path, name, steps, kills):
    job = RUNS[name]
    policy_on_disk(str(tmp_path / "whole"), make_tokenizer())
    started = time.perf_counter()
    expected = train(server, tmp_path / "whole", job, steps)
    seconds = (time.perf_counter() - started) / steps
    assert expected["step"] == steps
    assert expected["alarms"]
    assert len(expected["tables"]) == steps // job["options"].get("logging_steps", 1)
    assert_equal(train(server, tmp_path / "killed", job, steps, kills, seconds), expected, name)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_three_times_ends_the_same(name, server, tmp_path):
    check(server, tmp_path, name, steps=8, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_twenty_times_ends_the_same(name, server, tmp_path):
    check(server, tmp_path, name, steps=24, kills=20)
