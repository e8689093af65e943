"""Reading and writing `stage.json`."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from trl_r1.errors import RecordError
from trl_r1.stage_record.consistency import find_contradictions
from trl_r1.stage_record.hashing import plain_json
from trl_r1.stage_record.plausibility import find_implausible
from trl_r1.stage_record.schema import RECORD_NAME, SCHEMA_VERSION, StageRecord
from trl_r1.stage_record.typed_reading import parse_json, read_typed


SHOWN_PROBLEMS = 5  # in one message


def write_stage_record(folder: str | Path, record: StageRecord) -> Path:
    """Write `stage.json` into `folder`, atomically and durably. Returns its path."""
    path = Path(folder) / RECORD_NAME
    write_json(path, plain_json(dataclasses.asdict(record)))
    return path


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a part, and no part is left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False, default=str)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def has_stage_record(folder: str | Path) -> bool:
    """Whether `folder` holds a finished stage."""
    return (Path(folder) / RECORD_NAME).is_file()


def read_stage_record(folder: str | Path) -> StageRecord:
    """
    Read the record of a finished stage.

    A record written before a field was added to the schema lacks it, and is read with the field's default.

    Raises:
        [`RecordError`]: when it is missing, no valid JSON or of another schema version, when a field is missing,
            unknown or of another type, or when it contradicts itself: counts that do not add up, a value outside its
            interval, a configuration with another hash.
    """
    path = Path(folder) / RECORD_NAME
    content = read_json_record(path, missing="no such record; the stage has not finished, run it first")
    if not isinstance(content, dict) or "schema_version" not in content:
        raise RecordError(f"{path}: it is no record of a stage: it has no schema_version; run the stage again")
    version = content["schema_version"]
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise RecordError(f"{path}: schema_version is {str(version)[:80]}, this trl_r1 reads {SCHEMA_VERSION}")
    return read_record_content(content, path)


def read_json_record(
    path: Path, missing: str = "no such file", fix: str = "delete the folder and run the stage again"
) -> Any:
    """
    The JSON of a record's file, with what to say where there is none and where it is damaged.

    Raises:
        [`RecordError`]: when it cannot be read.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordError(f"{path}: {missing}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); {fix}") from error
    except RecordError as error:
        raise RecordError(f"{path}: {error}; {fix}") from error


def read_record_content(content: Any, path: str | Path) -> StageRecord:
    """
    The record that parsed JSON holds.

    Raises:
        [`RecordError`]: as [`read_stage_record`]; messages begin with `path`.
    """
    try:
        record = read_typed(StageRecord, content)
    except RecordError as error:
        raise RecordError(f"{path}: damaged record: {error}; run the stage again") from error
    _raise(path, list(find_contradictions(record)))
    return record


def check_plausible(record: StageRecord, path: str | Path) -> None:
    """
    Check a record more closely, before its numbers are shown to anybody.

    Raises:
        [`RecordError`]: naming fields whose values no stage would have left; messages begin with `path`.
    """
    _raise(path, list(find_implausible(record)))


def _raise(path: str | Path, problems: list[str]) -> None:
    if not problems:
        return
    shown = problems[:SHOWN_PROBLEMS]
    more = [f"and {len(problems) - len(shown)} more"] if len(problems) > len(shown) else []
    lines = "\n".join(f"{path}: {problem}" for problem in [*shown, *more])
    raise RecordError(f"{lines}\nthe record was changed; bring it back from a copy or run the stage again")
