"""The prompt sensitivity of every checkpoint, suite and mode that a record holds several ways to ask of."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from trl_r1.evaluation.prompt_sensitivity.comparison import SensitivityComparison, compare_sensitivity
from trl_r1.evaluation.prompt_sensitivity.estimation import PromptSensitivity, measure_sensitivity
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.evaluation.uncertainty import cluster_count


METRIC: Final = "accuracy"
_LONGEST: Final = 4_000  # letters of an answer that is shown
_TOO_FEW: Final = "fewer than two independent questions have a judged answer in every way to ask"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AskedInManyWays:
    """
    The answers of a checkpoint to a suite in one mode, by way to ask.

    Args:
        checkpoint, suite, mode (`str`):
            As in records.
        records (`dict[str, Mapping]`):
            From way to ask to its record.
        folder (`Path`):
            Where the answers are.
    """

    checkpoint: str
    suite: str
    mode: str
    records: dict[str, Mapping[str, Any]]
    folder: Path

    @cached_property
    def answers(self) -> dict[str, dict[str, list[float]]]:
        """From way to ask to question to whether each answer is right, of those that could be judged."""
        found: dict[str, dict[str, list[float]]] = {}
        for variant in self.records:
            own = found.setdefault(variant, {})
            for row in self._rows(variant):
                values = own.setdefault(question_of(row), [])
                if row["metrics"].get(METRIC) is not None:
                    values.append(float(row["metrics"][METRIC]))
        return found

    @cached_property
    def clusters(self) -> dict[str, Hashable] | None:
        """From question to its cluster; `None` where the files name none."""
        rows = self._rows(next(iter(self.records)))
        found = {question_of(row): row["cluster"] for row in rows if row.get("cluster") is not None}
        return found or None

    @cached_property
    def answered(self) -> set[str]:
        """Questions with a judged answer in every way to ask."""
        return set.intersection(*({name for name, own in each.items() if own} for each in self.answers.values()))

    @property
    def can_be_measured(self) -> bool:
        """Whether there is a spread of these: two independent questions at least."""
        return cluster_count(sorted(self.answered), self.clusters) > 1

    @cached_property
    def sensitivity(self) -> PromptSensitivity:
        """The spread, where it can be measured."""
        return measure_sensitivity(self.answers, clusters=self.clusters)

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.checkpoint}, {self.suite}, {self.mode}"

    def exhibit(self) -> dict[str, Any] | None:
        """
        A question that the worst way to ask loses: what was said around it, and a right and a wrong answer.

        Returns:
            `dict[str, Any]` or `None`: `None` where the worst way loses none that the best one wins.
        """
        found = self.sensitivity
        right, wrong = self.answers[found.best], self.answers[found.worst]
        lost = {name: _mean(right[name]) - _mean(wrong[name]) for name in right if right[name] and wrong.get(name)}
        question = max(lost, key=lambda name: lost[name], default=None)
        if question is None or lost[question] <= 0:
            return None
        shown = {
            "right": self._answer(found.best, question, correct=True),
            "wrong": self._answer(found.worst, question, correct=False),
        }
        row = shown["right"]
        return {
            "question": question,
            "problem": row["problem"],
            "solution": row["solution"],
            **{
                side: {
                    "variant": variant,
                    "score": _mean(answers[question]),
                    "words": words_of(self.records[variant]),
                    "answer": (shown[side]["text"] or "")[:_LONGEST],
                }
                for side, variant, answers in (("right", found.best, right), ("wrong", found.worst, wrong))
            },
        }

    def _answer(self, variant: str, question: str, *, correct: bool) -> dict[str, Any]:
        """The first right, or wrong, answer; there is one, or the question would not have been chosen."""
        rows = (row for row in self._rows(variant) if question_of(row) == question)
        return next(
            row
            for row in rows
            if (value := row["metrics"].get(METRIC)) is not None
            and (float(value) > 0 if correct else float(value) < 1)
        )

    def _rows(self, variant: str) -> Iterator[dict[str, Any]]:
        return read_samples(self.folder / self.records[variant]["samples"])


def asked_in_many_ways(evaluations: Sequence[Mapping[str, Any]], folder: str | Path) -> list[AskedInManyWays]:
    """
    What of an evaluation says something of prompt sensitivity.

    Args:
        evaluations (`Sequence[Mapping[str, Any]]`):
            `StageRecord.evaluations`.
        folder (`str` or `Path`):
            Where their answers are.

    Returns:
        `list[AskedInManyWays]`: one a checkpoint, suite and mode with two ways to ask or more, and enough questions.

    Raises:
        [`DataError`]: when a file of answers cannot be read.
    """
    found: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for record in evaluations:
        if record.get("variant") and METRIC in record["metrics"]:
            key = (record["checkpoint"], record["suite"], record["mode"])
            found.setdefault(key, {})[record["variant"]] = record
    groups = [
        AskedInManyWays(checkpoint=key[0], suite=key[1], mode=key[2], records=records, folder=Path(folder))
        for key, records in found.items()
        if len(records) > 1
    ]
    for group in groups:
        if not group.can_be_measured:
            logger.warning("no prompt spread of %s: %s", group.label, _TOO_FEW)
    return [group for group in groups if group.can_be_measured]


def compare_with_first(
    groups: Sequence[AskedInManyWays],
) -> list[tuple[AskedInManyWays, AskedInManyWays, SensitivityComparison]]:
    """The first checkpoint's spread with that of each other one, suite by suite and mode by mode, if asked alike."""
    firsts: dict[tuple[str, str], AskedInManyWays] = {}
    compared = []
    for group in groups:
        first = firsts.setdefault((group.suite, group.mode), group)
        if first is not group and _comparable(first, group):
            found = compare_sensitivity(first.answers, group.answers, clusters=first.clusters)
            compared.append((first, group, found))
    return compared


def _comparable(first: AskedInManyWays, second: AskedInManyWays) -> bool:
    """Whether both were asked in the same words, and have questions in common."""
    if _words(first) != _words(second):
        return False
    if cluster_count(sorted(first.answered & second.answered), first.clusters) > 1:
        return True
    logger.warning("no difference of prompt spreads, %s and %s: %s of both", first.label, second.label, _TOO_FEW)
    return False


def _words(group: AskedInManyWays) -> dict[str, dict[str, Any]]:
    return {variant: words_of(record) for variant, record in group.records.items()}


def question_of(row: Mapping[str, Any]) -> str:
    """The name of an answer's question: its own, or its number in older files."""
    return str(row["question"] if row.get("question_id") is None else row["question_id"])


def words_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is said around a question, of a record."""
    return {name: record[name] for name in ("instruction", "system_prompt", "examples") if record.get(name)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
