"""Do the intervals of tokens a right answer cover? Simulated: questions of known rates, longer answers to hard ones.

    python tests/benchmarks/tokens_per_correct_coverage.py [--repetitions 2000] [--seed 0] [--questions 30 200]
        [--samples 1 4 16]

In each repetition questions are drawn from a world (a distribution of right rates), each answered k times; an answer
has a log-normal length whose mean falls with the question's rate. Printed is the share of repetitions whose interval
holds the truth: over questions the world's ratio, over samples that of the drawn questions. Repetitions without a
right answer have no ratio and are left out, with their number in brackets.
"""

from __future__ import annotations

import argparse

import numpy as np

from trl_r1.evaluation.ratios import estimate_tokens_per_correct


WORLDS = {"all or nothing, Beta(.5, .5)": (0.5, 0.5), "middling, Beta(2, 2)": (2, 2), "hard, Beta(.3, 5)": (0.3, 5)}
SPREAD = 0.5  # of the logarithm of a length


def main() -> None:
    """Simulate and print the table: share over questions / share over samples."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=int, nargs="+", default=[30, 200])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    print("| world | questions | " + " | ".join(f"k = {k}" for k in options.samples) + " |")
    print("|---|---|" + "---|" * len(options.samples))
    for world, shape in WORLDS.items():
        for count in options.questions:
            rng = np.random.default_rng(options.seed)
            cells = [_cell(rng, shape, count, k, options.repetitions) for k in options.samples]
            print(f"| {world} | {count} | " + " | ".join(cells) + " |", flush=True)


def _cell(rng: np.random.Generator, shape: tuple[float, float], count: int, k: int, repetitions: int) -> str:
    many = rng.beta(*shape, 1_000_000)
    truth = _expected_length(many).mean() / many.mean()
    inside, used = np.zeros(2), 0
    for _ in range(repetitions):
        rates = rng.beta(*shape, count)
        rights = rng.binomial(1, rates[:, None], (count, k)).astype(bool)
        lengths = np.exp(6 - rates[:, None] + rng.normal(0, SPREAD, (count, k)))
        spent = {index: (lengths[index].tolist(), rights[index].tolist()) for index in range(count)}
        found = estimate_tokens_per_correct(spent)
        if found is None:
            continue
        used += 1
        own = _expected_length(rates).mean() / rates.mean()
        inside[0] += _holds(found.low, truth, found.high)
        inside[1] += _holds(found.sampling_low, own, found.sampling_high)
    shares = f"{inside[0] / used:.3f}" + (f" / {inside[1] / used:.3f}" if k > 1 else "")
    return shares if used == repetitions else f"{shares} ({repetitions - used})"


def _expected_length(rates: np.ndarray) -> np.ndarray:
    return np.exp(6 - rates + SPREAD**2 / 2)


def _holds(low: float | None, truth: float, high: float | None) -> bool:
    return low is not None and high is not None and low <= truth <= high


if __name__ == "__main__":
    main()
