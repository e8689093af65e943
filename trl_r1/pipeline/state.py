"""What to do with a stage's folder: skip it, resume it, or start clean. Only `stage.json` counts as finished."""

from __future__ import annotations

import enum
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trl_r1.errors import PipelineError, RecordError
from trl_r1.stage_record import StageRecord, has_stage_record, read_stage_record, write_json


BEGUN_NAME = ".begun"
DISCARD_NAME = ".discarded"


class Action(enum.StrEnum):
    """What the runner does with a stage."""

    SKIP = "skip"
    RESUME = "resume"
    START = "start"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and its reason, for the line that the user reads."""

    action: Action
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the content of a folder was made from, and when its stage started (ISO 8601, UTC)."""

    fingerprint: str | None
    started: str


def decide(folder: Path, fingerprint: str, needs: Sequence[StageRecord]) -> Decision:
    """
    Decide about a stage whose needs are all finished.

    Args:
        folder (`Path`):
            The stage's folder.
        fingerprint (`str`):
            What it should be made from.
        needs (`Sequence[StageRecord]`):
            Records of the stages it needs.

    Raises:
        [`PipelineError`]: when the folder holds files that no pipeline put there, which are not ours to delete.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return Decision(Action.START)
    begun = _read_begun(folder)
    finished, damage = _read_finished(folder)
    origin = finished or begun
    if origin is None or origin.fingerprint is None:
        raise PipelineError(f"{folder}: it holds files that no pipeline put there; move or delete the folder")
    if damage:
        return Decision(Action.START, damage)
    if origin.fingerprint != fingerprint:
        return Decision(Action.START, "its settings, code or inputs changed")
    if any(need.finished > origin.started for need in needs):
        return Decision(Action.START, "a stage it needs was made again")
    return Decision(Action.SKIP) if finished else Decision(Action.RESUME, "it was cut off")


def begin(folder: Path, fingerprint: str, action: Action) -> None:
    """Prepare a stage's folder: emptied to start, kept to resume, and marked with what is made in it."""
    if action is Action.START:
        discard(folder)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    if action is Action.RESUME and (begun := _read_begun(folder)):
        started = begun.started
    write_json(folder / BEGUN_NAME, {"fingerprint": fingerprint, "started": started})


def discard(folder: Path) -> None:
    """Delete a folder so that a kill in between leaves none or all of it."""
    if not folder.exists():
        return
    target = folder.parent / DISCARD_NAME
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)
    shutil.rmtree(target)


def _read_begun(folder: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads((folder / BEGUN_NAME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # not ours to trust, but ours to delete
        return _Origin("", "")


def _read_finished(folder: Path) -> tuple[_Origin | None, str]:
    """Origin of a finished stage, and what is wrong with a record that does not hold."""
    if not has_stage_record(folder):
        return None, ""
    try:
        record = read_stage_record(folder)
    except RecordError:
        return None, "its record was damaged"
    lost = [
        artefact.path
        for artefact in record.artefacts
        if not (folder / artefact.path).is_file() or (folder / artefact.path).stat().st_size != artefact.size
    ]
    return _Origin(record.fingerprint, record.started), f"{lost[0]} was lost or changed" if lost else ""
