"""Every question asked in every way: the table of scores, and how noisy the ways' means are."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trl_r1.errors import R1Error
from trl_r1.evaluation.interval_forms import FEWEST_DEGREES, cluster_degrees
from trl_r1.evaluation.uncertainty import Clusters, check_values, cluster_of


Table = NDArray[np.float64]
AnswersByVariant = Mapping[str, Mapping[Any, Sequence[float]]]
ROUNDING: Final = 1e-12  # variance below which means are all the same number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossed:
    """
    Mean score of every question asked in every way.

    Args:
        variants (`list[str]`), questions (`list`):
            Names of the rows and columns.
        means (`ndarray`):
            Shape (variants, questions).
        sampling_variance (`float`, *optional*):
            Variance of one cell over other samples, averaged; `None` where no cell has two answers.
        one_answer_variance (`float`, *optional*):
            Of one answer within a cell, averaged.
        groups (`list[list[int]]`):
            Columns by cluster.
        left_out (`int`):
            Questions without an answer in some way to ask, which are in none.
        share (`bool`):
            Whether every value lies in [0, 1].
    """

    variants: list[str]
    questions: list[Any]
    means: Table
    sampling_variance: float | None
    one_answer_variance: float | None
    groups: list[list[int]]
    left_out: int
    share: bool

    @classmethod
    def from_answers(cls, answers: AnswersByVariant, clusters: Clusters | None = None) -> Crossed:
        """
        From the values of the answers to each question, by way to ask.

        Raises:
            [`R1Error`]: when there are fewer than two ways or independent questions, or a value is not finite.
        """
        if len(answers) < 2:
            raise R1Error(f"variants: {len(answers)} say nothing of a spread; ask in at least two ways")
        variants, known = list(answers), dict.fromkeys(name for own in answers.values() for name in own)
        questions = [name for name in known if all(own.get(name) for own in answers.values())]
        groups: dict[Hashable, list[int]] = {}
        for place, question in enumerate(questions):
            groups.setdefault(cluster_of(question, clusters), []).append(place)
        if len(groups) < 2:
            raise R1Error(
                f"questions: {len(groups)} independent ones have an answer in every way to ask; give at least two"
            )
        cells = [[answers[variant][question] for question in questions] for variant in variants]
        for cell in (cell for row in cells for cell in row):
            check_values(cell)
        several = [(_variance(cell), len(cell)) for row in cells for cell in row if len(cell) > 1]
        one = math.fsum(variance for variance, _ in several) / len(several) if several else None
        share = math.fsum(1 / len(cell) for row in cells for cell in row) / (len(variants) * len(questions))
        return cls(
            variants=variants,
            questions=questions,
            means=np.array([[math.fsum(cell) / len(cell) for cell in row] for row in cells]),
            sampling_variance=None if one is None else one * share,
            one_answer_variance=one,
            groups=list(groups.values()),
            left_out=len(known) - len(questions),
            share=all(0 <= value <= 1 for row in cells for cell in row for value in cell),
        )

    @property
    def scores(self) -> Table:
        """Mean of each way to ask."""
        means: Table = self.means.mean(axis=1)
        return means

    @property
    def residuals(self) -> Table:
        """What is left of the table without the means of its rows and of its columns."""
        centred = self.means - self.means.mean(axis=0)
        rest: Table = centred - centred.mean(axis=1, keepdims=True)
        return rest

    def noise(self) -> Noise:
        """How the means of the ways to ask would vary with other questions and other samples."""
        rest, count = self.residuals, len(self.questions)
        sums = np.stack([rest[:, own].sum(axis=1) for own in self.groups])
        sizes = [len(own) for own in self.groups]
        # a cluster draws the means towards itself: see `cluster_variance`
        scales = np.sqrt([1 / (1 - size / count) for size in sizes])
        if len(set(sizes)) == 1:
            scales[:] = math.sqrt(len(sizes) / (len(sizes) - 1))
        return Noise.of_sums(sums * scales[:, None] / count, cluster_degrees(sizes))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """
    Chance in the means of the ways to ask, their common part taken off.

    Args:
        sums (`ndarray`):
            Each independent question's part in the deviations of the means, shape (groups, variants), scaled so that
            their sum of products is the covariance of the means.
        variance (`float`):
            Of one mean around the mean of all, per degree of freedom.
        shape_degrees (`float`):
            Ways less one, fewer where some are far noisier than others (Huynh and Feldt's).
        degrees (`float`):
            How many normal deviations know `variance` as well as these questions do.
        independent (`float`):
            Degrees of freedom that so many questions can have at most: their number less one, or that of clusters,
            and fewer where clusters differ in size.
    """

    sums: Table
    variance: float
    shape_degrees: float
    degrees: float
    independent: float

    @classmethod
    def of_sums(cls, sums: Table, independent: float | None = None) -> Noise:
        """From the parts of the questions, whose degrees of freedom are their number less one unless given."""
        groups, variants = sums.shape
        known = groups - 1.0 if independent is None else independent
        covariance = sums.T @ sums
        trace, square = float(np.trace(covariance)), float((covariance**2).sum())
        if trace <= ROUNDING:
            return cls(sums=sums, variance=0.0, shape_degrees=variants - 1.0, degrees=known, independent=known)
        return cls(
            sums=sums,
            variance=trace / (variants - 1),
            shape_degrees=_shape_degrees(trace, square, known, variants),
            degrees=_degrees((sums**2).sum(axis=1), (variants - 1.0) * known),
            independent=known,
        )

    def draws(self, number: int, rng: np.random.Generator) -> Table:
        """
        So many draws of the means' deviations, shape (number, variants), as uncertain as their covariance is.

        The covariance is shrunk towards that of equal and independent ways as far as the number of questions leaves
        its shape unknown.
        """
        values, vectors = np.linalg.eigh(_shrunk(self.sums.T @ self.sums, self.shape_degrees))
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # symmetric: it moves little when these do
        normal = rng.standard_normal((number, len(values)))
        drawn: Table = (normal @ root) * _student(self.degrees, number, rng)[:, None]
        return drawn

    def draws_along(self, drawn: Table, direction: Table, rng: np.random.Generator) -> tuple[Table, Table]:
        """
        Parts of draws along a direction, and their squares summed over all directions.

        Along the direction of an effect its own variance counts, which one projection of the questions knows less
        well than all of them know the mean variance. These parts are spread evenly over their distribution.
        """
        from scipy.stats import t

        across = (drawn**2).sum(axis=1) - (drawn @ direction) ** 2
        parts = self.sums @ direction
        degrees = _degrees(parts**2, self.independent)
        along: Table = math.sqrt(float((parts**2).sum())) * t.ppf(evenly(len(drawn), rng), degrees)
        return along, across + along**2


def evenly(number: int, rng: np.random.Generator) -> Table:
    """So many shares of a distribution, evenly spaced, in random order."""
    shares: Table = (rng.permutation(number) + 0.5) / number
    return shares


def _student(degrees: float, number: int, rng: np.random.Generator) -> Table:
    """Factors that make normal draws Student's."""
    factors: Table = np.sqrt(degrees / rng.chisquare(degrees, size=number))
    return factors


def _shape_degrees(trace: float, square: float, degrees: float, variants: int) -> float:
    """
    `trace(S)^2 / trace(S^2)` of the true covariance S, from an estimate with so many degrees of freedom, without the
    bias that an estimate's own scatter adds to its square.
    """
    if degrees < 2:
        return 1.0
    true_square = degrees * (square - trace**2 / degrees)
    true_trace = (degrees + 1) * (trace**2 - 2 / (degrees + 1) * square)
    return float(min(variants - 1.0, max(1.0, true_trace / max(true_square, ROUNDING * trace**2))))


def _shrunk(covariance: Table, shape_degrees: float) -> Table:
    """The covariance, moved towards one without a shape until it has so many degrees of freedom."""
    variants = len(covariance)
    trace, square = float(np.trace(covariance)), float((covariance**2).sum())
    flat = trace**2 / (variants - 1)
    kept = 1.0 if square <= flat * (1 + 1e-9) else (trace**2 / shape_degrees - flat) / (square - flat)
    kept = math.sqrt(min(1.0, max(0.0, kept)))
    shapeless = (np.eye(variants) - 1 / variants) * trace / (variants - 1)
    mixed: Table = kept * covariance + (1 - kept) * shapeless
    return mixed


def _degrees(squares: Table, most: float) -> float:
    """A mean of such squares has a relative variance of `2 / degrees`; few questions that count have few."""
    mean = float(squares.mean())
    relative = float(squares.var(ddof=1)) / mean**2 if mean > 0 else 0.0
    found = 2 * (len(squares) - 1) / relative if relative > 0 else most
    return min(most, max(min(FEWEST_DEGREES, most), found))


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
