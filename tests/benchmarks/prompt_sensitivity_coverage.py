"""Does the estimated spread over ways to ask cover the truth? A synthetic policy with a known effect, many times.

    python tests/benchmarks/prompt_sensitivity_coverage.py [--repetitions 1000] [--seed 0]
        [--only fixed all difference]

The policy answers a question of difficulty d, asked in way v, rightly with probability
`sigmoid(d + effect(v) + interaction(v, question))`. Questions are drawn anew in each repetition.

- fixed: the effects stay. The truth is the standard deviation of the ways' mean rates over 400,000 questions.
- all: the effects are drawn anew too, from a normal distribution. The truth is that of 4,000 such ways.
- difference: two policies on the same questions, their interactions correlated. The truth is the spreads' difference.

Printed is the share of repetitions whose 95 % interval holds the truth, marked `*` where it is not compatible with .93
to .97 at this number of repetitions. At a true spread of 0 the lower end can miss and the upper end cannot, and where
the spread is small beside the noise the upper end is kept above 0: there .975 is what the method aims at.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from trl_r1.evaluation.prompt_sensitivity import compare_sensitivity
from trl_r1.evaluation.prompt_sensitivity.crossed import Crossed
from trl_r1.evaluation.prompt_sensitivity.spread import estimate_spread


SIZES = [(50, 1), (50, 4), (200, 1), (200, 4)]  # questions, samples
# effects of the ways in logits, spread of the difficulties, spread of the interaction
WORLDS = {
    "no effect, 8 ways": (np.zeros(8), 1.5, 0.0),
    "no effect but an interaction, 8 ways": (np.zeros(8), 1.5, 1.0),
    "small, 8 ways": (np.linspace(-0.3, 0.3, 8), 1.5, 0.5),
    "middling, 8 ways": (np.linspace(-1, 1, 8), 1.5, 0.5),
    "one bad of 8 ways": (np.array([0.0] * 7 + [-3.0]), 1.5, 0.5),
    "large, 4 ways": (np.array([-2.0, -1.0, 1.0, 2.0]), 2.0, 1.0),
    "hard questions, 8 ways": (np.linspace(-1, 1, 8) - 2.5, 1.5, 0.5),
    "middling, 2 ways": (np.array([-0.5, 0.5]), 1.5, 0.5),
    "middling, 24 ways": (np.linspace(-1, 1, 24), 1.5, 0.5),
}
DRAWN_FROM = [(0.0, 6), (0.3, 6), (0.3, 24), (1.0, 4), (1.0, 12)]  # spread of the effects in logits, ways
PAIRS = {  # effects of the first and of the second policy
    "the same policy twice": ("middling, 8 ways", "middling, 8 ways"),
    "no effect in either": ("no effect, 8 ways", "no effect, 8 ways"),
    "middling to small": ("middling, 8 ways", "small, 8 ways"),
    "one bad to none": ("one bad of 8 ways", "no effect, 8 ways"),
}


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    options = parser.parse_args()
    for place, name in enumerate(TABLES):
        if name in options.only:
            TABLES[name](np.random.default_rng([options.seed, place]), options.repetitions)


def print_fixed(rng: np.random.Generator, repetitions: int) -> None:
    """Of these very ways."""
    print("\n| policy | questions | k | true spread | mean estimate | measured | covered | p < .05 | p < .5 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, world in WORLDS.items():
        truth = true_spread(world)
        for count, k in SIZES:
            found = [spread_of(answer(rng, rates(rng, world, count), k)) for _ in range(repetitions)]
            covered = np.mean([each.low <= truth <= each.high for each in found])
            below = [np.mean([each.p_value < level for each in found]) for level in (0.05, 0.5)]
            print(
                f"| {name} | {count} | {k} | {truth:.3f} | {np.mean([each.spread_sd for each in found]):.3f} | "
                f"{np.mean([each.observed_sd for each in found]):.3f} | {marked(covered, repetitions)} | "
                f"{below[0]:.3f} | {below[1]:.3f} |",
                flush=True,
            )


def print_all(rng: np.random.Generator, repetitions: int) -> None:
    """Of all such ways."""
    print(
        "\n| spread in logits | ways | questions | k | true spread | mean estimate | covered | by the fixed interval |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for size, ways in DRAWN_FROM:
        truth = true_spread((np.random.default_rng(7).normal(0, size, 4000), 1.5, 0.5), questions=4000)
        for count, k in ((50, 1), (200, 4)):
            found = []
            for _ in range(repetitions):
                world = (rng.normal(0, size, ways), 1.5, 0.5)
                found.append(spread_of(answer(rng, rates(rng, world, count), k)))
            covered = np.mean([each.population_low <= truth <= each.population_high for each in found])
            fixed = np.mean([each.low <= truth <= each.high for each in found])
            mean = np.mean([each.spread_sd for each in found])
            print(
                f"| {size} | {ways} | {count} | {k} | {truth:.3f} | {mean:.3f} | "
                f"{marked(covered, repetitions)} | {fixed:.3f} |",
                flush=True,
            )


def print_difference(rng: np.random.Generator, repetitions: int) -> None:
    """Of two policies."""
    print("\n| policies | questions | k | true difference | mean estimate | covered | called different |")
    print("|---|---|---|---|---|---|---|")
    for name, pair in PAIRS.items():
        worlds = [WORLDS[own] for own in pair]
        truth = true_spread(worlds[1]) - true_spread(worlds[0])
        for count, k in SIZES:
            found = []
            for _ in range(repetitions):
                common = rng.standard_normal(count), rng.standard_normal((len(worlds[0][0]), count))
                both = [answer(rng, rates(rng, world, count, common), k) for world in worlds]
                found.append(compare_sensitivity(*map(as_answers, both)))
            covered = np.mean([each.low <= truth <= each.high for each in found])
            different = np.mean([not each.low <= 0 <= each.high for each in found])
            print(
                f"| {name} | {count} | {k} | {truth:+.3f} | {np.mean([each.difference for each in found]):+.3f} | "
                f"{marked(covered, repetitions)} | {different:.3f} |",
                flush=True,
            )


World = tuple[np.ndarray, float, float]


def rates(
    rng: np.random.Generator, world: World, count: int, common: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Right rates, shape (ways, questions); `common` is what two policies share of difficulty and interaction."""
    effects, difficulties, interaction = world
    questions = rng.standard_normal(count) if common is None else common[0]
    own = rng.standard_normal((len(effects), count))
    if common is not None:
        own = math.sqrt(0.5) * (own + common[1])
    return expit(effects[:, None] + difficulties * questions + interaction * own)


