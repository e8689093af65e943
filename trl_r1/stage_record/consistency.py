"""What holds in every record that was written whole: counts that add up, values within intervals, the config's hash.

Only facts: the pipeline runs a stage again whose record does not hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from trl_r1.errors import RecordError
from trl_r1.stage_record.hashing import hash_json
from trl_r1.stage_record.schema import ContaminationCheck, DataSource, Measurement, StageRecord
from trl_r1.stage_record.typed_reading import read_typed


ROUNDING = 1e-9  # of an interval's ends, relative


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationEntry:
    """What an evaluation record must hold to be shown; it may hold more."""

    checkpoint: str
    path: str
    suite: str
    mode: str
    n: int
    metrics: dict[str, Measurement]
    weights_sha256: str | None
    group_by: str | None = None
    groups: dict[str, dict[str, Measurement]] | None = None
    samples: str | None = None
    data: DataSource | None = None
    sampling: dict[str, Any] | None = None
    versions: dict[str, str] | None = None


def find_contradictions(record: StageRecord) -> Iterator[str]:
    """Everything in a record that cannot be true, each with its field and value."""
    if not record.stage.strip():
        yield f"stage: {record.stage!r} is no name"
    if record.config_sha256 != hash_json(record.config):
        yield f"config_sha256: {record.config_sha256!r} is not the hash of config, one of the two was changed"
    yield from _artefacts(record)
    yield from _counts(record)
    for name, measured in record.metrics.items():
        yield from _measurement(f"metrics.{name}", measured)
    for index, entry in enumerate(record.evaluations):
        yield from _evaluation(f"evaluations[{index}]", entry)


def _artefacts(record: StageRecord) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(record.artefacts):
        path = PurePosixPath(item.path)
        if not path.parts or path.is_absolute() or ".." in path.parts or item.path in seen:
            yield f"artefacts[{index}].path: {item.path!r} is no path of its own within the folder"
        seen.add(item.path)
        if item.size < 0:
            yield f"artefacts[{index}].size: {item.size} is negative"


def _counts(record: StageRecord) -> Iterator[str]:
    yield from (f"versions.{name}: empty" for name, version in record.versions.items() if not version.strip())
    for index, parent in enumerate(record.parents):
        for name in ("name_or_path", "role"):
            if not getattr(parent, name).strip():
                yield f"parents[{index}].{name}: empty"
    for index, source in enumerate(record.data):
        yield from _source(f"data[{index}]", source)
    for index, reward in enumerate(record.rewards):
        if not reward.name.strip():
            yield f"rewards[{index}].name: empty"
    for index, check in enumerate(record.contamination):
        yield from _contamination(f"contamination[{index}]", check)


def _source(where: str, source: DataSource) -> Iterator[str]:
    for name in ("source", "split"):
        if not getattr(source, name).strip():
            yield f"{where}.{name}: empty"
    for reason, count in source.dropped.items():
        if count < 0:
            yield f"{where}.dropped.{reason}: {count} is negative"
    if min(source.rows_in, source.rows_kept) < 0:
        yield f"{where}: negative count of rows ({source.rows_in} in, {source.rows_kept} kept)"
    dropped = sum(source.dropped.values())
    if source.rows_in - source.rows_kept != dropped:
        yield f"{where}: {source.rows_in} rows in and {source.rows_kept} kept, but {dropped} dropped"


def _contamination(where: str, check: ContaminationCheck) -> Iterator[str]:
    for name in ("benchmark", "method"):
        if not getattr(check, name).strip():
            yield f"{where}.{name}: empty"
    for name in ("rows_checked", "questions", "hits", "removed"):
        if getattr(check, name) < 0:
            yield f"{where}.{name}: {getattr(check, name)} is negative"
    if check.hits > check.questions:
        yield f"{where}.hits: {check.hits} of {check.questions} questions"
    if check.removed > check.rows_checked:
        yield f"{where}.removed: {check.removed} of {check.rows_checked} rows"


def _measurement(where: str, measured: Measurement) -> Iterator[str]:
    if measured.n is not None and measured.n < 0:
        yield f"{where}.n: {measured.n} is negative"
    if (measured.low is None) != (measured.high is None):
        yield f"{where}: an interval with one end (low {measured.low}, high {measured.high})"
    if measured.low is None or measured.high is None:
        return
    slack = ROUNDING * (1 + abs(measured.value))
    if not measured.low - slack <= measured.value <= measured.high + slack:
        yield f"{where}: {measured.value} is not within its interval, {measured.low} to {measured.high}"


def _evaluation(where: str, entry: dict[str, Any]) -> Iterator[str]:
    known = {field.name for field in dataclasses.fields(EvaluationEntry)}
    shown = {name: value for name, value in entry.items() if name in known}
    try:
        checked = read_typed(EvaluationEntry, shown, where)
    except RecordError as error:
        yield f"damaged evaluation: {error}"
        return
    if checked.n < 0:
        yield f"{where}.n: {checked.n} is negative"
    for name in ("checkpoint", "path", "suite", "mode"):
        if not getattr(checked, name).strip():
            yield f"{where}.{name}: empty"
    if checked.samples is not None and PurePosixPath(checked.samples).name != checked.samples:
        yield f"{where}.samples: {checked.samples!r} is no file name"
    if checked.data is not None:
        yield from _source(f"{where}.data", checked.data)
    groups = (checked.groups or {}).items()
    for place, metrics in [("metrics", checked.metrics), *((f"groups.{value}", group) for value, group in groups)]:
        for name, measured in metrics.items():
            yield from _measurement(f"{where}.{place}.{name}", measured)
            if measured.n is not None and measured.n > checked.n:
                yield f"{where}.{place}.{name}.n: {measured.n} of {checked.n} answers"
