"""Hashes of files, of JSON values and of weights."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


WEIGHT_SUFFIXES = (".safetensors", ".bin")
SETTLED_AFTER = 2.0  # seconds since a file was written: clocks of file systems are coarse

_KNOWN: dict[tuple[str, int, int, int], str] = {}  # file as it was -> digest; of this process only


def hash_file(path: str | Path) -> str:
    """
    SHA-256 of a file's bytes.

    A file that this process has read before is read again only when its size, time of change or place on disk (inode)
    is another: a lineage asks for the same weights of many gigabytes once a child.
    """
    place = os.path.realpath(path)
    with Path(path).open("rb") as stream:
        before = _state(place, stream.fileno())
        if before in _KNOWN:
            return _KNOWN[before]
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        settled = time.time() - os.fstat(stream.fileno()).st_mtime > SETTLED_AFTER
        if settled and _state(place, stream.fileno()) == before:
            _KNOWN[before] = digest
    return digest


def _state(place: str, descriptor: int) -> tuple[str, int, int, int]:
    status = os.fstat(descriptor)
    return place, status.st_ino, status.st_size, status.st_mtime_ns


def hash_json(content: Any) -> str:
    """SHA-256 of a JSON value, independent of key order, and the same before it is written as after it is read."""
    return hashlib.sha256(json.dumps(plain_json(content), sort_keys=True).encode()).hexdigest()


def plain_json(content: Any) -> Any:
    """
    A value as a JSON file gives it back: keys are strings, tuples are lists, other objects are their text.

    JSON has no infinity and no NaN, so these are text as well: a configuration may hold them.
    """
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {key: plain_json(value) for key, value in _string_keys(content)}
    if isinstance(content, list | tuple):
        return [plain_json(value) for value in content]
    return content if content is None or isinstance(content, bool) else json.loads(json.dumps(content, default=str))


def _string_keys(content: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        yield key if isinstance(key, str) else next(iter(json.loads(json.dumps({key: None})))), value


def is_weight_file(name: str) -> bool:
    """Whether a file of that name holds weights. `training_args.bin`, the Trainer's, holds none."""
    return name.endswith(WEIGHT_SUFFIXES) and name != "training_args.bin"


def weight_files(folder: str | Path) -> Iterator[Path]:
    """Weight files of a checkpoint folder, in name order."""
    yield from sorted(path for path in Path(folder).glob("*") if is_weight_file(path.name))


def hash_weights(folder: str | Path) -> str | None:
    """One hash over all weight files of a local checkpoint; `None` when `folder` holds none (a Hub id, say)."""
    digests = [(path.name, hash_file(path)) for path in weight_files(folder)]
    return hash_json(digests) if digests else None
