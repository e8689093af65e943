"""What a record says of parents, files, packages and the machine, found on disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trl_r1.stage_record.files import has_stage_record, read_stage_record
from trl_r1.stage_record.hashing import hash_file, hash_weights, weight_files
from trl_r1.stage_record.hub_cache import (
    CardFacts,
    fetch_file,
    find_snapshot,
    hash_snapshot_weights,
    read_card,
    read_local_card,
)
from trl_r1.stage_record.schema import RECORD_NAME, Artefact, Parent


DATA_SUFFIXES = (".jsonl", ".parquet", ".csv")  # files of rows, as `datasets` reads them
RECORDED_PACKAGES = (
    *("trl_r1", "trl", "transformers", "torch", "accelerate", "datasets", "peft", "huggingface_hub"),
    *("math-verify", "latex2sympy2_extended", "sympy", "reasoning-gym"),  # verdicts depend on them
    *("py3langid", "scipy"),  # what is measured beside the verdict, and the intervals
)
LINEAGE_NAME = "lineage.json"
PUBLISHED_NAME = "published.json"  # where a stage was published last
MERGED_NAME = "merged"  # folder in an adapter's, of the model that it makes of its base
MADE_FROM_RECORDS = ("README.md", LINEAGE_NAME, "training_curves.png", PUBLISHED_NAME)  # after the record
OUR_TAG = "trl_r1"  # of the cards this package writes


def describe_parent(name_or_path: str, role: str, revision: str | None = None) -> Parent:
    """
    A [`Parent`] with all that its folder, or the local cache of the Hub, tells.

    Call it when the model has been loaded: of a Hub id, commit and weights are those in the cache.

    Args:
        name_or_path (`str`):
            Folder or Hub id.
        role (`str`):
            What it was used as.
        revision (`str`, *optional*):
            Of a Hub id, as it was asked for: a branch, tag or commit. A folder has none.
    """
    if Path(name_or_path).is_dir():
        card = read_local_card(Path(name_or_path))
        home = stage_folder(Path(name_or_path))
        stage = read_stage_record(home).stage if home else None
        return _parent(name_or_path, role, card, weights_sha256=hash_weights(name_or_path), stage=stage)
    snapshot = find_snapshot(name_or_path, revision)
    if snapshot is None:
        return _parent(name_or_path, role, read_card(name_or_path, revision), revision=revision)
    card = read_card(name_or_path, snapshot.name)
    if OUR_TAG in card.tags:
        fetch_file(name_or_path, LINEAGE_NAME, snapshot.name)  # for its lineage to go on through the parent's
    weights = hash_snapshot_weights(snapshot)
    return _parent(name_or_path, role, card, revision=snapshot.name, weights_sha256=weights)


def stage_folder(folder: Path) -> Path | None:
    """Folder of the stage that left a checkpoint: its own, or that around a merged adapter; `None` for none."""
    if has_stage_record(folder):
        return folder
    return folder.parent if folder.name == MERGED_NAME and has_stage_record(folder.parent) else None


def describe_data_card(name: str, revision: str | None) -> CardFacts:
    """What the card of a data set says: in its folder, or on the Hub, where a commit of it was read."""
    if Path(name).is_dir():
        return read_local_card(Path(name))
    return read_card(name, revision, "dataset") if revision else CardFacts()


def hash_model(name_or_path: str, revision: str | None = None) -> str | None:
    """Hash of the weights of a folder or, where the cache has them, of a Hub id."""
    if Path(name_or_path).is_dir():
        return hash_weights(name_or_path)
    snapshot = find_snapshot(name_or_path, revision)
    return hash_snapshot_weights(snapshot) if snapshot else None


def _parent(name_or_path: str, role: str, card: CardFacts, **fields: Any) -> Parent:
    return Parent(name_or_path=name_or_path, role=role, license=card.license, languages=list(card.languages), **fields)


def describe_artefacts(folder: str | Path) -> list[Artefact]:
    """
    Every file directly in a stage's folder, but for the record, what is made from it and the trainer's checkpoints.

    Of a merged adapter the weights are among them.
    """
    folder = Path(folder)
    found = [
        path
        for path in sorted(folder.glob("*"))
        if path.is_file() and path.name not in {RECORD_NAME, *MADE_FROM_RECORDS} and not path.name.startswith(".")
    ]
    return [_describe_file(folder, path) for path in (*found, *weight_files(folder / MERGED_NAME))]


def _describe_file(folder: Path, path: Path) -> Artefact:
    inside = path.relative_to(folder).as_posix()
    return Artefact(path=inside, size=path.stat().st_size, sha256=hash_file(path))


def describe_data_files(folder: str | Path) -> list[Artefact]:
    """Every file of rows in the folders below a stage's, where a stage that makes several data sets puts them."""
    folder = Path(folder)
    found = []
    for path in sorted(folder.glob("*/**/*")):
        inside = path.relative_to(folder)
        if path.suffix in DATA_SUFFIXES and path.is_file() and not any(part.startswith(".") for part in inside.parts):
            found.append(_describe_file(folder, path))
    return found


def finish_time(started: datetime, seconds: float) -> str:
    """
    When a stage has finished: now, but no earlier than its duration allows, for the clock may have been set meanwhile.

    Args:
        started (`datetime`):
            With its zone.
        seconds (`float`):
            How long it took, by a clock that nobody sets.
    """
    return max(datetime.now(UTC), started + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def collect_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    versions = {"python": platform.python_version()}
    for name in RECORDED_PACKAGES:
        try:
            found: str | None = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found:  # a damaged installation has none
            versions[name] = found
    return versions


def collect_hardware() -> dict[str, Any]:
    """Processor, core count and, where torch sees one, the accelerator."""
    import torch

    hardware: dict[str, Any] = {"machine": platform.machine(), "cpu_count": os.cpu_count()}
    if torch.cuda.is_available():
        hardware["accelerator"] = torch.cuda.get_device_name(0)
        hardware["accelerators"] = torch.cuda.device_count()
    return hardware
