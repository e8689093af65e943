"""The schema of `stage.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


SCHEMA_VERSION = 1
RECORD_NAME = "stage.json"


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
    languages: list[str] = field(default_factory=list)  # `language` column, most frequent first; or its card
    license: str | None = None  # as its card says
    revision: str | None = None  # of a Hub data set: the commit that was read; None for a folder


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
            What ran: one of `VERBS`, or `"script"`.
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
