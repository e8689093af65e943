"""Do the 95 % intervals of an evaluation cover? Simulated: known rates, drawn answers, the library's intervals.

    python tests/benchmarks/interval_coverage.py [--repetitions 2000] [--seed 0] [--questions 30 200 1000]
        [--samples 1 4 16 64] [--only scores samples clusters pass pass_again cons
        cons_again equal better better_again]

In each repetition questions are drawn from a world (a distribution of right rates), each answered k times. Printed is
the share of repetitions whose interval holds the truth: the world's mean for intervals over questions, the mean of the
drawn rates for intervals over samples. 2,000 repetitions know a share of .95 to .0095 (95 %), so a cell is marked `*`
where even that leaves it outside .93 to .97.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from scipy.stats import binom, norm

from trl_r1.evaluation import compare_paired, cons_at_k, estimate_score, pass_at_k
from trl_r1.evaluation.paired import newcombe
from trl_r1.evaluation.uncertainty import _estimate, _jackknife, _Question, _vote_variance


Drawer = Callable[[np.random.Generator, int], np.ndarray]
WORLDS: dict[str, tuple[Drawer, float]] = {  # rates of n questions, and the mean of all
    "all .5": (lambda rng, n: np.full(n, 0.5), 0.5),
    "all .05": (lambda rng, n: np.full(n, 0.05), 0.05),
    "middling, Beta(2, 2)": (lambda rng, n: rng.beta(2, 2, n), 0.5),
    "all or nothing, Beta(.3, .3)": (lambda rng, n: rng.beta(0.3, 0.3, n), 0.5),
    "hard, mean .1, Beta(.3, 2.7)": (lambda rng, n: rng.beta(0.3, 2.7, n), 0.1),
    "easy, mean .9, Beta(4.5, .5)": (lambda rng, n: rng.beta(4.5, 0.5, n), 0.9),
    "very hard, mean .03, Beta(.15, 4.85)": (lambda rng, n: rng.beta(0.15, 4.85, n), 0.03),
    "very easy, mean .97, Beta(4.85, .15)": (lambda rng, n: rng.beta(4.85, 0.15, n), 0.97),
}
PASS_K = 4
CLUSTER = 5  # questions that share a rate


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=int, nargs="+", default=[30, 200, 1000])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    options = parser.parse_args()
    _check_shortcut(np.random.default_rng(options.seed))
    inside = cells = 0
    for name in options.only:
        title, simulate = TABLES[name]
        print(f"\n**{title}**\n\n| world | questions | " + " | ".join(f"k = {k}" for k in options.samples) + " |")
        print("|---|---|" + "---|" * len(options.samples))
        for world in WORLDS:
            for count in options.questions:
                row = []
                for k in options.samples:
                    rng = np.random.default_rng([options.seed, list(WORLDS).index(world), count, k])
                    found = simulate(rng, world, count, k, options.repetitions)
                    row.append(
                        "" if found is None else f"{found:.3f}{'' if fits(found, options.repetitions) else '*'}"
                    )
                    cells += found is not None
                    inside += found is not None and fits(found, options.repetitions)
                print(f"| {world} | {count} | {' | '.join(row)} |", flush=True)
    print(f"\n{inside} of {cells} cells are compatible with .93 to .97.")


def fits(found: float, repetitions: int) -> bool:
    """Whether a true coverage of .93 to .97 would give so many hits, at 95 %."""
    margin = norm.ppf(0.975) * math.sqrt(0.95 * 0.05 / repetitions)
    return 0.93 - margin <= found <= 0.97 + margin


def scores(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """Of other questions: the world's mean."""
    draw, truth = WORLDS[world]
    ends = (_of_counts(rng.binomial(k, draw(rng, count)), k) for _ in range(repetitions))
    return share(found.low <= truth <= found.high for found in ends)


