"""Benchmarks to look for: named by Hub id, folder or file, with the columns the well-known ones have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.decontamination.texts import message_text
from trl_r1.data.mixture import RawSource, load_source
from trl_r1.data.prompts import gold_text
from trl_r1.data.rows import check_column
from trl_r1.errors import DataError
from trl_r1.verifiers.answers.extraction import last_box
from trl_r1.verifiers.answers.normalise import clean, plain


if TYPE_CHECKING:
    from datasets import Dataset

QUESTION_COLUMNS: Final = ("problem", "question", "Problem", "Question", "prompt", "input", "query", "text")
ANSWER_COLUMNS: Final = ("answer", "Answer", "solution", "target", "Correct Answer")
MAX_ANSWER_CHARS: Final = 100  # a longer one is a derivation, which two authors never write alike
_PARTS: Final = ("path", "config", "split", "question_column", "answer_column")
_FILES: Final = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSpec:
    """
    Where a benchmark's questions are. What is `None` is what [`KNOWN`] says, or else found out.

    Args:
        path (`str`):
            Hub id, folder or file of rows.
        config (`str`, *optional*):
            Configuration of the data set.
        split (`str`, *optional*):
            By default `"test"`; of a file, all rows.
        question_column, answer_column (`str`, *optional*):
            By default the first of the usual names that is there.
    """

    path: str
    config: str | None = None
    split: str | None = None
    question_column: str | None = None
    answer_column: str | None = None

    @classmethod
    def parse(cls, text: str) -> BenchmarkSpec:
        """
        Read `path:config:split:question_column:answer_column`, of which all but the path may be left out or empty.

        Raises:
            [`DataError`]: when there is no path, or there are too many parts.
        """
        parts = [part.strip() for part in text.split(":")]
        if not parts[0] or len(parts) > len(_PARTS):
            raise DataError(
                f"benchmarks: {text!r} cannot be read; write {':'.join(_PARTS)}, all but the path optional"
            )
        given = cls(**{name: part for name, part in zip(_PARTS, parts, strict=False) if part})
        known = KNOWN.get(given.path, given)
        return cls(**{name: getattr(given, name) or getattr(known, name) for name in _PARTS})

    @property
    def name(self) -> str:
        """Path and configuration, by which reports call it."""
        return f"{self.path} ({self.config})" if self.config else self.path


def _known(
    path: str, split: str, question: str, answer: str | None = None, config: str | None = None
) -> BenchmarkSpec:
    return BenchmarkSpec(path=path, config=config, split=split, question_column=question, answer_column=answer)


# Where they differ from the usual: a benchmark whose questions are called "train", or whose columns have other names.
KNOWN: Final[Mapping[str, BenchmarkSpec]] = {
    spec.path: spec
    for spec in (
        _known("HuggingFaceH4/MATH-500", "test", "problem", "answer"),
        _known("HuggingFaceH4/aime_2024", "train", "problem", "answer"),
        _known("Maxwell-Jia/AIME_2024", "train", "Problem", "Answer"),
        _known("yentinglin/aime_2025", "train", "problem", "answer"),
        _known("math-ai/aime25", "test", "problem", "answer"),
        _known("openai/gsm8k", "test", "question", "answer", "main"),
        _known("Idavidrein/gpqa", "train", "Question", "Correct Answer", "gpqa_diamond"),
        _known("openai/openai_humaneval", "test", "prompt"),
        _known("TIGER-Lab/MMLU-Pro", "test", "question", "answer"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of a benchmark."""

    text: str
    answer: str | None = None  # in one spelling, where it is short


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """
    A benchmark's questions.

    Args:
        name (`str`):
            What reports call it.
        questions (`tuple[Question, ...]`):
            In the order of its rows, those without a text left out.
    """

    name: str
    questions: tuple[Question, ...]

    @classmethod
    def from_texts(cls, name: str, texts: Iterable[str], answers: Iterable[Any] | None = None) -> Benchmark:
        """From questions in memory, with their answers in the same order."""
        listed = list(texts)
        golds = list(answers) if answers is not None else [None] * len(listed)
        pairs = zip(listed, golds, strict=True)
        return cls(name=name, questions=tuple(Question(text=text, answer=answer_key(gold)) for text, gold in pairs))


def load_benchmarks(names: Iterable[str]) -> list[Benchmark]:
    """
    Read benchmarks.

    Args:
        names (`Iterable[str]`):
            Each `path:config:split:question_column:answer_column`, as [`BenchmarkSpec.parse`] reads it.

    Raises:
        [`DataError`]: when one cannot be read, lacks a column or has no question.
    """
    return [load_benchmark(BenchmarkSpec.parse(name)) for name in names]


def load_benchmark(spec: BenchmarkSpec) -> Benchmark:
    """
    Read one benchmark.

    Raises:
        [`DataError`]: when it cannot be read, lacks a column or has no question.
    """
    dataset = _read(spec).dataset
    column = spec.question_column or _first(QUESTION_COLUMNS, dataset)
    check_column(dataset, column or QUESTION_COLUMNS[0], "benchmarks", spec.name)
    answers = spec.answer_column or _first(ANSWER_COLUMNS, dataset)
    if answers:
        check_column(dataset, answers, "benchmarks", spec.name)
    found = ((question_text(row[column]), row.get(answers) if answers else None) for row in dataset)
    asked = [(text, answer) for text, answer in found if text.strip()]
    if not asked:
        raise DataError(f"benchmarks: column {column!r} of {spec.name!r} holds no text; name the questions' column")
    return Benchmark.from_texts(spec.name, [text for text, _ in asked], [answer for _, answer in asked])


def question_text(value: Any) -> str:
    """A question as text: what it is, or what the user says in a chat."""
    if isinstance(value, list):
        return "\n".join(
            message_text(turn)
            for turn in value
            if isinstance(turn, Mapping) and (turn.get("role") or turn.get("from")) in ("user", "human")
        )
    return value if isinstance(value, str) else ""


def answer_key(value: Any) -> str | None:
    r"""
    An answer in one spelling, to tell whether two are the same: what a solution boxes or writes after `####`.

    Returns:
        `str` or `None`: `None` for no answer, or one too long to be compared.
    """
    text = gold_text(value)
    if text is None:
        return None
    text = text.rpartition("####")[2] if "####" in text else last_box(text) or text
    text = text.strip()
    return plain(clean(text)).casefold() if 0 < len(text) <= MAX_ANSWER_CHARS else None


def _read(spec: BenchmarkSpec) -> RawSource:
    kind = _FILES.get(Path(spec.path).suffix)
    try:
        if kind and Path(spec.path).is_file():
            return load_source(kind, spec.split or "train", data_files=spec.path)
        options = {"name": spec.config} if spec.config else {}
        return load_source(spec.path, spec.split or "test", **options)
    except DataError as error:
        raise DataError(f"benchmarks: {spec.name!r}: {error}; name its split as path:config:split") from error


def _first(names: Iterable[str], dataset: Dataset) -> str | None:
    return next((name for name in names if name in dataset.column_names), None)
