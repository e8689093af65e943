"""Does one policy hang less on the words around the question than another?"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from trl_r1.errors import R1Error
from trl_r1.evaluation.prompt_sensitivity.crossed import AnswersByVariant, Crossed
from trl_r1.evaluation.prompt_sensitivity.spread import estimate_spread
from trl_r1.evaluation.uncertainty import Clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityComparison:
    """
    Spreads of two policies over the same ways to ask and the same questions.

    Args:
        first, second (`float`):
            Their spreads.
        difference (`float`):
            `second - first`: below 0 where the second hangs less on the words.
        low, high (`float`):
            95 % interval of the difference for these very ways, and other questions and samples.
        num_variants, num_questions, num_clusters (`int`):
            Ways to ask, questions, and groups of them that are independent of one another.
        left_out (`int`):
            Questions without an answer in some way to ask of either, which are in no number here.
        method (`str`):
            Kind of the interval.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    num_variants: int
    num_questions: int
    num_clusters: int
    left_out: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """As files keep it."""
        return dataclasses.asdict(self)


def compare_sensitivity(
    first: AnswersByVariant, second: AnswersByVariant, *, clusters: Clusters | None = None
) -> SensitivityComparison:
    """
    Compare how much the scores of two policies hang on the way to ask.

    How hard a question is drops out of each spread, so the two are all but independent though the questions are the
    same. The interval is put together from those of both (Zou and Donner's method of variance estimates recovery),
    which keeps their skewness: a spread near 0 is bounded from below.

    Args:
        first, second (`Mapping[str, Mapping[Hashable, Sequence[float]]]`):
            Answers as [`measure_sensitivity`] takes them, in the same ways to ask.
        clusters (`Mapping`, *optional*):
            From question to its cluster.

    Returns:
        [`SensitivityComparison`]

    Raises:
        [`R1Error`]: when the ways to ask differ, or as [`measure_sensitivity`] of the questions that both answered.
    """
    if first.keys() != second.keys():
        apart = ", ".join(sorted(map(repr, first.keys() ^ second.keys())))
        raise R1Error(f"variants: {apart} are not in both; compare answers to the same ways to ask")
    known = {name for answers in (first, second) for own in answers.values() for name in own}
    shared = known.intersection(*(own.keys() for answers in (first, second) for own in answers.values()))
    tables = [
        Crossed.from_answers(
            {variant: {name: own[name] for name in own if name in shared} for variant, own in answers.items()},
            clusters,
        )
        for answers in (first, second)
    ]
    before, after = (estimate_spread(table, table.noise()) for table in tables)
    difference = after.spread_sd - before.spread_sd
    return SensitivityComparison(
        first=before.spread_sd,
        second=after.spread_sd,
        difference=difference,
        low=difference - math.hypot(after.spread_sd - after.low, before.high - before.spread_sd),
        high=difference + math.hypot(after.high - after.spread_sd, before.spread_sd - before.low),
        num_variants=len(first),
        num_questions=len(tables[0].questions),
        num_clusters=len(tables[0].groups),
        left_out=len(known) - len(tables[0].questions),
        method=f"recovered from both intervals ({after.method})",
    )
