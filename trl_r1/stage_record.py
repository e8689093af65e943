"""`stage.json`: what a finished stage leaves behind, and all that reports ever read.

The file is written last and atomically, so a folder that has one is whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_r1.errors import RecordError


SCHEMA_VERSION = 1
RECORD_NAME = "stage.json"
DATA_SUFFIXES = (".jsonl", ".parquet", ".csv")  # files of rows, as `datasets` reads them
RECORDED_PACKAGES = ("trl_r1", "trl", "transformers", "torch", "accelerate", "datasets", "peft", "huggingface_hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measured number. Rates carry the number of trials and a 95 % interval."""

    value: float
    n: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A checkpoint this stage started from or used."""

    name_or_path: str
    role: str  # "base", "reference", "reward_model", "teacher", "evaluated"
    revision: str | None = None  # of a Hub id: the commit, where it is known
    weights_sha256: str | None = None  # of its weight files; None for a Hub id that is not in the cache
    stage: str | None = None  # name in the parent's own stage.json
    license: str | None = None  # as its card says
    languages: list[str] = field(default_factory=list)  # as its card says: codes such as "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """A dataset a stage read, with what was dropped from it and why."""

    source: str
    split: str
    fingerprint: str
    rows_in: int
    rows_kept: int
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> rows
    languages: list[str] = field(default_factory=list)  # codes in its `language` column, most frequent first
    license: str | None = None  # of a Hub data set, as its card says


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardUse:
    """A reward function as it was used."""

    name: str
    weight: float
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A file the stage wrote, relative to its folder."""

    path: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContaminationCheck:
    """How much of a benchmark was found in what the stage trained on, by one method."""

    benchmark: str  # Hub id or path
    method: str  # for example "10-grams"
    rows_checked: int  # of the training data
    questions: int  # of the benchmark
    hits: int  # questions of the benchmark that were found
    removed: int = 0  # rows of the training data dropped for it
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """
    One finished stage.

    Args:
        stage (`str`):
            Name of the stage, for example `"r1_zero"`.
        kind (`str`):
            What ran: `"grpo"`, `"sft"`, `"reward_model"`, `"rejection_sample"`, `"evaluate"` or `"script"`.
        started, finished (`str`):
            ISO 8601, UTC.
        seconds, cpu_seconds (`float`):
            Wall time, and CPU time of the main process; of a resumed training, those before it included.
        command (`list[str]`):
            Command line that reproduces the stage.
        config (`dict[str, Any]`):
            Resolved configuration: every value that differs from the defaults, after presets.
        config_sha256 (`str`):
            Hash of that configuration.
        metrics (`dict[str, Measurement]`):
            Final training metrics and counts.
        evaluations (`list[dict[str, Any]]`):
            Evaluation records (see `trl_r1.evaluation`).
        history (`list[dict[str, float]]`):
            Training curve: what the trainer logged, with `step`.
        contamination (`list[ContaminationCheck]`):
            What was looked for in the training data, and found.
    """

    stage: str
    kind: str
    started: str
    finished: str
    seconds: float
    cpu_seconds: float
    command: list[str]
    config: dict[str, Any]
    config_sha256: str
    parents: list[Parent] = field(default_factory=list)
    data: list[DataSource] = field(default_factory=list)
    rewards: list[RewardUse] = field(default_factory=list)
    template: dict[str, str] = field(default_factory=dict)  # name -> sha256
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Measurement] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    artefacts: list[Artefact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contamination: list[ContaminationCheck] = field(default_factory=list)
    fingerprint: str | None = None  # set by the pipeline runner: what must not change for the stage to stay finished
    schema_version: int = SCHEMA_VERSION


_NESTED = {
    "parents": Parent,
    "data": DataSource,
    "rewards": RewardUse,
    "artefacts": Artefact,
    "contamination": ContaminationCheck,
}


def write_stage_record(folder: str | Path, record: StageRecord) -> Path:
    """Write `stage.json` into `folder`, atomically and durably. Returns its path."""
    path = Path(folder) / RECORD_NAME
    write_json(path, dataclasses.asdict(record))
    return path


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False, default=str)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def has_stage_record(folder: str | Path) -> bool:
    """Whether `folder` holds a finished stage."""
    return (Path(folder) / RECORD_NAME).is_file()


def read_stage_record(folder: str | Path) -> StageRecord:
    """
    Read the record of a finished stage.

    Raises:
        [`RecordError`]: when it is missing, no valid JSON, of another schema version, or lacks or adds a field.
    """
    path = Path(folder) / RECORD_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordError(f"{path}: no such record; the stage has not finished, run it first") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: not valid JSON ({error}); delete the folder and run the stage again") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version") if isinstance(content, dict) else content
        raise RecordError(f"{path}: schema_version is {found!r}, this trl_r1 reads {SCHEMA_VERSION}")
    try:
        for name, kind in _NESTED.items():
            content[name] = [kind(**item) for item in content.get(name, [])]
        content["metrics"] = {key: Measurement(**value) for key, value in content.get("metrics", {}).items()}
        return StageRecord(**content)
    except (TypeError, AttributeError) as error:
        raise RecordError(f"{path}: damaged record ({error}); run the stage again") from error


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_json(content: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def weight_files(folder: str | Path) -> Iterator[Path]:
    """Weight files of a checkpoint folder, in name order. `training_args.bin`, the Trainer's, holds no weights."""
    files = sorted(path for path in Path(folder).glob("*") if path.suffix in {".safetensors", ".bin"})
    yield from (path for path in files if path.name != "training_args.bin")


def hash_weights(folder: str | Path) -> str | None:
    """One hash over all weight files of a local checkpoint; `None` when `folder` holds none (a Hub id, say)."""
    digests = [(path.name, hash_file(path)) for path in weight_files(folder)]
    return hash_json(digests) if digests else None


def describe_parent(name_or_path: str, role: str, revision: str | None = None) -> Parent:
    """A [`Parent`] with all that its folder tells."""
    stage = read_stage_record(name_or_path).stage if has_stage_record(name_or_path) else None
    return Parent(
        name_or_path=name_or_path, role=role, revision=revision, weights_sha256=hash_weights(name_or_path), stage=stage
    )


def describe_artefacts(folder: str | Path) -> list[Artefact]:
    """Every file directly in a stage's folder, but for the record and the trainer's checkpoints."""
    found = []
    for path in sorted(Path(folder).glob("*")):
        if path.is_file() and path.name not in {RECORD_NAME, "README.md"} and not path.name.startswith("."):
            found.append(Artefact(path=path.name, size=path.stat().st_size, sha256=hash_file(path)))
    return found


def describe_data_files(folder: str | Path) -> list[Artefact]:
    """Every file of rows in the folders below a stage's, where a stage that makes several data sets puts them."""
    folder = Path(folder)
    found = []
    for path in sorted(folder.glob("*/**/*")):
        inside = path.relative_to(folder)
        if path.suffix in DATA_SUFFIXES and path.is_file() and not any(part.startswith(".") for part in inside.parts):
            found.append(Artefact(path=inside.as_posix(), size=path.stat().st_size, sha256=hash_file(path)))
    return found


def collect_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    versions = {"python": platform.python_version()}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def collect_hardware() -> dict[str, Any]:
    """Processor, core count and, where torch sees one, the accelerator."""
    import torch

    hardware: dict[str, Any] = {"machine": platform.machine(), "cpu_count": os.cpu_count()}
    if torch.cuda.is_available():
        hardware["accelerator"] = torch.cuda.get_device_name(0)
        hardware["accelerators"] = torch.cuda.device_count()
    return hardware
