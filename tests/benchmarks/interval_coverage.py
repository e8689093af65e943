"""Do the 95 % intervals of an evaluation cover? Simulated: known rates, drawn answers, the library's intervals.

    python tests/benchmarks/interval_coverage.py [--repetitions 2000] [--seed 0] [--questions 30 200 1000]
        [--samples 1 4 16 64] [--only scores samples clusters pass pass_again cons
        cons_again equal better better_again]

In each repetition questions are drawn from a world (a distribution of right rates), each answered k times. Printed is
the share of repetitions whose interval holds the truth: the world's mean for intervals over questions, the mean of the
drawn rates for intervals over samples. 2,000 repetitions know a share of .95 to .0095 (95 %), so a cell is marked `*`
where even that leaves it outside .93 to .97.

All repetitions of a cell are computed at once, by the formulas of the library written for arrays; the first ten of a
cell are computed by the library too, and another result ends the script. It takes about three minutes on one core.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import binom, norm, t

from trl_r1.evaluation import compare_paired, cons_at_k, pass_at_k
from trl_r1.evaluation.interval_forms import UNSEEN, UNSEEN_TRY
from trl_r1.evaluation.paired import newcombe
from trl_r1.evaluation.uncertainty import ScoreEstimate, _estimate, _jackknife, _Question, _vote_variance


Ends = tuple[np.ndarray, np.ndarray]
Drawer = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
WORLDS: dict[str, tuple[Drawer, float]] = {  # right rates of questions, and the mean of all
    "all .5": (lambda rng, shape: np.full(shape, 0.5), 0.5),
    "all .05": (lambda rng, shape: np.full(shape, 0.05), 0.05),
    "middling, Beta(2, 2)": (lambda rng, shape: rng.beta(2, 2, shape), 0.5),
    "all or nothing, Beta(.3, .3)": (lambda rng, shape: rng.beta(0.3, 0.3, shape), 0.5),
    "hard, mean .1, Beta(.3, 2.7)": (lambda rng, shape: rng.beta(0.3, 2.7, shape), 0.1),
    "easy, mean .9, Beta(4.5, .5)": (lambda rng, shape: rng.beta(4.5, 0.5, shape), 0.9),
    "very hard, mean .03, Beta(.15, 4.85)": (lambda rng, shape: rng.beta(0.15, 4.85, shape), 0.03),
    "very easy, mean .97, Beta(4.85, .15)": (lambda rng, shape: rng.beta(4.85, 0.15, shape), 0.97),
}
PASS_K = 4
CLUSTER = 5  # questions that share a rate
CHECKED = 10  # repetitions of a cell
Z = norm.ppf(0.975)
TINY = 1e-12


@dataclass(frozen=True)
class Cell:
    """What is simulated: a world, its size, and how often."""

    rng: np.random.Generator
    world: str
    count: int
    k: int
    repetitions: int

    def rates(self, count: int | None = None) -> np.ndarray:
        """Of the questions of each repetition."""
        return WORLDS[self.world][0](self.rng, (self.repetitions, count or self.count))

    @property
    def mean(self) -> float:
        """Of all questions of the world."""
        return WORLDS[self.world][1]


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=int, nargs="+", default=[30, 200, 1000])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    options = parser.parse_args()
    every: list[float] = []
    for name in options.only:
        title, simulate = TABLES[name]
        print(f"\n**{title}**\n\n| world | questions | " + " | ".join(f"k = {k}" for k in options.samples) + " |")
        print("|---|---|" + "---|" * len(options.samples))
        cells: list[float] = []
        for number, world in enumerate(WORLDS):
            for count in options.questions:
                row = []
                for k in options.samples:
                    rng = np.random.default_rng([options.seed, list(TABLES).index(name), number, count, k])
                    found = simulate(Cell(rng, world, count, k, options.repetitions))
                    row.append("" if found is None else f"{found:.3f}{mark(found, options.repetitions)}")
                    cells += [] if found is None else [found]
                print(f"| {world} | {count} | {' | '.join(row)} |", flush=True)
        print(f"\n{count_up(cells, options.repetitions)}")
        every += cells
    print(f"\nAll: {count_up(every, options.repetitions)}")


def mark(found: float, repetitions: int) -> str:
    """A star where no true coverage of .93 to .97 would give so many hits, at 95 %."""
    margin = Z * math.sqrt(0.95 * 0.05 / repetitions)
    return "" if 0.93 - margin <= found <= 0.97 + margin else "*"


def count_up(cells: list[float], repetitions: int) -> str:
    """In words."""
    inside = sum(0.93 <= found <= 0.97 for found in cells)
    fit = [found for found in cells if not mark(found, repetitions)]
    low = sum(bool(mark(found, repetitions)) and found < 0.95 for found in cells)
    return (
        f"Within .93 to .97: {inside} of {len(cells)} cells; compatible with it: {len(fit)}; "
        f"below it: {low}; above it: {len(cells) - len(fit) - low}."
    )


# what is simulated


def scores(cell: Cell) -> float:
    """The mean, of other questions."""
    values, variances = _means(cell.rng.binomial(cell.k, cell.rates()), cell.k)
    return _covered(_over_questions(values, _samples(cell, values, variances, cell.k)), cell.mean)


def samples(cell: Cell) -> float | None:
    """The mean, of the same questions."""
    if cell.k == 1:
        return None
    rates = cell.rates()
    values, variances = _means(cell.rng.binomial(cell.k, rates), cell.k)
    return _covered(_over_samples(values, variances, cell.k), rates.mean(axis=1))


def clusters(cell: Cell) -> float:
    """The mean, of questions that come five of one kind, with one rate."""
    rates = np.repeat(cell.rates(-(-cell.count // CLUSTER)), CLUSTER, axis=1)[:, : cell.count]
    values, variances = _means(cell.rng.binomial(cell.k, rates), cell.k)
    names = np.arange(cell.count) // CLUSTER
    return _covered(_over_questions(values, _samples(cell, values, variances, cell.k, names), names), cell.mean)


def unequal(cell: Cell) -> float:
    """The mean, of questions in clusters with a rate each, the first a third of all, the next a third of the rest."""
    sizes: list[int] = []
    while sum(sizes) < cell.count:
        sizes.append(-(-(cell.count - sum(sizes)) // 3))
    names = np.repeat(np.arange(len(sizes)), sizes)
    values, variances = _means(cell.rng.binomial(cell.k, cell.rates(len(sizes))[:, names]), cell.k)
    return _covered(_over_questions(values, _samples(cell, values, variances, cell.k, names), names), cell.mean)


def passes(cell: Cell) -> float | None:
    """pass@4 from k samples, of other questions."""
    if cell.k < PASS_K:
        return None
    values, variances = _passed(cell.rng.binomial(cell.k, cell.rates()), cell.k)
    library = _samples(cell, values, variances, cell.k // PASS_K)
    return _covered(_over_questions(values, library), _truth(cell.world, PASS_K))


def passes_again(cell: Cell) -> float | None:
    """pass@4 from k samples, of the same questions."""
    if cell.k <= PASS_K:
        return None
    rates = cell.rates()
    values, variances = _passed(cell.rng.binomial(cell.k, rates), cell.k)
    return _covered(_over_samples(values, variances, cell.k // PASS_K), np.mean(1 - (1 - rates) ** PASS_K, axis=1))


def votes(cell: Cell) -> float:
    """The majority of all k samples, two values of answers, of other questions."""
    values, _ = _voted(cell.rng.binomial(cell.k, cell.rates()), cell.k)
    truth = float(np.mean(_right_majority(_many(cell.world), cell.k)))
    return _covered(_over_questions(values, _samples(cell, values, None, 1)), truth)


def votes_again(cell: Cell) -> float | None:
    """The majority of all k samples, of the same questions."""
    if cell.k == 1:
        return None
    rates = cell.rates()
    values, variances = _voted(cell.rng.binomial(cell.k, rates), cell.k)
    return _covered(_over_samples(values, variances, 1), _right_majority(rates, cell.k).mean(axis=1))


def equal(cell: Cell) -> float:
    """Two policies of equal rates: no difference is the truth."""
    rates = cell.rates()
    return _covered(_paired(*(cell.rng.binomial(cell.k, rates) / cell.k for _ in range(2))), 0.0)


def better(cell: Cell) -> float:
    """The second policy solves a tenth of what the first does not."""
    rates = cell.rates()
    own = (rates, rates + 0.1 * (1 - rates))
    return _covered(_paired(*(cell.rng.binomial(cell.k, each) / cell.k for each in own)), 0.1 * (1 - cell.mean))


def better_again(cell: Cell) -> float | None:
    """The same two policies, of the same questions."""
    if cell.k == 1:
        return None
    rates = cell.rates()
    own = (rates, rates + 0.1 * (1 - rates))
    measured = [_means(cell.rng.binomial(cell.k, each), cell.k) for each in own]
    (first, first_ends), (second, second_ends) = (
        (each[0].mean(axis=1), _over_samples(*each, cell.k)) for each in measured
    )
    low = second - first - np.hypot(second - second_ends[0], first_ends[1] - first)
    high = second - first + np.hypot(second_ends[1] - second, first - first_ends[0])
    library = [_samples(cell, *each, cell.k) for each in measured]
    _same((low, high), [newcombe(*pair) for pair in zip(*library, strict=True)])
    return _covered((low, high), (own[1] - own[0]).mean(axis=1))


TABLES = {
    "scores": ("The score, other questions of the kind and other samples", scores),
    "samples": ("The score, the same questions and other samples", samples),
    "clusters": ("The score, questions in clusters of five", clusters),
    "pass": ("pass@4, other questions and samples", passes),
    "pass_again": ("pass@4, the same questions and other samples", passes_again),
    "cons": ("cons@k, other questions and samples", votes),
    "cons_again": ("cons@k, the same questions and other samples", votes_again),
    "equal": ("Difference of two equal policies", equal),
    "better": ("Difference of two policies, one better", better),
    "better_again": ("Difference of two policies, one better, the same questions and other samples", better_again),
    "unequal": ("The score, questions in clusters, the first a third of all, the next a third of the rest", unequal),
}


# the library's formulas, for all repetitions at once


def _over_questions(values: np.ndarray, library: list[ScoreEstimate], names: np.ndarray | None = None) -> Ends:
    """`interval_forms.over_questions`."""
    value = values.mean(axis=1)
    sums = values - value[:, None]
    sizes = np.ones(values.shape[1])
    if names is not None:
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        sums, sizes = np.add.reduceat(sums, starts, axis=1), np.add.reduceat(sizes, starts)
    shares = sizes / sizes.sum()
    own = shares**2 / (1 - shares)
    most, trials = 1 / ((shares**2).sum() + own.sum() ** 2 - (own**2).sum()), 1 / (shares**2).sum()
    groups, squares = sums.shape[1], (sums**2).sum(axis=1)
    plain = (squares <= TINY) | (value <= 0) | (value >= 1)
    if names is None:
        plain |= ((values == 0) | (values == 1)).all(axis=1)
    with np.errstate(all="ignore"):
        excess = np.maximum((sums**4).mean(axis=1) / (squares / groups) ** 2 - 1, 2 / groups)
        degrees = np.minimum(most, np.maximum(2, 2 * (groups - 1) / excess))
        unseen = trials / (trials - 1) * UNSEEN / degrees * np.maximum(value, 1 - value) ** 2 / trials**2
        variance = (sums**2 / (1 - shares)).sum(axis=1) / values.shape[1] ** 2 + unseen
        effective = np.where(plain, trials, np.maximum(1, value * (1 - value) / variance))
        ends = _wilson(value, effective, np.where(plain, Z, t.ppf(0.975, degrees)))
    _same(ends, [(each.low, each.high) for each in library])
    return ends


def _over_samples(values: np.ndarray, variances: np.ndarray, tries: int) -> Ends:
    """`interval_forms.over_samples`."""
    value, count = values.mean(axis=1), values.shape[1]
    variance = variances.sum(axis=1) / count**2
    plain = (variance <= 0) | (value <= 0) | (value >= 1)
    with np.errstate(all="ignore"):
        spread = variance + UNSEEN_TRY / (count * tries) ** 2
        effective = np.where(plain, count * tries, np.maximum(1, value * (1 - value) / spread))
    ends = _wilson(value, effective, Z)
    library = [_library(own, spread, tries) for own, spread in zip(values[:CHECKED], variances[:CHECKED], strict=True)]
    _same(ends, [(each.sampling_low, each.sampling_high) for each in library])
    return ends


def _paired(first: np.ndarray, second: np.ndarray) -> Ends:
    """`paired.compare_paired`."""
    difference, count = second - first, first.shape[1]
    value, error = difference.mean(axis=1), difference.std(axis=1, ddof=1) / math.sqrt(count)
    half = np.where(error <= TINY, _wilson(np.zeros(1), count, Z)[1], t.ppf(0.975, count - 1) * error)
    ends = np.maximum(-1, value - half), np.minimum(1, value + half)
    pairs = [
        tuple(dict(enumerate(zip(own, strict=True))) for own in pair)
        for pair in zip(first[:CHECKED], second, strict=False)
    ]
    _same(ends, [(found.low, found.high) for found in (compare_paired(*pair) for pair in pairs)])
    return ends


def _wilson(value: np.ndarray, n: np.ndarray | int, z: np.ndarray | float) -> Ends:
    spread = z * z / n
    middle = (value + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(np.maximum(0, value * (1 - value)) / n + spread / (4 * n))
    return np.maximum(0, middle - half), np.minimum(1, middle + half)


def _covered(ends: Ends, truth: np.ndarray | float) -> float:
    """Share of repetitions."""
    return float(np.mean((ends[0] - TINY <= truth) & (truth <= ends[1] + TINY)))


def _same(ends: Ends, library: list[tuple[float | None, float | None]]) -> None:
    """The formulas are the library's."""
    for low, high, expected in zip(*ends, library, strict=False):
        if not np.allclose((low, high), np.array(expected, dtype=float), rtol=1e-7, atol=1e-9):
            raise SystemExit(f"{low}, {high} here; {expected} by the library")