def samples(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """Of the same questions: the mean of the drawn rates."""
    return None if k == 1 else share(_same_questions(rng, world, count, k) for _ in range(repetitions))


def _same_questions(rng: np.random.Generator, world: str, count: int, k: int) -> bool:
    rates = WORLDS[world][0](rng, count)
    found = _of_counts(rng.binomial(k, rates), k)
    return bool(found.sampling_low - 1e-12 <= rates.mean() <= found.sampling_high + 1e-12)


def passes(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """pass@4 from k samples: over questions."""
    if k < PASS_K:
        return None
    draw = WORLDS[world][0]
    truth = _truth(world, lambda rate: 1 - (1 - rate) ** PASS_K)
    hits = []
    for _ in range(repetitions):
        found = _estimate(_pass_questions(rng.binomial(k, draw(rng, count)), k), None, share=True)
        hits.append(found.low <= truth <= found.high)
    return share(hits)


def passes_again(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """pass@4 from k samples: the same questions, other samples."""
    if k <= PASS_K:
        return None
    hits = []
    for _ in range(repetitions):
        rates = WORLDS[world][0](rng, count)
        found = _estimate(_pass_questions(rng.binomial(k, rates), k), None, share=True)
        truth = np.mean(1 - (1 - rates) ** PASS_K)
        hits.append(found.sampling_low - 1e-12 <= truth <= found.sampling_high + 1e-12)
    return share(hits)


def votes(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """The majority of all k samples, two values of answers: over questions."""
    draw = WORLDS[world][0]
    truth = _truth(world, lambda rate: _right_majority(rate, k))
    hits = []
    for _ in range(repetitions):
        rights = rng.binomial(k, draw(rng, count))
        measured = {index: _Question(_vote(k, int(right)), k, None, 1) for index, right in enumerate(rights)}
        found = _estimate(measured, None, share=True)
        hits.append(found.low <= truth <= found.high)
    return share(hits)


def votes_again(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """The majority of all k samples: the same questions, other samples."""
    if k == 1:
        return None
    hits = []
    for _ in range(repetitions):
        rates = WORLDS[world][0](rng, count)
        rights = rng.binomial(k, rates)
        measured = {
            index: _Question(_vote(k, int(right)), k, _vote_spread(k, int(right)), 1)
            for index, right in enumerate(rights)
        }
        found = _estimate(measured, None, share=True)
        truth = np.mean(_right_majority(rates, k))
        hits.append(found.sampling_low - 1e-12 <= truth <= found.sampling_high + 1e-12)
    return share(hits)


def paired(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """Two policies of equal rates: no difference is the truth."""
    hits = []
    for _ in range(repetitions):
        rates = WORLDS[world][0](rng, count)
        first, second = (dict(enumerate(zip(rng.binomial(k, rates) / k, strict=True))) for _ in range(2))
        found = compare_paired(first, second)
        hits.append(found.low <= 0 <= found.high)
    return share(hits)


def better(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """The second policy solves a tenth of what the first does not."""
    truth = 0.1 * (1 - WORLDS[world][1])
    hits = []
    for _ in range(repetitions):
        rates = WORLDS[world][0](rng, count)
        own = (rates, rates + 0.1 * (1 - rates))
        first, second = (dict(enumerate(zip(rng.binomial(k, each) / k, strict=True))) for each in own)
        found = compare_paired(first, second)
        hits.append(found.low <= truth <= found.high)
    return share(hits)


def better_again(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """The same two policies: the same questions, other samples."""
    if k == 1:
        return None
    hits = []
    for _ in range(repetitions):
        rates = WORLDS[world][0](rng, count)
        own = (rates, rates + 0.1 * (1 - rates))
        low, high = newcombe(*(_of_counts(rng.binomial(k, each), k) for each in own))
        hits.append(low - 1e-12 <= np.mean(own[1] - own[0]) <= high + 1e-12)
    return share(hits)


def clusters(rng: np.random.Generator, world: str, count: int, k: int, repetitions: int) -> float | None:
    """Questions that come five of one kind, with one rate."""
    draw, truth = WORLDS[world]
    names = {index: index // CLUSTER for index in range(count)}
    hits = []
    for _ in range(repetitions):
        rates = np.repeat(draw(rng, -(-count // CLUSTER)), CLUSTER)[:count]
        found = _of_counts(rng.binomial(k, rates), k, names)
        hits.append(found.low <= truth <= found.high)
    return share(hits)


TABLES = {
    "scores": ("The score, other questions of the kind and other samples", scores),
    "samples": ("The score, the same questions and other samples", samples),
    "clusters": ("The score, questions in clusters of five", clusters),
    "pass": ("pass@4, other questions and samples", passes),
    "pass_again": ("pass@4, the same questions and other samples", passes_again),
    "cons": ("cons@k, other questions and samples", votes),
    "cons_again": ("cons@k, the same questions and other samples", votes_again),
    "equal": ("Difference of two equal policies", paired),
    "better": ("Difference of two policies, one better", better),
    "better_again": ("Difference of two policies, the same questions and other samples", better_again),
}


def share(hits: Iterable[object]) -> float:
    """Of repetitions."""
    found = list(hits)
    return sum(map(bool, found)) / len(found)


def _of_counts(rights: np.ndarray, k: int, names=None):
    """`estimate_score` of 0s and 1s from their counts, without writing them all out."""
    means = rights / k
    spreads = means * (1 - means) / (k - 1) if k > 1 else [None] * len(means)
    measured = {
        index: _Question(float(mean), k, None if spread is None else float(spread))
        for index, (mean, spread) in enumerate(zip(means, spreads, strict=True))
    }
    return _estimate(measured, names, share=True)


def _check_shortcut(rng: np.random.Generator) -> None:
    """The counts give what the answers themselves do."""
    for k in (1, 4, 16):
        rights = rng.binomial(k, rng.beta(0.5, 0.5, 40))
        values = [float(place < right) for right in rights for place in range(k)]
        questions = [index for index in range(40) for _ in range(k)]
        names = {index: index // CLUSTER for index in range(40)}
        whole = estimate_score(values, questions, clusters=names).to_dict()
        for name, value in _of_counts(rights, k, names).to_dict().items():
            same = value == whole[name] or math.isclose(value, whole[name], rel_tol=1e-9)
            if not same:
                raise SystemExit(f"{name}: {value} from counts, {whole[name]} from answers")


def _pass_questions(rights: np.ndarray, k: int) -> dict[int, _Question]:
    return {index: _pass_question(k, int(right)) for index, right in enumerate(rights)}


@cache
def _pass_question(k: int, right: int) -> _Question:
    return _Question(pass_at_k(k, right, PASS_K), k, _jackknife(k, right, PASS_K) if k > PASS_K else None, k // PASS_K)


@cache
def _vote(k: int, right: int) -> float:
    return cons_at_k(["8"] * k, [place < right for place in range(k)])


@cache
def _vote_spread(k: int, right: int) -> float:
    return _vote_variance(["8"] * k, [place < right for place in range(k)])


def _right_majority(rate, k: int):
    """Chance that most of k answers are right, half of the ties counted; wrong answers are all alike."""
    ties = binom.pmf(k / 2, k, rate) if k % 2 == 0 else 0.0
    return binom.sf(k // 2, k, rate) + 0.5 * ties


def _truth(world: str, of_rate) -> float:
    """A world's mean of something, from a million questions."""
    return float(np.mean(of_rate(WORLDS[world][0](np.random.default_rng(99), 1_000_000))))


if __name__ == "__main__":
    main()
