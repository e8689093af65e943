"""
How much a score hangs on the words around the question, with the noise of questions and samples taken off.

Every question is asked in every way, so a score is the sum of four things: the way to ask, the question, what is
particular to that question asked in that way, and the luck of the samples. The first is the prompt's effect, and its
spread over the ways is what is estimated; the others would make the ways' means differ even if no way were better.

Two notions are kept apart. The spread of **these very ways** needs no assumption about how they were chosen. The
spread of **all such ways**, of which these are a sample, is what a new wording will suffer; its estimate is the same
number, its interval much wider, since few ways tell little about all.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.evaluation.paired import compare_paired, holm
from trl_r1.evaluation.prompt_sensitivity.crossed import ROUNDING, AnswersByVariant, Crossed, Table
from trl_r1.evaluation.prompt_sensitivity.spread import SpreadEstimate, estimate_spread, root_of_excess
from trl_r1.evaluation.uncertainty import Clusters, ScoreEstimate, estimate_score


SPLITS: Final = 200  # halvings of the questions, for the score of the way that the other half chose
MOST_FLIPS: Final = 20  # questions that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantScore:
    """
    One way to ask.

    Args:
        name (`str`):
            Of the [`~trl_r1.data.prompt_variants.PromptVariant`].
        score ([`ScoreEstimate`]):
            Its score by itself.
        shrunken (`float`):
            Its score moved towards the mean of all by as much as the noise makes likely: of many ways the extreme ones
            are partly lucky.
        difference, low, high (`float`):
            Score less the mean of all ways on the same questions, with its 95 % interval.
        p_value (`float`, *optional*):
            Of no such difference, adjusted for the number of ways by Holm's method.
    """

    name: str
    score: ScoreEstimate
    shrunken: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFlip:
    """
    A question that is answered in one way of asking and not in another.

    Args:
        question (`str`):
            Its name.
        best, worst (`str`):
            Ways to ask.
        best_score, worst_score (`float`):
            Mean of the answers in each.
    """

    question: str
    best: str
    worst: str
    best_score: float
    worst_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSensitivity:
    """
    How much a score hangs on the way to ask.

    Args:
        spread_sd (`float`):
            Standard deviation of the ways' true scores: the observed variance less that of noise, at least 0.
        low, high (`float`):
            95 % interval for these very ways, and other questions and samples.
        population_low, population_high (`float`):
            95 % interval for all ways of the kind these are a sample of, taken to be normal.
        p_value (`float`):
            Of no difference between these ways. Small: the words matter.
        observed_sd (`float`):
            Standard deviation of the ways' measured scores, noise included.
        noise_sd (`float`):
            What that would be on average if no way were better.
        mean (`float`):
            Score over all ways.
        interaction_sd (`float`, *optional*):
            Standard deviation of what is particular to a question asked in one way; `None` where one answer a question
            tells nothing of it.
        sampling_sd (`float`, *optional*):
            Standard deviation of one answer within a question and way.
        worst, best (`str`):
            Ways with the lowest and highest score.
        worst_unbiased, best_unbiased (`float`):
            Score, on one half of the questions, of the way that did worst (best) on the other half, mean of 200
            seeded halvings. The measured score of the worst of many ways is too low, since it was chosen for it; this
            one is not. It is of a choice made on half the questions, so it lies between the worst way and the mean.
        variants (`tuple[VariantScore, ...]`):
            Every way, in the order given.
        flips (`tuple[QuestionFlip, ...]`):
            Up to 20 questions, those whose ways lie furthest apart first. One answer a question flips by luck too.
        num_flips (`int`):
            Questions that are mostly answered in one way and mostly not in another.
        num_questions, num_clusters, left_out (`int`):
            Questions, groups of them that are independent of one another, and questions without an answer in some way,
            which are in no number here.
        method (`str`):
            Kind of the intervals.
    """

    spread_sd: float
    low: float
    high: float
    population_low: float
    population_high: float
    p_value: float
    observed_sd: float
    noise_sd: float
    mean: float
    interaction_sd: float | None
    sampling_sd: float | None
    worst: str
    best: str
    worst_unbiased: float
    best_unbiased: float
    variants: tuple[VariantScore, ...]
    flips: tuple[QuestionFlip, ...]
    num_flips: int
    num_questions: int
    num_clusters: int
    left_out: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """As files keep it."""
        return dataclasses.asdict(self)


def measure_sensitivity(answers: AnswersByVariant, *, clusters: Clusters | None = None) -> PromptSensitivity:
    """
    Measure how much a score hangs on the way to ask.

    Args:
        answers (`Mapping[str, Mapping[Hashable, Sequence[float]]]`):
            From way to ask to question to the values of its answers: 0 and 1, or numbers. Questions without an answer
            in some way are left out of all.
        clusters (`Mapping`, *optional*):
            From question to its cluster, as of [`~trl_r1.evaluation.uncertainty.estimate_score`].

    Returns:
        [`PromptSensitivity`]

    Raises:
        [`R1Error`]: when there are fewer than two ways or independent questions, or a value is not finite.

    Example:

    ```python
    >>> plain = {question: [1, 1] for question in "abcdef"} | {"g": [0, 1]}
    >>> found = measure_sensitivity({"plain": plain, "rude": {**plain, "a": [0, 0], "b": [0, 0], "c": [1, 0]}})
    >>> found.worst, round(found.observed_sd, 3), round(found.noise_sd, 3)
    ('rude', 0.253, 0.116)
    ```
    """
    table = Crossed.from_answers(answers, clusters)
    scores, spread = table.scores, estimate_spread(table, table.noise())
    order = scores.argsort(kind="stable")
    worst, best = int(order[0]), int(order[-1])
    flips = _flips(table)
    halves = _chosen_on_other_half(table)
    return PromptSensitivity(
        **{field.name: getattr(spread, field.name) for field in dataclasses.fields(spread)},
        mean=float(scores.mean()),
        interaction_sd=_interaction_sd(table),
        sampling_sd=None if table.one_answer_variance is None else math.sqrt(table.one_answer_variance),
        worst=table.variants[worst],
        best=table.variants[best],
        worst_unbiased=halves[0],
        best_unbiased=halves[1],
        variants=_variant_scores(answers, table, spread, clusters),
        flips=tuple(flips[:MOST_FLIPS]),
        num_flips=sum(flip.worst_score < 0.5 < flip.best_score for flip in flips),
        num_questions=len(table.questions),
        num_clusters=len(table.groups),
        left_out=table.left_out,
    )


def _interaction_sd(table: Crossed) -> float | None:
    """From the mean square of the residuals, which is that of the interaction plus that of sampling."""
    if table.sampling_variance is None:
        return None
    variants, questions = table.means.shape
    square = float((table.residuals**2).sum()) / (variants - 1) / (questions - 1)
    return root_of_excess(square - table.sampling_variance, square)


def _variant_scores(
    answers: AnswersByVariant, table: Crossed, spread: SpreadEstimate, clusters: Clusters | None
) -> tuple[VariantScore, ...]:
    scores, mean = table.scores, float(table.scores.mean())
    kept = spread.spread_sd**2 / spread.observed_sd**2 if spread.observed_sd > 0 else 0.0
    average = {name: [float(value)] for name, value in zip(table.questions, table.means.mean(axis=0), strict=True)}
    compared = {
        variant: compare_paired(average, {name: answers[variant][name] for name in table.questions}, clusters=clusters)
        for variant in table.variants
    }
    adjusted = holm({name: each.p_value for name, each in compared.items() if each.p_value is not None})
    return tuple(
        VariantScore(
            name=variant,
            score=_score(answers[variant], table.questions, clusters),
            shrunken=mean + kept * (float(scores[row]) - mean),
            difference=compared[variant].difference,
            low=compared[variant].low,
            high=compared[variant].high,
            p_value=adjusted.get(variant),
        )
        for row, variant in enumerate(table.variants)
    )


def _score(own: Any, questions: Sequence[Any], clusters: Clusters | None) -> ScoreEstimate:
    pairs = [(float(value), name) for name in questions for value in own[name]]
    values = [value for value, _ in pairs]
    share = all(0 <= value <= 1 for value in values)
    return estimate_score(values, [name for _, name in pairs], clusters=clusters, share=share)


def _flips(table: Crossed) -> list[QuestionFlip]:
    """Questions whose ways to ask differ, those furthest apart first."""
    low, high = table.means.argmin(axis=0), table.means.argmax(axis=0)
    found = [
        QuestionFlip(
            question=str(name),
            best=table.variants[high[place]],
            worst=table.variants[low[place]],
            best_score=float(table.means[high[place], place]),
            worst_score=float(table.means[low[place], place]),
        )
        for place, name in enumerate(table.questions)
    ]
    differing = [flip for flip in found if flip.best_score > flip.worst_score]
    return sorted(differing, key=lambda flip: flip.worst_score - flip.best_score)


def _chosen_on_other_half(table: Crossed) -> tuple[float, float]:
    """Scores of the ways that are worst and best in the other half of the questions, clusters kept whole."""
    rng, sums, sizes = random.Random(0), _group_sums(table), [len(own) for own in table.groups]
    total, count = sums.sum(axis=0), len(table.questions)
    worst = best = 0.0
    for _ in range(SPLITS):
        half = rng.sample(range(len(sizes)), len(sizes) // 2)
        own, number = sums[half].sum(axis=0), sum(sizes[place] for place in half)
        for chosen, held_out in ((own, (total - own) / (count - number)), (total - own, own / number)):
            worst += _mean_of_extreme(chosen, held_out)
            best += _mean_of_extreme(-chosen, held_out)
    return worst / (2 * SPLITS), best / (2 * SPLITS)


def _mean_of_extreme(chosen: Table, held_out: Table) -> float:
    """Of the lowest in one half, the score in the other; ways that tie share it."""
    return float(held_out[chosen <= chosen.min() + ROUNDING * len(chosen)].mean())


def _group_sums(table: Crossed) -> Table:
    """Sum of each cluster's questions, shape (clusters, variants)."""
    import numpy as np

    sums: Table = np.stack([table.means[:, own].sum(axis=1) for own in table.groups])
    return sums
