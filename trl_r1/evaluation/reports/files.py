"""The reports that `trl-r1 evaluate` leaves beside its record."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from trl_r1.evaluation.reports.parts import difference_table, part_tables, read_parts
from trl_r1.evaluation.reports.pictures import SCORE, draw_heat_map, draw_score_against_tokens
from trl_r1.evaluation.reports.results import Result, read_results, result_tables, to_csv, to_json
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.generation.jobs.files import whole_file
from trl_r1.recipe.suite_checks import file_name_of
from trl_r1.stage_record import Measurement


STEM: Final = "evaluation"
PICTURES: Final = {"tokens": "score against tokens", "questions": "who gets which question right"}

logger = logging.getLogger(__name__)


def write_reports(
    evaluations: Sequence[Mapping[str, Any]],
    folder: str | Path,
    differences: Mapping[str, Measurement] | None = None,
) -> list[Path]:
    """
    Write `evaluation.md`, `.csv` and `.json`, and for each suite two pictures where matplotlib is installed.

    Args:
        evaluations (`Sequence[Mapping[str, Any]]`):
            `StageRecord.evaluations`.
        folder (`str` or `Path`):
            Where their answers are, and the reports go.
        differences (`Mapping[str, Measurement]`, *optional*):
            Comparisons, by what was compared in words: a table of `evaluation.md`.

    Returns:
        `list[Path]`: what was written.

    Raises:
        [`DataError`]: when a file of answers cannot be read.
    """
    folder, results = Path(folder), read_results(evaluations)
    if not results:
        return []
    parts = read_parts(evaluations)
    tables = [*result_tables(results), *([difference_table(differences)] if differences else []), *part_tables(parts)]
    texts = {
        ".md": "\n".join(table.to_markdown() for table in tables),
        ".csv": to_csv([*results, *parts]),
        ".json": to_json([*results, *parts]),
    }
    contents = {f"{STEM}{ending}": text.encode("utf-8") for ending, text in texts.items()}
    if find_spec("matplotlib") is None:
        logger.warning("no pictures of the evaluation: matplotlib is missing; pip install trl_r1[report]")
    else:
        contents.update(_pictures(evaluations, results, folder))
    for name, content in contents.items():
        with whole_file(folder / name) as partial:
            partial.write_bytes(content)
    return [folder / name for name in contents]


def picture_files(evaluations: Sequence[Mapping[str, Any]], folder: str | Path) -> Iterator[tuple[str, Path]]:
    """
    The pictures that [`write_reports`] left.

    Args:
        evaluations (`Sequence[Mapping[str, Any]]`):
            `StageRecord.evaluations`.
        folder (`str` or `Path`):
            Where they are.

    Returns:
        `Iterator[tuple[str, Path]]`: what each shows, and the file; only those that are there.
    """
    for suite in dict.fromkeys(str(record["suite"]) for record in evaluations):
        for kind, shows in PICTURES.items():
            path = Path(folder) / _picture_name(suite, kind)
            if path.is_file():
                yield f"{suite}: {shows}", path


def question_rates(
    evaluations: Sequence[Mapping[str, Any]], folder: str | Path, suite: str
) -> dict[str, dict[str, float]]:
    """
    Share of right answers of each question.

    Args:
        evaluations (`Sequence[Mapping[str, Any]]`):
            `StageRecord.evaluations`.
        folder (`str` or `Path`):
            Where their answers are.
        suite (`str`):
            Of which suite.

    Returns:
        `dict[str, dict[str, float]]`: from checkpoint, mode and way to ask, in words, to question to share. Questions
        without a decided answer are absent.
    """
    rates = {}
    for record in evaluations:
        if record["suite"] == suite and record.get("samples"):
            label = " / ".join(part for part in (record["checkpoint"], record["mode"], record.get("variant")) if part)
            rates[label] = _rates(Path(folder) / record["samples"])
    return {label: own for label, own in rates.items() if own}


def _rates(path: Path) -> dict[str, float]:
    right: dict[str, list[float]] = {}
    for row in read_samples(path):
        value = row["metrics"].get(SCORE)
        if value is not None:
            name = row.get("question_id")
            right.setdefault(str(row["question"]) if name is None else name, []).append(float(value))
    return {question: sum(values) / len(values) for question, values in right.items()}


def _pictures(
    evaluations: Sequence[Mapping[str, Any]], results: Sequence[Result], folder: Path
) -> Iterator[tuple[str, bytes]]:
    for suite in dict.fromkeys(each.suite for each in results):
        drawn = {
            "tokens": draw_score_against_tokens(results, suite),
            "questions": draw_heat_map(question_rates(evaluations, folder, suite), f"{suite}: who gets what right"),
        }
        for kind, picture in drawn.items():
            if picture is not None:
                yield _picture_name(suite, kind), picture


def _picture_name(suite: str, kind: str) -> str:
    return f"{STEM}-{file_name_of(suite)[:100]}-{kind}.png"
