"""What must hold of a record before its numbers are shown: times that fit, hashes that are some, a config that agrees.

More than is asked of a record to count as whole: a clock that was set while a stage ran must not cost its training.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from trl_r1.stage_record.kinds import KINDS, SAMPLING_VERBS, TRAINING_VERBS
from trl_r1.stage_record.schema import DataSource, StageRecord


MODEL_ROLES = {**dict.fromkeys(TRAINING_VERBS, "base"), **dict.fromkeys(SAMPLING_VERBS, "teacher")}
DEFAULT_SPLIT = "train"  # TRL's default of `dataset_train_split`
SHA256 = re.compile(r"[0-9a-f]{64}")
CLOCK_SLACK = 60.0  # seconds: two clocks of one cluster differ, and one may be set while a stage runs


def find_implausible(record: StageRecord) -> Iterator[str]:
    """Everything in a record that no finished stage of ours would say, each with its field and value."""
    if record.kind not in KINDS:
        yield f"kind: {record.kind!r} is none of {', '.join(KINDS)}"
    needed = ["command", "versions", "hardware"] + (["seeds"] if record.kind not in ("review", "script") else [])
    yield from (
        f"{name}: empty, where a stage of kind {record.kind!r} has some"
        for name in needed
        if not getattr(record, name)
    )
    yield from _times(record)
    yield from _hashes(record)
    yield from _curve(record)
    yield from _agreement(record)


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
    named |= {
        f"evaluations[{index}].weights_sha256": entry["weights_sha256"]
        for index, entry in enumerate(record.evaluations)
    }
    for where, digest in named.items():
        if digest is not None and not SHA256.fullmatch(digest):
            yield f"{where}: {digest!r} is no SHA-256"


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


def _agreement(record: StageRecord) -> Iterator[str]:
    """What the configuration asked for is what the record says was used."""
    config = record.config
    role = MODEL_ROLES.get(record.kind)
    if role and (model := config.get("model_name_or_path")):
        yield from _agree("parents", "model_name_or_path", [model], _parents(record, role))
    if record.command[:1] == ["trl-r1"] and record.command[1:2] != [record.kind]:
        yield f"command: {' '.join(record.command[:2])}, but kind is {record.kind!r}"
    yield from _agree_on_evaluations(record)
    yield from _agree_on_data(record)
    yield from _agree_on_rewards(record)
    if "seed" in config and record.seeds.get("seed", config["seed"]) != config["seed"]:
        yield f"seeds.seed: {record.seeds['seed']}, but config has {config['seed']}"
    for name in ("prompt_template", "chat_template"):
        if config.get(name) and record.kind in MODEL_ROLES and name not in record.template:
            yield f"template.{name}: missing, but config has {config[name]!r}"


def _parents(record: StageRecord, role: str) -> list[str]:
    return [parent.name_or_path for parent in record.parents if parent.role == role]


def _agree(field: str, name: str, asked: list[Any], used: list[str]) -> Iterator[str]:
    missing = [value for value in asked if value not in used]
    extra = [value for value in used if value not in asked]
    if missing or extra:
        yield f"{field}: {', '.join(used) or 'none'}, but config has {name} {', '.join(map(str, asked))}"


def _agree_on_data(record: StageRecord) -> Iterator[str]:
    """Training data by name; a mixture with fractions is one source, named after all of its parts."""
    if record.kind not in MODEL_ROLES:
        return
    mixture = record.config.get("datasets")
    entries = mixture if isinstance(mixture, list) else []
    asked = [entry["path"] for entry in entries if isinstance(entry, dict) and "path" in entry]
    if not asked and record.config.get("dataset_name"):
        asked = [record.config["dataset_name"]]
        split = record.config.get("dataset_train_split", DEFAULT_SPLIT)
        yield from (
            f"data.split: {source.split!r}, but config has {split!r}"
            for source in record.data
            if source.split != split
        )
    if asked:
        used = [source.source for source in record.data]
        parts = [name for source in used for name in ([source] if source in asked else source.split(" + "))]
        yield from _agree("data", "datasets" if entries else "dataset_name", asked, parts)


def _agree_on_evaluations(record: StageRecord) -> Iterator[str]:
    if record.kind != "evaluate":
        return
    checkpoints = record.config.get("checkpoints")
    if isinstance(checkpoints, list):
        paths = [entry.get("path") for entry in checkpoints if isinstance(entry, dict)]
        yield from _agree("parents", "checkpoints", paths, _parents(record, "evaluated"))
        measured = list(dict.fromkeys(entry["path"] for entry in record.evaluations))
        yield from _agree("evaluations.path", "checkpoints", [path for path in paths if path in measured], measured)
    known = {parent.weights_sha256 for parent in record.parents}
    sources = [dataclasses.asdict(source) for source in record.data]
    for index, entry in enumerate(record.evaluations):
        if known and entry["weights_sha256"] not in (None, *known):
            yield f"evaluations[{index}].weights_sha256: {entry['weights_sha256']!r}, which none of parents has"
        data = entry.get("data")
        if sources and data and dataclasses.asdict(DataSource(**data)) not in sources:
            yield f"evaluations[{index}].data: {data.get('source')!r} with counts that none of data has"


def _agree_on_rewards(record: StageRecord) -> Iterator[str]:
    if record.rewards and record.kind != "grpo":
        yield f"rewards: {record.rewards[0].name}, but a stage of kind {record.kind!r} uses none"
    asked, weights = record.config.get("reward_funcs"), record.config.get("reward_weights")
    if record.kind != "grpo" or not isinstance(asked, list):
        return
    if len(asked) != len(record.rewards):
        yield f"rewards: {len(record.rewards)}, but config has {len(asked)} reward_funcs"
    elif weights and [reward.weight for reward in record.rewards] != weights:
        yield f"rewards.weight: {[reward.weight for reward in record.rewards]}, but config has {weights}"
    for index, (entry, reward) in enumerate(zip(asked, record.rewards, strict=False)):
        name, given = next(iter(entry.items()), ("", None)) if isinstance(entry, dict) else (str(entry), None)
        if name.isidentifier() and not name.startswith("get_"):  # a factory or an import names its result as it likes
            yield from _agree(f"rewards[{index}].name", "reward_funcs", [name], [reward.name])
        for key, value in (given if isinstance(given, dict) else {}).items():
            if isinstance(value, str | int | float) and reward.parameters.get(key, value) != value:
                yield f"rewards[{index}].parameters.{key}: {reward.parameters[key]!r}, but config has {value!r}"
