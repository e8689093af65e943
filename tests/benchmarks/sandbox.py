"""How many call-style runs a second the sandbox does: a fresh process, a function loaded, one call, one comparison.

    python tests/benchmarks/sandbox.py [--runs 400] [--rounds 5] [--modes bubblewrap landlock unsafe_local]

Each round times `--runs` runs one after another, then as many by two threads at a time, with two servers. The table
shows the median round, and the processor time a run costs: the caller's own, and that of the servers and candidates.
"""

import argparse
import os
import resource
import statistics
import threading
import time

from trl_r1.verifiers.sandbox import Sandbox


SOURCE = {"main": "def middle(values):\n    ordered = sorted(values)\n    return ordered[len(ordered) // 2]\n"}
VALUES = list(range(100))


def run(box, count):
    """`count` runs, each in a process of its own."""
    for number in range(count):
        with box.session() as session:
            session.load(SOURCE)
            assert session.call("middle", [[*VALUES, number]]).value == 50 if number >= 50 else True


def seconds(work, *arguments, threads=1):
    """Wall time of work done by several threads at once."""
    started = time.perf_counter()
    workers = [threading.Thread(target=work, args=arguments) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started


def processor(who):
    """Processor seconds used so far by this process, or by those that ended below it."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main():
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", default=["bubblewrap", "landlock", "unsafe_local"])
    arguments = parser.parse_args()
    print(f"{arguments.runs} runs a round, {arguments.rounds} rounds, nothing random, {os.cpu_count()} cores\n")
    print("mode          ms a run   runs/s, 2 at a time   caller's CPU ms   children's CPU ms")
    for mode in arguments.modes:
        box, alone, paired = Sandbox(mode, size=2), [], []
        below = processor(resource.RUSAGE_CHILDREN)
        run(box, 20)
        own = processor(resource.RUSAGE_SELF)
        for _ in range(arguments.rounds):
            alone.append(seconds(run, box, arguments.runs))
            paired.append(seconds(run, box, arguments.runs // 2, threads=2))
        total = 2 * arguments.rounds * arguments.runs
        own = 1000 * (processor(resource.RUSAGE_SELF) - own) / total
        box.close()
        below = 1000 * (processor(resource.RUSAGE_CHILDREN) - below) / (total + 20)
        one, two = statistics.median(alone), statistics.median(paired)
        rate = arguments.runs / two
        print(f"{mode:12}  {1000 * one / arguments.runs:8.2f}   {rate:19.0f}   {own:15.2f}   {below:17.2f}")


if __name__ == "__main__":
    main()
