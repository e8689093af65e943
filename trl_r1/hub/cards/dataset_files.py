"""The files of rows in a data stage's folder: their configurations and splits, their hashes, their rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from trl_r1.errors import RecordError
from trl_r1.stage_record import DATA_SUFFIXES, StageRecord, describe_artefacts, describe_data_files


SPLIT_ORDER: Final = ("train", "validation", "test")  # then the others, by name
DEFAULT_CONFIG: Final = "default"  # what the Hub calls the only configuration of a data set
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")
_NOT_IN_CONFIG: Final = re.compile(r"[^\w.-]+")
_PATTERN_LETTERS: Final = frozenset("*?[]{}!\\")  # `data_files` are patterns: such a name would match other files
_READ_ROWS: Final = 1024  # of a Parquet file at once


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """
    One file of rows.

    Args:
        path (`str`):
            Below the stage's folder, with `/`.
        config (`str`):
            Configuration it belongs to: its folder's name, or `"default"` at the top.
        split (`str`):
            Its split: the file's name without suffix and without the number of a shard.
        size (`int`):
            Bytes.
        sha256 (`str`):
            Of its bytes, as the stage's record has it.
    """

    path: str
    config: str
    split: str
    size: int
    sha256: str


def find_data_files(folder: str | Path, record: StageRecord) -> list[DataFile]:
    """
    The files of rows a stage wrote, each checked against its record.

    Args:
        folder (`str` or `Path`):
            The stage's folder.
        record ([`~trl_r1.stage_record.StageRecord`]):
            Its record.

    Returns:
        `list[DataFile]`: by configuration and split; never empty.

    Raises:
        [`RecordError`]: when a file is gone, was changed or is in no record, when there is none, or when its name
            cannot be one of the Hub's.
    """
    folder = Path(folder)
    recorded = {item.path: item for item in record.artefacts if PurePosixPath(item.path).suffix in DATA_SUFFIXES}
    present = {item.path: item for item in [*describe_artefacts(folder), *describe_data_files(folder)]}
    present = {path: item for path, item in present.items() if PurePosixPath(path).suffix in DATA_SUFFIXES}
    for path in sorted(recorded.keys() | present.keys()):
        if path not in present:
            raise RecordError(f"{folder}/{path}: is gone, but the stage's record names it; run the stage again")
        if path not in recorded:
            raise RecordError(
                f"{folder}/{path}: the stage's record does not name it; take it out, or run the stage again"
            )
        if present[path].sha256 != recorded[path].sha256:
            raise RecordError(f"{folder}/{path}: was changed after the stage wrote it; run the stage again")
    if not recorded:
        raise RecordError(f"{folder}: holds no file of rows ({', '.join(DATA_SUFFIXES)}), so it is no data set")
    found = [
        DataFile(path=path, config=config, split=split, size=item.size, sha256=item.sha256)
        for path, item in recorded.items()
        for config, split in [_place(folder, path)]
    ]
    _check_configs(folder, found)
    return sorted(found, key=_order)


def hub_configs(files: Sequence[DataFile], first: str) -> list[dict[str, Any]]:
    """
    The `configs` of a data-set card's header, so that `load_dataset` finds every split.

    Args:
        files (`Sequence[DataFile]`):
            The files.
        first (`str`):
            Configuration that `load_dataset` takes when none is named.
    """
    configs: dict[str, dict[str, list[str]]] = {}
    for item in files:
        configs.setdefault(item.config, {}).setdefault(item.split, []).append(item.path)
    return [
        {
            "config_name": name,
            **({"default": True} if name == first and len(configs) > 1 else {}),
            "data_files": [
                {"split": split, "path": paths[0] if len(paths) == 1 else paths} for split, paths in splits.items()
            ],
        }
        for name, splits in configs.items()
    ]


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """
    The rows of a file, one by one, so that a large one need not fit into memory.

    Raises:
        [`RecordError`]: naming the file, and the line that is no row.
    """
    readers = {".jsonl": _read_json_lines, ".parquet": _read_parquet, ".csv": _read_csv}
    yield from readers[path.suffix](path)


def _place(folder: Path, path: str) -> tuple[str, str]:
    """Configuration and split of a file."""
    parts = PurePosixPath(path)
    if bad := sorted(_PATTERN_LETTERS & set(path)):
        raise RecordError(f"{folder}/{path}: the Hub reads {' '.join(bad)} in a file's name as a pattern; rename it")
    config = _NOT_IN_CONFIG.sub("-", "-".join(parts.parent.parts)).strip("-") or DEFAULT_CONFIG
    split = re.sub(r"\W+", "_", _SHARD.sub("", parts.stem)).strip("_") or "rows"
    return config, f"{split}_rows" if split == "all" else split  # "all" means every split to `datasets`


def _order(item: DataFile) -> tuple[bool, str, int, str, str]:
    rank = SPLIT_ORDER.index(item.split) if item.split in SPLIT_ORDER else len(SPLIT_ORDER)
    return item.config != DEFAULT_CONFIG, item.config, rank, item.split, item.path


def _check_configs(folder: Path, files: Sequence[DataFile]) -> None:
    """One folder a configuration, one form of file in it: `datasets` reads no other."""
    homes: dict[str, str] = {}
    for item in files:
        path = PurePosixPath(item.path)
        home = f"{path.parent}/*{path.suffix}"
        if homes.setdefault(item.config, home) != home:
            raise RecordError(
                f"{folder}: {homes[item.config]} and {home} would both be the data set {item.config!r} on the Hub; "
                "write one form of file a folder, and names that differ in more than signs"
            )


def _read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as stream:  # other line breaks may stand within a row's text
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise RecordError(f"{path}: line {number} is no JSON ({error}); run the stage again") from error
            if not isinstance(row, dict):
                raise RecordError(f"{path}: line {number} is no JSON object; run the stage again")
            yield row


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_READ_ROWS):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise RecordError(f"{path}: is no Parquet file ({error}); run the stage again") from error


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as stream:
        try:
            yield from csv.DictReader(stream, strict=True)
        except csv.Error as error:
            raise RecordError(f"{path}: cannot be read ({error}); run the stage again") from error
