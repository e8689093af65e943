"""Measured results in the two forms the Hub reads: `.eval_results/*.yaml` for its benchmarks, else the card's header.

A benchmark is a suite whose questions are a data set of the Hub, and its result is the accuracy. Every other figure
goes into the header's `model-index`, whose names are free. No figure stands in both.

The form is that of https://huggingface.co/docs/hub/eval-results: each variant of a benchmark in a file of its own, and
the value on the scale of the benchmark's leaderboard, which for accuracies is percent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trl_r1.errors import RecordError
from trl_r1.hub.cards.markdown import one_line
from trl_r1.hub.cards.text import write_whole
from trl_r1.run_records import Evaluation
from trl_r1.stage_record import Measurement, hash_json


if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry

RESULTS_FOLDER: Final = ".eval_results"
RESULTS_MARK: Final = "# written by trl_r1 from a record\n"  # tells ours from those that others sent to a repository
BENCHMARK_METRIC: Final = "accuracy"
PERCENT_DIGITS: Final = 2
_SAMPLING: Final = {  # field of the record -> how it is said
    "temperature": "temperature {}",
    "top_p": "top_p {}",
    "num_samples": "{} a question",
    "max_new_tokens": "at most {} new tokens",
    "seed": "seed {}",
}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set of the Hub that was asked: its id, its commit, and what it calls the task."""

    dataset: str
    revision: str
    task: str


def benchmark_entries(evaluations: Sequence[Evaluation]) -> dict[str, list[EvalResultEntry]]:
    """
    The accuracies on data sets of the Hub.

    Args:
        evaluations (`Sequence[Evaluation]`):
            What was measured of a checkpoint.

    Returns:
        `dict[str, list[EvalResultEntry]]`: by file name; one file and entry for each suite and mode.

    Raises:
        [`RecordError`]: when a record names a data set that cannot be one.
    """
    from huggingface_hub import EvalResultEntry

    names = _file_names({_variant(each) for each in evaluations})
    files: dict[str, list[EvalResultEntry]] = {}
    for each in evaluations:
        benchmark = benchmark_of(each)
        measured = each.telling_metrics.get(BENCHMARK_METRIC)
        if benchmark is None or measured is None:
            continue
        entry = EvalResultEntry(
            dataset_id=benchmark.dataset,
            task_id=benchmark.task,
            dataset_revision=benchmark.revision,
            value=round(100 * measured.value, PERCENT_DIGITS),
            date=each.date,
            notes=_notes(each, measured),
        )
        files.setdefault(names[_variant(each)], []).append(entry)
    return files


def index_results(evaluations: Sequence[Evaluation]) -> list[EvalResult]:
    """All figures that [`benchmark_entries`] leaves, for the card's `model-index`."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_name=one_line(each.suite),
            dataset_type=benchmark.dataset if (benchmark := benchmark_of(each)) else one_line(each.suite),
            metric_type=one_line(name),
            metric_name=one_line(f"{name} ({each.mode})"),
            metric_value=measured.value,
            metric_args={"n": measured.n, "low": measured.low, "high": measured.high},
        )
        for each in evaluations
        for name, measured in each.telling_metrics.items()
        if not (name == BENCHMARK_METRIC and benchmark_of(each))
    ]


def write_benchmark_files(folder: Path, files: Mapping[str, Sequence[EvalResultEntry]]) -> list[Path]:
    """
    Write `.eval_results/*.yaml` beside a card and remove those that no record backs.

    Args:
        folder (`Path`):
            Of the checkpoint.
        files (`Mapping[str, Sequence[EvalResultEntry]]`):
            From [`benchmark_entries`].

    Returns:
        `list[Path]`: what was written.
    """
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    place = folder / RESULTS_FOLDER
    written = []
    for name, entries in files.items():
        place.mkdir(exist_ok=True)
        content = eval_result_entries_to_yaml(list(entries))
        text = RESULTS_MARK + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_whole(place / name, text)
        written.append(place / name)
    for path in {*place.glob("*.yaml"), *place.glob(".*.partial")} - {*written}:  # a build that was killed, too
        path.unlink()
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()
    return written


def benchmark_of(evaluation: Evaluation) -> Benchmark | None:
    """
    The data set of the Hub a suite asked; `None` for local questions, which have no commit.

    Raises:
        [`RecordError`]: when what the record names cannot be one.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    data = evaluation.content.get("data") or {}
    if data.get("revision") is None:
        return None
    source, revision = data.get("source"), data["revision"]
    task = evaluation.content.get("task_id") or "default"
    if not (isinstance(source, str) and isinstance(revision, str) and isinstance(task, str)):
        found = f"{source!r} at {revision!r}, task {task!r}"
        raise RecordError(f"evaluation of {evaluation.suite!r}: data {found} is no benchmark; evaluate again")
    benchmark = Benchmark(source, revision, task)
    try:
        validate_repo_id(benchmark.dataset)
    except HFValidationError as error:
        raise RecordError(f"evaluation of {evaluation.suite!r}: {benchmark.dataset!r} is no Hub id") from error
    return benchmark


def describe_sampling(evaluation: Evaluation) -> str:
    """How a suite was answered, in words."""
    settings = evaluation.content.get("sampling") or {}
    words = [form.format(settings[name]) for name, form in _SAMPLING.items() if settings.get(name) is not None]
    return one_line(", ".join(words))


def _notes(evaluation: Evaluation, measured: Measurement) -> str:
    words = [evaluation.mode, describe_sampling(evaluation), f"n {measured.n}" if measured.n is not None else ""]
    if measured.low is not None and measured.high is not None:
        words.append(
            f"95 % interval {100 * measured.low:.{PERCENT_DIGITS}f} to {100 * measured.high:.{PERCENT_DIGITS}f}"
        )
    return one_line("; ".join(word for word in words if word))


def _variant(evaluation: Evaluation) -> str:
    return f"{evaluation.suite} {evaluation.mode}"


def _file_names(variants: set[str]) -> dict[str, str]:
    """A file name for each, no two alike."""
    stems = {variant: re.sub(r"[^A-Za-z0-9_-]+", "-", variant).strip("-")[:80] for variant in variants}
    return {variant: f"{_unique(variant, stem, stems.values())}.yaml" for variant, stem in stems.items()}


def _unique(variant: str, stem: str, all_stems: Iterable[str]) -> str:
    alike = [each for each in all_stems if each.casefold() == stem.casefold()]
    return stem if stem and len(alike) == 1 else f"{stem}-{hash_json(variant)[:8]}".lstrip("-")
