"""The spread over ways to ask, without the noise: its estimate, its intervals, and the test of none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trl_r1.evaluation.interval_forms import wilson
from trl_r1.evaluation.prompt_sensitivity.crossed import ROUNDING, Crossed, Noise
from trl_r1.evaluation.prompt_sensitivity.inversion import fixed_interval, population_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadEstimate:
    """The numbers of a spread alone; see [`PromptSensitivity`]."""

    spread_sd: float
    low: float
    high: float
    population_low: float
    population_high: float
    p_value: float
    observed_sd: float
    noise_sd: float
    method: str


def estimate_spread(table: Crossed, noise: Noise) -> SpreadEstimate:
    """
    The spread over ways to ask, without bias in the variance, with its intervals and the test of none.

    The observed variance of the ways' means is that of their true scores plus that of noise, which the residuals of
    rows and columns show (analysis of variance; for clusters, their sums).
    """
    scores = table.scores
    observed = float(scores.var(ddof=1))
    over = "questions" if len(table.groups) == len(table.questions) else "clusters"
    most = _largest_spreads(len(scores)) if table.share else (math.inf, math.inf)
    if noise.variance <= 0:
        if observed <= ROUNDING * max(1.0, float((scores**2).max())):
            observed = 0.0  # but for rounding
        return _without_noise(table, observed, over, most)
    fixed, population = fixed_interval(scores, noise), population_interval(scores, noise)
    return SpreadEstimate(
        spread_sd=root_of_excess(observed - noise.variance, observed),
        low=min(fixed[0], most[0]),
        high=min(fixed[1], most[0]),
        population_low=min(population[0], most[1]),
        population_high=min(population[1], most[1]),
        p_value=_p_value(observed, noise),
        observed_sd=math.sqrt(observed),
        noise_sd=math.sqrt(noise.variance),
        method=f"inverted sum of squares, over {over}",
    )


def _p_value(observed: float, noise: Noise) -> float:
    from scipy.stats import f

    # the test of repeated measures with Huynh and Feldt's degrees
    return float(f.sf(observed / noise.variance, noise.shape_degrees, noise.degrees))


def _largest_spreads(variants: int) -> tuple[float, float]:
    """Of so many shares, and of a population of shares: half of them 0, half of them 1."""
    half = variants // 2
    return math.sqrt(half * (variants - half) / variants / (variants - 1)), 0.5


def root_of_excess(excess: float, of: float) -> float:
    """0 where the excess is none but for rounding."""
    return math.sqrt(excess) if excess > ROUNDING * of else 0.0


def _without_noise(table: Crossed, observed: float, over: str, most: tuple[float, float]) -> SpreadEstimate:
    """
    Where the ways differ on every question by the same, or on none: there is no noise to go by, so the interval of
    shares is as wide as Wilson's for no success in as many trials, and p that of so many coins falling alike.
    """
    from scipy.stats import chi2

    spread, groups, degrees = math.sqrt(observed), len(table.groups), len(table.variants) - 1
    hidden = wilson(0.0, groups)[1] if table.share else 0.0
    low, high = max(0.0, spread - hidden), spread + hidden
    of_all = [math.sqrt(observed * degrees / float(chi2.ppf(tail, degrees))) for tail in (0.975, 0.025)]
    return SpreadEstimate(
        spread_sd=spread,
        low=low,
        high=min(high, most[0]),
        population_low=min(low, of_all[0]),
        population_high=min(max(high, of_all[1]), most[1]),
        p_value=1.0 if observed <= 0 else float(2.0 ** (1 - groups)),
        observed_sd=spread,
        noise_sd=0.0,
        method=f"wilson of none, over {over}",
    )