def answer(rng: np.random.Generator, right: np.ndarray, k: int) -> np.ndarray:
    """Right answers of k, shape (ways, questions), as shares."""
    return rng.binomial(k, right) / k


def spread_of(means: np.ndarray):
    """The library's estimate, from cell means alone: they are all that it reads of the answers."""
    table = Crossed.from_answers(as_answers(means))
    return estimate_spread(table, table.noise())


def as_answers(means: np.ndarray) -> dict[str, dict[int, list[float]]]:
    """As the library takes them."""
    return {
        f"way {row}": {place: [value] for place, value in enumerate(own)} for row, own in enumerate(means.tolist())
    }


def true_spread(world: World, questions: int = 400_000) -> float:
    """Over so many questions; exactly 0 where no way has an effect."""
    if not np.any(world[0]):
        return 0.0
    rng = np.random.default_rng(99)
    sums = np.zeros(len(world[0]))
    for _ in range(10):
        sums += rates(rng, world, questions // 10).sum(axis=1)
    return float((sums / questions).std(ddof=1))


def marked(covered: float, repetitions: int) -> str:
    """With a star where a true coverage of .93 to .97 would not give so many, at 95 %."""
    margin = norm.ppf(0.975) * math.sqrt(0.95 * 0.05 / repetitions)
    return f"{covered:.3f}{'' if 0.93 - margin <= covered <= 0.97 + margin else '*'}"


TABLES = {"fixed": print_fixed, "all": print_all, "difference": print_difference}


if __name__ == "__main__":
    main()
