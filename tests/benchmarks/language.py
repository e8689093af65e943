"""How many completions of 2,000 tokens (8,000 characters) the language reward scores in a second, on one thread.

    python tests/benchmarks/language.py [--completions 100] [--rounds 5] [--seed 0]

The completions are random sequences of sentences in English and Chinese, LaTeX, code and numbers. Each round scores
all of them once, and the table shows the median round and the slowest. The error against hand-marked chains is in
`tests/rewards/test_language_snippets.py`.
"""

import argparse
import os
import random
import statistics
import time

from trl_r1.rewards import get_language_consistency_reward


CHARACTERS = 8_000
PARTS = [
    "First we note that the sum of the two numbers is even, so both have the same parity. ",
    "Wait, let me check this again: the train leaves at noon and cannot arrive before one. ",
    "Therefore the answer should be positive, because both factors have the same sign. ",
    "我们先把两个数相加，然后把和除以三。",
    "再检查一遍：如果这个数是偶数，那么它的平方也是偶数，所以结论成立。",
    r"So $x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$ and \[ \int_0^1 x^2 dx = \frac{1}{3} \] hold. ",
    r"由公式得 \text{area} = \frac{base \times height}{2}，代入数值即可。",
    "\n```python\ndef add(first, second):\n    return first + second\n```\n",
    "\nfor item in items:\n    total += item\n    print(total)\n",
    "12 + 30 = 42, 42 * 2 = 84. ",
    "用 Python 或者 DP 求解都可以。",
    "\n\n",
]
CASES = {
    "en, zh": {},
    "en, zh and any other": {"detect_other": True},
    "en, zh, fr, de, es, ja, ru": {"languages": ("en", "zh", "fr", "de", "es", "ja", "ru")},
}


def make_completion(rng):
    """A completion of 8,000 characters and a word that no other has."""
    text = ""
    while len(text) < CHARACTERS:
        text += rng.choice(PARTS)
    word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8))
    return f"<think> {word} {text[:CHARACTERS]} </think> The answer is 4."


def main():
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--completions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    completions = [make_completion(rng) for _ in range(arguments.completions)]
    rewards = {name: get_language_consistency_reward("en", **options) for name, options in CASES.items()}
    seconds = {name: [] for name in CASES}
    for reward in rewards.values():
        reward(completions[:1])  # loads the detector
    for _ in range(arguments.rounds):
        for name, reward in rewards.items():
            start = time.perf_counter()
            reward(completions)
            seconds[name].append(time.perf_counter() - start)
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    print(f"{len(completions)} completions of {CHARACTERS} characters, {arguments.rounds} rounds, ", end="")
    print(f"seed {arguments.seed}, one thread (OMP_NUM_THREADS {threads})")
    print(f"{'languages':<28}{'completions/s':>14}{'slowest round':>15}")
    for name, taken in seconds.items():
        rates = len(completions) / statistics.median(taken), len(completions) / max(taken)
        print(f"{name:<28}{rates[0]:>14.0f}{rates[1]:>15.0f}")


if __name__ == "__main__":
    main()
