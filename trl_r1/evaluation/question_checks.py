"""What makes a suite's questions none that can be asked: told before any of them is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trl_r1.data.judging import JUDGE, route_of
from trl_r1.errors import DataError
from trl_r1.evaluation.suites import EvaluationSuite
from trl_r1.evaluation.votes import has_votes
from trl_r1.rewards.sandboxed import is_missing
from trl_r1.verifiers.repair_task import RepairTask


logger = logging.getLogger(__name__)

_JUDGED_BY: Final = {
    "auto": "columns such as solution, tests, choices, entry, instructions",
    "repair": "repair_task",
    "math": "the solution column",
}


def check_rows(rows: Sequence[Mapping[str, Any]], suite: EvaluationSuite) -> None:
    """
    Refuse questions of which no score could be made.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            The questions.
        suite ([`EvaluationSuite`]):
            What is wanted of them.

    Raises:
        [`DataError`]: when they need a judge that an evaluation has not, cannot be voted on, have no cluster, have
            nothing that decides, or hold a task that cannot be read.
    """
    _check_judges(rows, suite)
    _check_votes(rows, suite)
    _check_clusters(rows, suite)
    _check_decidable(rows, suite)
    _check_tasks(rows, suite)


def _check_judges(rows: Sequence[Mapping[str, Any]], suite: EvaluationSuite) -> None:
    if suite.verifier != "auto":
        return
    number = sum(route_of(row) == JUDGE for row in rows)
    if number:
        raise DataError(
            f"suites.{suite.name}: {number} of {len(rows)} questions have the reward_type {JUDGE!r}, and an "
            "evaluation has no model that judges; leave them out, or name a verifier other than auto"
        )


def _check_votes(rows: Sequence[Mapping[str, Any]], suite: EvaluationSuite) -> None:
    number = sum(not has_votes(row, suite.verifier) for row in rows) if suite.cons_at else 0
    if number:
        raise DataError(
            f"suites.{suite.name}.cons_at: the answers to {number} of {len(rows)} questions are programs or texts, of "
            "which no two need be the same, so that there is no majority; leave cons_at out, or ask other questions"
        )


def _check_clusters(rows: Sequence[Mapping[str, Any]], suite: EvaluationSuite) -> None:
    if not suite.cluster_by:
        return
    values = [row[suite.cluster_by] for row in rows]
    odd = [value for value in values if not isinstance(value, (str, int, float))]
    if odd:
        shown = "no value" if odd[0] is None else repr(odd[0])[:60]
        raise DataError(
            f"suites.{suite.name}.cluster_by: {len(odd)} of {len(values)} questions have {shown} in "
            f"{suite.cluster_by!r}; give text or a number, one of its own to a question that is alone"
        )


def _check_decidable(rows: Sequence[Mapping[str, Any]], suite: EvaluationSuite) -> None:
    """Refuse a suite whose answers nobody could judge, where a verdict is wanted; say where some have none."""
    judged = {"auto": route_of, "repair": lambda row: row.get("repair_task"), "math": lambda row: row.get("solution")}
    number = sum(judged[suite.verifier](row) is None for row in rows)
    wanted = "accuracy" in suite.metrics or suite.pass_at or suite.cons_at or suite.verifier == "repair"
    if wanted and number == len(rows):
        raise DataError(
            f"suites.{suite.name}: none of the {number} questions has what verifier {suite.verifier!r} judges by "
            f"({_JUDGED_BY[suite.verifier]}); name another verifier, or leave accuracy, pass_at and cons_at out"
        )
    if number and (wanted or not suite.metrics):
        logger.warning("%s: %d of %d questions have nothing to judge by", suite.name, number, len(rows))


def _check_tasks(rows: Sequence[Mapping[str, Any]], suite: EvaluationSuite) -> None:
    """Read every repair task now: one that cannot be read would end the evaluation when all is drawn."""
    for number, row in enumerate(rows):
        if not is_missing(row.get("repair_task")):
            try:
                RepairTask.from_row(row["repair_task"])
            except DataError as error:
                raise DataError(f"suites.{suite.name}: question {number}: {error}; mend or drop the row") from error
