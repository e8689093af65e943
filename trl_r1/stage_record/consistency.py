"""What must hold within one record, whatever run it is of: counts that add up, intervals around values, hashes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from trl_r1.errors import RecordError
from trl_r1.stage_record.hashing import hash_json
from trl_r1.stage_record.schema import ContaminationCheck, DataSource, Measurement, StageRecord
from trl_r1.stage_record.typed_reading import read_typed


KINDS = ("grpo", "sft", "reward_model", "rejection_sample", "evaluate", "script")
SHA256 = re.compile(r"[0-9a-f]{64}")
CLOCK_SLACK = 60.0  # seconds: two clocks of one cluster differ, and one may be set while a stage runs
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
    if record.kind not in KINDS:
        yield f"kind: {record.kind!r} is none of {', '.join(KINDS)}"
    if record.config_sha256 != hash_json(record.config):
        yield f"config_sha256: {record.config_sha256!r} is not the hash of config, one of the two was changed"
    yield from _times(record)
    yield from _hashes(record)
    yield from _counts(record)
    for name, measured in record.metrics.items():
        yield from _measurement(f"metrics.{name}", measured)
    yield from _curve(record)
    for index, entry in enumerate(record.evaluations):
        yield from _evaluation(f"evaluations[{index}]", entry)


def _times(record: StageRecord) -> Iterator[str]:
    moments = {name: read_moment(getattr(record, name)) for name in ("started", "finished")}
    for name, moment in moments.items():
        if moment is None:
            yield f"{name}: {getattr(record, name)!r} is no ISO 8601 time with its offset from UTC"
    for name in ("seconds", "cpu_seconds"):
        if getattr(record, name) < 0:
            yield f"{name}: {getattr(record, name)} is negative"
    started, finished = moments["started"], moments["finished"]
    if started is None or finished is None:
        return
    span = (finished - started).total_seconds()
    if span < 0:
        yield f"finished: {record.finished} is before started, {record.started}"
    elif record.seconds > 1.01 * span + CLOCK_SLACK:
        yield f"seconds: {record.seconds} is longer than from started to finished, {span:.0f}"
    cores = record.hardware.get("cpu_count")
    if isinstance(cores, int) and record.cpu_seconds > (1.01 * record.seconds + CLOCK_SLACK) * max(cores, 1):
        yield f"cpu_seconds: {record.cpu_seconds} is more than {cores} cores have in {record.seconds} s"


def read_moment(text: str) -> datetime | None:
    """A time in UTC; `None` for what is none, or does not say which zone it is of."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _hashes(record: StageRecord) -> Iterator[str]:
    named: dict[str, str | None] = {f"template.{name}": digest for name, digest in record.template.items()}
    named |= {f"parents[{index}].weights_sha256": parent.weights_sha256 for index, parent in enumerate(record.parents)}
    named |= {f"data[{index}].fingerprint": source.fingerprint for index, source in enumerate(record.data)}
    named |= {f"artefacts[{index}].sha256": item.sha256 for index, item in enumerate(record.artefacts)}
    for where, digest in named.items():
        if digest is not None and not SHA256.fullmatch(digest):
            yield f"{where}: {digest!r} is no SHA-256"
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


def _curve(record: StageRecord) -> Iterator[str]:
    """Each row of the curve has its step, in order, and the last row is what `metrics` repeats."""
    previous = 0.0
    for index, row in enumerate(record.history):
        step = row.get("step")
        if step is None or step < previous:
            yield f"history[{index}].step: {step} after {previous:g}"
        previous = previous if step is None else step
    for name, value in (record.history[-1] if record.history else {}).items():
        if name in record.metrics and record.metrics[name].value != value:
            yield f"metrics.{name}: {record.metrics[name].value}, but the last row of history says {value}"


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
    if checked.weights_sha256 is not None and not SHA256.fullmatch(checked.weights_sha256):
        yield f"{where}.weights_sha256: {checked.weights_sha256!r} is no SHA-256"
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
