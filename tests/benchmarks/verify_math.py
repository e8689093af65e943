"""How fast is the maths verifier beside `trl.rewards.accuracy_reward`, on the same completions?

    python tests/benchmarks/verify_math.py [--rounds 7] [--seed 0] [--hyperbolic]

512 completions of about 500 tokens, a third of whose answers need more than a comparison of numbers (radicals,
polynomials, rational functions, sets, intervals, trigonometry, logarithms), all distinct, three in four right. Rounds
are paired: each draws new completions and times both verifiers on them, which goes first taking turns. Libraries
are loaded and workers started before; the verification cache is emptied before each round, and no answer comes twice.

`--hyperbolic` puts identities that only the worker can decide in place of the logarithms: the ratio follows the mix.
"""

import argparse
import os
import random
import statistics
import time
from collections import Counter

from trl.rewards import accuracy_reward as trl_accuracy_reward

from trl_r1.verifiers import verify_math_batch
from trl_r1.verifiers.math import _cache, _pool


COMPLETIONS = 512
SENTENCE = "so we take both sides and then the first term of it gives what was asked for when n is large enough to see"


def main() -> None:
    """Time both and print a table."""
    options = _options()
    draw = random.Random(options.seed)
    if options.hyperbolic:
        HARD[HARD.index(logarithm)] = hyperbolic
    seen: set[str] = set()
    warm_up = _batch(draw, seen)  # a whole one: with fewer, some rounds paid for starting a worker
    _time_ours(warm_up)
    _time_trl(warm_up)
    rounds = []
    steps: Counter[str] = Counter()
    disagreements: Counter[str] = Counter()
    for number in range(options.rounds):
        batch = _batch(draw, seen)
        order = (_time_ours, _time_trl) if number % 2 == 0 else (_time_trl, _time_ours)
        results = {function: function(batch) for function in order}
        ours, theirs = results[_time_ours], results[_time_trl]
        steps.update(judgement.decided_by for judgement in ours[2])
        for (_, _, truth, _), judgement, reward in zip(batch, ours[2], theirs[2], strict=True):
            disagreements["ours wrong"] += judgement.reward != float(truth)
            disagreements["TRL wrong"] += reward != float(truth)
        rounds.append((*ours[:2], *theirs[:2]))
    _report(options, rounds, steps, disagreements)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hyperbolic", action="store_true", help="one kind is for the worker alone")
    return parser.parse_args()


def _time_ours(batch):
    pairs = [(text, gold) for _, gold, _, text in batch]
    _cache.clear()
    start, used = time.perf_counter(), _processor_seconds()
    judgements = verify_math_batch(pairs)
    return time.perf_counter() - start, _processor_seconds() - used, judgements


def _time_trl(batch):
    completions = [[{"role": "assistant", "content": text}] for _, _, _, text in batch]
    solutions = [f"${gold}$" for _, gold, _, _ in batch]
    start, used = time.perf_counter(), _processor_seconds()
    rewards = trl_accuracy_reward(completions, solutions)
    return time.perf_counter() - start, _processor_seconds() - used, rewards


def _processor_seconds() -> float:
    """Processor time of this process and of the verifier's running workers."""
    total = time.process_time()
    ticks = os.sysconf("SC_CLK_TCK")
    for pid in [worker.pid for worker in _pool._idle]:
        with open(f"/proc/{pid}/stat") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def _batch(draw, seen):
    """Distinct (kind, gold, right, completion), a third of them hard."""
    batch = []
    while len(batch) < COMPLETIONS:
        hard = len(batch) % 3 == 0
        kind = draw.choice(HARD if hard else EASY)
        gold, right, wrong = kind(draw)
        truth = draw.random() < 0.75
        answer = right if truth else wrong
        if (key := f"{gold} {answer}") in seen:
            continue
        seen.add(key)
        batch.append((kind.__name__, gold, truth, _completion(draw, answer)))
    draw.shuffle(batch)
    return batch


def _completion(draw, answer):
    """About 500 tokens of reasoning with formulas in it, then the boxed answer."""
    lines = []
    for number in range(22):
        words = " ".join(draw.choices(SENTENCE.split(), k=11))
        lines.append(rf"{number}. {words} $x_{{{number}}} = \frac{{{draw.randint(1, 99)}}}{{{draw.randint(2, 99)}}}$.")
    return "<think>\n" + "\n".join(lines) + f"\n</think>\nThe answer is $\\boxed{{{answer}}}$."


def whole(draw):
    value = draw.randint(-(10**6), 10**6)
    return str(value), str(value), str(value + 1)


def grouped(draw):
    value = draw.randint(10**4, 10**8)
    return str(value), f"{value:,}", f"{value + 10:,}"


def decimal(draw):
    value = draw.randint(10**3, 10**7)
    return f"{value / 1000:.3f}", f"{value / 1000:.4f}", f"{value / 1000 + 0.001:.3f}"


def fraction(draw):
    top, bottom, scale = draw.randint(1, 999), draw.randint(2, 99), draw.randint(2, 9)
    gold = rf"\frac{{{top}}}{{{bottom}}}"
    return gold, rf"\frac{{{top * scale}}}{{{bottom * scale}}}", rf"\frac{{{top * scale + 1}}}{{{bottom * scale}}}"


def degrees(draw):
    value = draw.randint(1, 10**6)
    return str(value), rf"{value}^\circ", rf"{value + 1}^\circ"


