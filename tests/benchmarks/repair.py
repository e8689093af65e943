"""How many patches a second are applied and tested: a cold cache, then the same batch again.

    python tests/benchmarks/repair.py [--tasks 128] [--rounds 5] [--modes bubblewrap landlock unsafe_local]

Tasks come from the bank (seed 0). Of the patches half are the reference, which runs every test, and half leave the
fault in and add a comment, which fails at the first. The table shows the median round.
"""

import argparse
import os
import statistics
import time

from trl_r1.data.repair_tasks import make_repair_tasks
from trl_r1.verifiers import repair
from trl_r1.verifiers.repair import verify_repair_batch
from trl_r1.verifiers.sandbox import shared_sandbox


def make_pairs(count):
    """Patches and their tasks."""
    pairs = []
    for index, made in enumerate(make_repair_tasks(count, "train")):
        path, text = next(iter(made.task.files.items()))
        useless = f"```python {path}\n{text}# looked at\n```"
        pairs.append((useless if index % 2 else made.task.patch, made.task))
    return pairs


def seconds(pairs, mode):
    """Wall time of one batch, and how many patches passed."""
    started = time.perf_counter()
    judgements = verify_repair_batch(pairs, isolation=mode)
    return time.perf_counter() - started, sum(judgement.reward == 1.0 for judgement in judgements)


def main():
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", default=["bubblewrap", "landlock", "unsafe_local"])
    arguments = parser.parse_args()
    pairs = make_pairs(arguments.tasks)
    tests = statistics.mean(len(task.tests) for _, task in pairs)
    print(
        f"{len(pairs)} patches of seed 0, {tests:.1f} tests each, {arguments.rounds} rounds, {os.cpu_count()} cores, "
        f"{shared_sandbox('auto').size} servers\n"
    )
    print("mode          patches/s, cold   patches/s, again   passed")
    for mode in arguments.modes:
        seconds(pairs[:4], mode)  # starts the servers
        cold, again = [], []
        for _ in range(arguments.rounds):
            repair._cache.clear()
            spent, passed = seconds(pairs, mode)
            cold.append(len(pairs) / spent)
            again.append(len(pairs) / seconds(pairs, mode)[0])
        print(f"{mode:13} {statistics.median(cold):15.0f} {statistics.median(again):18.0f} {passed:8d}")


if __name__ == "__main__":
    main()
