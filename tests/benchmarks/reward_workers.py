"""What do `reward_workers` save where rewards take as long as the log-probabilities of the reference model?

    python tests/benchmarks/reward_workers.py [--rounds 5] [--size tiny] [--workers 0 2]

The workload is `kl` of `grpo_shapes.py` (a reference model, two optimiser steps a rollout, so both no-gradient passes
are made), and a reward that has one expansion of a polynomial checked by computer algebra for each completion. The
table shows what comes after generation: median wall time (range) and the processor time of the trainer's process, in
an order that changes each round. It needs a core for each process to show anything.
"""

import argparse
import logging
import os
import statistics
import tempfile
from types import SimpleNamespace

from grpo_shapes import SIZES, shape_of
from grpo_step import Runner, save_policy
from heavy_reward import HeavyReward


def main():
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    given = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    args = SimpleNamespace(device="cpu", dtype="float32", attention="sdpa", train_steps=0)
    shape = shape_of("kl", given.size)
    with tempfile.TemporaryDirectory() as folder:
        save_policy(shape, folder)
        runners = [
            Runner(f"{count} workers", {"reward_workers": count}, shape, folder, args, HeavyReward())
            for count in given.workers
        ]
        times = {runner.name: [] for runner in runners}
        for runner in runners:
            runner.step()  # starts processes
        for number in range(given.rounds):
            turn = number % len(runners)
            for runner in runners[turn:] + runners[:turn]:
                times[runner.name].append(runner.step()["passes"])
    print(f"{shape.rows} rows, {given.size}, {given.rounds} rounds, {os.cpu_count()} cores; seconds after generation")
    for name, found in times.items():
        walls, processor = zip(*found, strict=True)
        print(
            f"{name:10} wall {statistics.median(walls):6.2f} ({min(walls):.2f} to {max(walls):.2f})   "
            f"trainer's processor time {statistics.median(processor):6.2f}"
        )


if __name__ == "__main__":
    main()