def surd(draw):
    whole, factor, root = draw.randint(1, 500), draw.randint(2, 30), draw.choice([2, 3, 5, 6, 7, 10, 11, 13])
    gold = rf"{whole}+{factor}\sqrt{{{root}}}"
    return gold, rf"\sqrt{{{factor**2 * root}}}+{whole}", rf"\sqrt{{{factor**2 * root + 1}}}+{whole}"


def rationalised(draw):
    root, whole = draw.choice([2, 3, 5, 6, 7, 10, 11, 13, 14, 15]), draw.randint(4, 400)
    gold = rf"\frac{{1}}{{{whole}-\sqrt{{{root}}}}}"
    right = rf"\frac{{{whole}+\sqrt{{{root}}}}}{{{whole**2 - root}}}"
    return gold, right, rf"\frac{{{whole}-\sqrt{{{root}}}}}{{{whole**2 - root}}}"


def polynomial(draw):
    a, b, c = draw.randint(2, 9), draw.randint(1, 60), draw.randint(1, 60)
    gold = f"({a}x+{b})(x+{c})"
    return gold, f"{a}x^2+{a * c + b}x+{b * c}", f"{a}x^2+{a * c + b}x+{b * c + 1}"


def rational_function(draw):
    a, b = draw.randint(1, 300), draw.randint(1, 300)
    return rf"1+\frac{{{a}}}{{x+{b}}}", rf"\frac{{x+{a + b}}}{{x+{b}}}", rf"\frac{{x+{a + b + 1}}}{{x+{b}}}"


def circle(draw):
    a, b = draw.randint(1, 300), draw.randint(2, 300)
    return rf"\frac{{{a}\pi}}{{{b}}}", rf"\frac{{{2 * a}}}{{{2 * b}}}\pi", rf"\frac{{{2 * a + 1}}}{{{2 * b}}}\pi"


def members(draw):
    items = draw.sample(range(-99, 99), 4)
    mixed = draw.sample(items, 4)
    gold = r"\{" + ",".join(map(str, items)) + r"\}"
    return gold, r"\{" + ",".join(map(str, mixed)) + r"\}", r"\{" + ",".join(map(str, [*mixed[:3], 100])) + r"\}"


def interval(draw):
    low, high = draw.randint(-200, 0), draw.randint(1, 200)
    return f"[{low},{high})", rf"{low} \le x < {high}", rf"{low} < x < {high}"


def trigonometry(draw):
    a, b = draw.randint(2, 500), draw.randint(1, 500)
    gold = rf"{a}\sin^2 x+{b}"
    return gold, rf"{a + b}-{a}\cos^2 x", rf"{a + b}-{a}\cos x"


def angle_sum(draw):
    a, b = draw.randint(2, 500), draw.randint(1, 500)
    right = rf"{a}\sin x\cos y+{a}\cos x\sin y+{b}"
    return rf"{a}\sin(x+y)+{b}", right, rf"{a}\sin x\cos y-{a}\cos x\sin y+{b}"


def logarithm(draw):
    a, b = draw.randint(2, 500), draw.randint(2, 500)
    return rf"\log {a * b}", rf"\log {a}+\log {b}", rf"\log {a}+\log {b + 1}"


def hyperbolic(draw):
    factor, shift = draw.randint(2, 99), draw.randint(2, 99)
    gold = rf"{factor}\sinh(2x)+{shift}"
    return gold, rf"{2 * factor}\sinh(x)\cosh(x)+{shift}", rf"{2 * factor}\sinh(x)\cosh(x)+{shift + 1}"


def inverse(draw):
    a = draw.randint(5, 5000)
    return rf"\frac{{{a}\pi}}{{4}}", rf"{a}\arctan 1", rf"{a + 1}\arctan 1"


def nested_root(draw):
    a, b = draw.randint(3, 400), draw.choice([2, 3, 5, 6, 7])
    gold = rf"{a}+\sqrt{{{b}}}"
    return gold, rf"\sqrt{{{a * a + b}+{2 * a}\sqrt{{{b}}}}}", rf"\sqrt{{{a * a + b + 1}+{2 * a}\sqrt{{{b}}}}}"


EASY = [whole, whole, grouped, decimal, fraction, degrees]
HARD = [
    *(surd, rationalised, polynomial, polynomial, rational_function, circle),
    *(members, interval, trigonometry, angle_sum, nested_root, logarithm, inverse),
]


def _report(options, rounds, steps, disagreements) -> None:
    walls = [row[2] / row[0] for row in rounds]
    processor = [row[3] / row[1] for row in rounds]
    print(f"{options.rounds} paired rounds of {COMPLETIONS} completions, seed {options.seed}, {_pool.size} workers")
    print(f"{'':24}{'wall s':>9}{'CPU s':>9}{'a second':>10}")
    for name, wall, cpu in (("trl_r1 verify_math_batch", 0, 1), ("trl accuracy_reward", 2, 3)):
        seconds = statistics.median(row[wall] for row in rounds)
        used = statistics.median(row[cpu] for row in rounds)
        print(f"{name:24}{seconds:9.3f}{used:9.3f}{COMPLETIONS / seconds:10.0f}")
    for name, ratios in (("wall", walls), ("CPU", processor)):
        print(f"ratio ({name}): median {statistics.median(ratios):.1f}, {min(ratios):.1f} to {max(ratios):.1f}")
    total = sum(steps.values())
    print("decided by: " + ", ".join(f"{step} {count / total:.1%}" for step, count in steps.most_common()))
    print("verdicts against the truth: " + ", ".join(f"{who} {n} of {total}" for who, n in disagreements.items()))


if __name__ == "__main__":
    main()
