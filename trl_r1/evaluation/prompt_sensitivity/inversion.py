"""Intervals of a spread: all sizes of a true spread under which the observed one would be no surprise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from trl_r1.evaluation.interval_forms import CONFIDENCE
from trl_r1.evaluation.prompt_sensitivity.crossed import Noise, Table, evenly


DRAWS: Final = 4_000
_SEED: Final = 0
_STEPS: Final = 30  # of halving


def fixed_interval(scores: Table, noise: Noise) -> tuple[float, float]:
    """
    The spread of these very ways to ask: deviations of a fixed direction, plus noise.

    Args:
        scores (`ndarray`):
            Mean of each way.
        noise ([`Noise`]):
            Of these means.

    Returns:
        `tuple[float, float]`: ends of the 95 % interval of the standard deviation.
    """
    rng = np.random.default_rng(_SEED)
    drawn = noise.draws(DRAWS, rng)
    deviations = scores - scores.mean()
    length = float(np.sqrt((deviations**2).sum()))
    direction = deviations / length if length > 0 else _first_direction(len(scores))
    cross, square = noise.draws_along(drawn, direction, rng)
    return _invert(length**2, lambda root: root * root + 2 * root * cross + square, len(scores))


def population_interval(scores: Table, noise: Noise) -> tuple[float, float]:
    """
    The spread of all ways of the kind these are a draw of: normal deviations, plus noise.

    Args:
        scores (`ndarray`):
            Mean of each way.
        noise ([`Noise`]):
            Of these means.

    Returns:
        `tuple[float, float]`: ends of the 95 % interval of the standard deviation.
    """
    from scipy.stats import chi2

    rng, degrees = np.random.default_rng(_SEED), len(scores) - 1
    drawn = noise.draws(DRAWS, rng)
    others = rng.standard_normal(drawn.shape)
    others -= others.mean(axis=1, keepdims=True)
    own = chi2.ppf(evenly(DRAWS, rng), degrees) / degrees
    cross = (drawn * others).sum(axis=1) * np.sqrt(own / (others**2).sum(axis=1))
    square, length = (drawn**2).sum(axis=1), float(((scores - scores.mean()) ** 2).sum())
    return _invert(length, lambda root: root * root * own + 2 * root * cross + square, len(scores))


def _invert(observed: float, squares: Callable[[float], Table], variants: int) -> tuple[float, float]:
    """
    Both ends, from the sum of squares that a true one of `root ** 2` would give in each draw.

    Less than noise alone gives in half of all cases says no more than that half: the upper end is never 0.
    """
    tail = (1 - CONFIDENCE) / 2
    low = _root(lambda root: float((squares(root) <= observed).mean()) - (1 - tail), observed)
    seen = max(observed, float(np.median(squares(0.0))))
    high = _root(lambda root: float((squares(root) <= seen).mean()) - tail, seen)
    scale = float(np.sqrt(variants - 1))
    return low / scale, high / scale


def _root(excess: Callable[[float], float], observed: float) -> float:
    """Where a falling function crosses 0; 0 where it is below from the start."""
    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, max(float(np.sqrt(observed)), 1e-6)
    while excess(high) > 0:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def _first_direction(size: int) -> Table:
    """Any direction whose parts sum to 0."""
    direction: Table = np.zeros(size)
    direction[:2] = np.sqrt(0.5), -np.sqrt(0.5)
    return direction
