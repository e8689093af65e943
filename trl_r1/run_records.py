"""All records in a pipeline's folder, and which evaluation measured which stage: what table, cards and report read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import RecordError
from trl_r1.stage_record import (
    MERGED_NAME,
    RECORD_NAME,
    Measurement,
    StageRecord,
    check_plausible,
    hash_json,
    read_json_record,
    read_stage_record,
    weight_files,
    write_json,
)
from trl_r1.stage_record.typed_reading import read_typed


PIPELINE_RECORD_NAME = "pipeline.json"
EPISODE_NAME = "episode.json"  # one group of completions with its rewards, in the folder of a GRPO stage
LOSS_NOTE = "The loss is near 0, and that is fine: "  # how the note of a stage on its loss begins
LEAST_SHARE = 0.05  # of the answers that a metric must apply to; the rate of a handful says nothing
SPREAD: Final = "prompt spread"  # beginning of the names of an evaluation's metrics that are no comparison of scores

# What is said around a question, where a record does not say: nothing.
PLAIN_WORDS: Final[dict[str, Any]] = {"instruction": "{problem}", "system_prompt": "", "examples": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """
    What one suite of questions, answered in one mode, said about one checkpoint.

    Args:
        checkpoint, path (`str`):
            Name and folder or Hub id, as the evaluation's recipe gave them.
        weights_sha256 (`str` or `None`):
            Of the weights that were measured; `None` for a Hub id.
        suite, mode (`str`):
            Which questions, and how they were answered (`"sampled"`, `"greedy"`, `"forced_chain"`, ...); where they
            were asked in several ways, with the way's name (`"sampled, polite"`).
        n (`int`):
            Number of answers.
        metrics (`dict[str, Measurement]`):
            By name.
        group_by (`str` or `None`):
            Column the groups come from.
        groups (`dict[str, dict[str, Measurement]]`):
            The same metrics for each value of that column.
        samples (`Path` or `None`):
            File with every answer; see [`~trl_r1.evaluation.sample_files.read_samples`].
        date (`str` or `None`):
            When it was measured: ISO 8601, UTC.
        content (`dict[str, Any]`):
            The record as it was written.
    """

    checkpoint: str
    path: str
    weights_sha256: str | None
    suite: str
    mode: str
    n: int
    metrics: dict[str, Measurement]
    group_by: str | None = None
    groups: dict[str, dict[str, Measurement]] = field(default_factory=dict)
    samples: Path | None = None
    date: str | None = None
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def conditions(self) -> str:
        """What must be alike for two figures to be compared: the questions and how they were answered."""
        asked = self.content.get("data") or {}
        settings = self.content.get("sampling") or {}
        how = {name: value for name, value in settings.items() if name not in ("seed", "batch_size")}
        begun = [self.content.get(name) for name in ("prefill", "prefill_column")]
        words = [self.content.get(name) or plain for name, plain in PLAIN_WORDS.items()]
        return hash_json([self.suite, self.mode, self.n, asked.get("fingerprint"), how, begun, words])

    @property
    def telling_metrics(self) -> dict[str, Measurement]:
        """The metrics that apply to more than a few stray answers: the only ones to show."""
        return {
            name: measured
            for name, measured in self.metrics.items()
            if measured.n is None or measured.n >= LEAST_SHARE * self.n
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedStage:
    """A stage with its folder and what was measured of its weights."""

    name: str
    folder: Path
    record: StageRecord
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def is_checkpoint(self) -> bool:
        """Whether it left weights."""
        return any(weight_files(self.folder))


@dataclass(frozen=True, slots=True, kw_only=True)
class _PipelineStage:
    name: str
    kind: str = ""
    folder: str = ""
    needs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PipelineRecord:
    """`pipeline.json`."""

    pipeline: str = ""
    seed: int | None = None
    license: str | None = None
    title: str | None = None
    questions: int | None = None
    stages: list[_PipelineStage] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """
    The finished stages of a pipeline. Build it with [`RunRecords.read`].

    Args:
        folder (`Path`):
            The pipeline's folder.
        stages (`dict[str, FinishedStage]`):
            In the pipeline's order.
        content (`dict[str, Any]`):
            `pipeline.json`, empty without one.
        measured (`tuple[Evaluation, ...]`):
            Every evaluation, those of models that no stage made included.
    """

    folder: Path
    stages: dict[str, FinishedStage]
    content: dict[str, Any]
    measured: tuple[Evaluation, ...] = ()

    @classmethod
    def read(cls, folder: str | Path) -> RunRecords:
        """
        Read every record below a folder.

        Raises:
            [`RecordError`]: when one is damaged, or there is none.
        """
        folder = Path(folder)
        content = read_pipeline_record(folder)
        records = {path.parent: read_stage_record(path.parent) for path in _record_files(folder)}
        if not records:
            raise RecordError(f"{folder}: no stage has finished there; run the pipeline first")
        for place, record in records.items():
            if record.evaluations:  # whose numbers are shown
                check_plausible(record, place / RECORD_NAME)
        order = [entry.get("name") for entry in content.get("stages", [])]
        evaluations = [
            _read_evaluation(entry, place, record.finished)
            for place, record in records.items()
            for entry in record.evaluations
        ]
        weights = {place: {weights_of(place, record), merged_weights_of(record)} for place, record in records.items()}
        ranked = sorted(records.items(), key=lambda item: (_rank(item[1].stage, order), item[1].started, str(item[0])))
        stages = [
            FinishedStage(
                name=record.stage,
                folder=place,
                record=record,
                evaluations=tuple(
                    item for item in evaluations if item.weights_sha256 and item.weights_sha256 in weights[place]
                ),
            )
            for place, record in ranked
        ]
        return cls(
            folder=folder,
            stages={stage.name: stage for stage in stages},
            content=content,
            measured=tuple(evaluations),
        )

    def evaluations(self) -> Iterator[tuple[FinishedStage, Evaluation]]:
        """Every evaluation of a stage of this pipeline, with the stage."""
        for stage in self.stages.values():
            for evaluation in stage.evaluations:
                yield stage, evaluation

    def before(self, stage: FinishedStage) -> list[Evaluation]:
        """What was measured of the models a stage started from."""
        bases = {parent.weights_sha256 for parent in stage.record.parents if parent.role == "base"} - {None}
        return [evaluation for evaluation in self.measured if evaluation.weights_sha256 in bases]

    @property
    def seconds(self) -> float:
        """Wall time of all stages together, as if they had run one by one."""
        return sum(stage.record.seconds for stage in self.stages.values())


def write_pipeline_record(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `pipeline.json` unless it is there already, word for word."""
    path = folder / PIPELINE_RECORD_NAME
    if not path.is_file() or read_pipeline_record(folder) != content:
        write_json(path, content)