def _samples(
    cell: Cell, values: np.ndarray, variances: np.ndarray | None, tries: int, names: np.ndarray | None = None
) -> list[ScoreEstimate]:
    """The first repetitions by the library."""
    return [
        _library(values[index], None if variances is None else variances[index], tries, names)
        for index in range(min(CHECKED, cell.repetitions))
    ]


def _library(
    values: np.ndarray, variances: np.ndarray | None, tries: int, names: np.ndarray | None = None
) -> ScoreEstimate:
    known = [None] * len(values) if variances is None else [float(each) for each in variances]
    measured = {
        index: _Question(float(value), tries, spread, tries)
        for index, (value, spread) in enumerate(zip(values, known, strict=True))
    }
    return _estimate(measured, None if names is None else dict(enumerate(names.tolist())), share=True)


# what k answers of which so many are right give, and its variance


def _means(rights: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray | None]:
    means = rights / k
    return means, means * (1 - means) / (k - 1) if k > 1 else None


def _passed(rights: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    values, variances = _pass_table(k)
    return values[rights], variances[rights]


def _voted(rights: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    values, variances = _vote_table(k)
    return values[rights], variances[rights]


@cache
def _pass_table(k: int) -> tuple[np.ndarray, np.ndarray]:
    spreads = [_jackknife(k, right, PASS_K) if k > PASS_K else 0.0 for right in range(k + 1)]
    return np.array([pass_at_k(k, right, PASS_K) for right in range(k + 1)]), np.array(spreads)


@cache
def _vote_table(k: int) -> tuple[np.ndarray, np.ndarray]:
    every = [(["8"] * k, [place < right for place in range(k)]) for right in range(k + 1)]
    spreads = [_vote_variance(*each) if k > 1 else 0.0 for each in every]
    return np.array([cons_at_k(*each) for each in every]), np.array(spreads)


def _right_majority(rates: np.ndarray, k: int) -> np.ndarray:
    """Chance that most of k answers are right, half of the ties counted; wrong answers are all alike."""
    ties = binom.pmf(k / 2, k, rates) if k % 2 == 0 else 0.0
    return binom.sf(k // 2, k, rates) + 0.5 * ties


def _truth(world: str, k: int) -> float:
    """A world's mean of pass@k."""
    return float(np.mean(1 - (1 - _many(world)) ** k))


@cache
def _many(world: str) -> np.ndarray:
    return WORLDS[world][0](np.random.default_rng(99), (1, 1_000_000))


if __name__ == "__main__":
    main()
