"""What each stage answers to the same few questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trl_r1.errors import DataError, RecordError
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.run_records import Evaluation, FinishedStage, RunRecords


DEFAULT_QUESTIONS = 6
SHOWN_MODE = "greedy"  # one answer a question and no luck in it
LONGEST_TEXT = 2000  # characters


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One stage's answer to a question.

    Args:
        stage (`str`):
            The stage.
        prefill, text (`str`):
            What was put in its mouth, and what it went on to say.
        verdict (`str` or `None`):
            `"correct"`, `"wrong"`, `"undecidable"`, or `None` where there is nothing to verify.
        reason (`str`):
            Why, in the verifier's words, or the format's defects.
    """

    stage: str
    prefill: str
    text: str
    verdict: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question with every stage's answer."""

    suite: str
    problem: str
    solution: str | None
    answers: list[Answer]


def pick_questions(records: RunRecords, count: int = DEFAULT_QUESTIONS) -> list[AskedQuestion]:
    """
    The same few questions of every suite, as each stage answered them.

    Questions are spread over the groups (difficulties) of the suite; which of a group is decided by its place in the
    file, never by how it was answered.

    Args:
        records ([`~trl_r1.run_records.RunRecords`]):
            The pipeline.
        count (`int`, *optional*, defaults to `6`):
            Questions a suite.

    Raises:
        [`RecordError`]: when a file of answers is gone or damaged.
    """
    asked = []
    for suite in dict.fromkeys(evaluation.suite for _, evaluation in records.evaluations()):
        shown = list(_shown(records, suite))
        rows = {stage.name: _read_samples(evaluation) for stage, evaluation in shown}
        first = next(iter(rows.values()), [])
        for problem in _spread(first, count):
            answers = [answer for name, own in rows.items() for answer in _answers(name, own, problem)]
            solution = next(row.get("solution") for row in first if row["problem"] == problem)
            asked.append(AskedQuestion(suite, problem, None if solution is None else str(solution), answers))
    return asked


def _shown(records: RunRecords, suite: str) -> Iterator[tuple[FinishedStage, Evaluation]]:
    """For each stage the evaluation whose answers are shown: greedy if there is one, else the first."""
    for stage in records.stages.values():
        own = [item for item in stage.evaluations if item.suite == suite and item.samples is not None]
        greedy = [item for item in own if item.mode == SHOWN_MODE]
        if own:
            yield stage, (greedy or own)[0]


def _read_samples(evaluation: Evaluation) -> list[dict[str, Any]]:
    path = evaluation.samples
    if path is None:
        return []
    try:
        return list(read_samples(path))
    except DataError as error:
        raise RecordError(f"{path}: the answers cannot be read ({error}); evaluate again") from error


def _spread(rows: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """Problems taken from the groups in turn."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        problems = groups.setdefault(str(row.get("group")), [])
        if row["problem"] not in problems:
            problems.append(row["problem"])
    queues = list(groups.values())
    picked = [queue[turn] for turn in range(count) for queue in queues if turn < len(queue)][:count]
    return list(dict.fromkeys(picked))


def _answers(stage: str, rows: Sequence[Mapping[str, Any]], problem: str) -> Iterator[Answer]:
    """The first answer of a stage to a problem, if it was asked it."""
    for row in rows:
        if row["problem"] == problem:
            text = str(row["text"])
            shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} … ({len(text)} characters)"
            reason = ", ".join(row.get("defects") or []) or str(row.get("reason") or "")
            yield Answer(stage, str(row.get("prefill") or ""), shown, row.get("verdict"), reason)
            return