def weights_of(folder: Path, record: StageRecord) -> str | None:
    """
    Hash of the weights a stage recorded.

    The same value as [`~trl_r1.stage_record.hash_weights`] computes from the files, without reading them.
    """
    names = {path.name for path in weight_files(folder)}
    digests = [[item.path, item.sha256] for item in record.artefacts if item.path in names]
    return hash_json(digests) if digests else None


def merged_weights_of(record: StageRecord) -> str | None:
    """Hash of the merged form of an adapter, as it was recorded; `None` without one."""
    inside = ((Path(item.path), item.sha256) for item in record.artefacts)
    digests = sorted([path.name, digest] for path, digest in inside if path.parent == Path(MERGED_NAME))
    return hash_json(digests) if digests else None


def _record_files(folder: Path) -> list[Path]:
    """Records of the pipeline's own stages; what lies in hidden folders was thrown away."""
    found = sorted(folder.rglob(RECORD_NAME))
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def read_pipeline_record(folder: Path) -> dict[str, Any]:
    """
    `pipeline.json` of a pipeline's folder; empty without one.

    Raises:
        [`RecordError`]: when it is damaged.
    """
    path = folder / PIPELINE_RECORD_NAME
    if not path.exists():
        return {}
    fix = "delete it and run the pipeline again"
    content: dict[str, Any] = read_json_record(path, fix=fix)
    try:
        read_typed(_PipelineRecord, content)
    except RecordError as error:
        raise RecordError(f"{path}: {error}; {fix}") from error
    return content


def _rank(stage: str, order: list[Any]) -> int:
    return order.index(stage) if stage in order else len(order)


def _read_evaluation(entry: Mapping[str, Any], folder: Path, date: str) -> Evaluation:
    """One evaluation record."""
    return Evaluation(
        checkpoint=entry["checkpoint"],
        path=entry["path"],
        weights_sha256=entry["weights_sha256"],
        suite=entry["suite"],
        mode=", ".join(name for name in (entry["mode"], entry.get("variant")) if name),
        n=entry["n"],
        metrics=_read_metrics(entry["metrics"]),
        group_by=entry.get("group_by"),
        groups={str(value): _read_metrics(metrics) for value, metrics in (entry.get("groups") or {}).items()},
        samples=folder / entry["samples"] if entry.get("samples") else None,
        date=date,
        content=dict(entry),
    )


def _read_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Measurement]:
    return {name: Measurement(**measured) for name, measured in metrics.items()}
