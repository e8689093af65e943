"""Verdicts on a model's samples, kept from run to run, so that a question is not sampled twice for the same figure."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trl_r1.data.rows import read_jsonl, write_jsonl
from trl_r1.errors import DataError
from trl_r1.stage_record import hash_json, write_json


RIGHT, WRONG, UNDECIDED = "1", "0", "?"  # a letter a sample, in the order drawn
IDENTITY_NAME: Final = "identity.json"
_LETTERS: Final = frozenset(RIGHT + WRONG + UNDECIDED)


class VerdictCache:
    """
    A folder of verdicts by (model, prompt with its reference answer, sampling).

    Every run adds a file and changes none, so runs that share a folder lose nothing of each other's; where two have
    asked the same, the longer answer counts.

    Args:
        folder (`str` or `Path`):
            The cache, made when something is kept.
        identity (`Mapping[str, Any]`):
            What decides the samples and their verdicts beside the prompt: each has a folder of its own.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self.identity = dict(identity)
        self.folder = Path(folder) / hash_json(self.identity)[:16]

    def read(self) -> dict[str, str]:
        """
        All verdicts by key.

        Raises:
            [`DataError`]: when a file holds something else.
        """
        found: dict[str, str] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for row in read_jsonl(path):
                key, verdicts = row.get("key"), row.get("verdicts")
                if not isinstance(key, str) or not isinstance(verdicts, str) or not _LETTERS.issuperset(verdicts):
                    raise DataError(f"{path}: holds {row!r}, which is no verdict; delete the file")
                if len(verdicts) > len(found.get(key, "")):
                    found[key] = verdicts
        return found

    def add(self, verdicts: Mapping[str, str]) -> None:
        """Keep verdicts, each the whole series of its key."""
        if not verdicts:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / IDENTITY_NAME).is_file():
            write_json(self.folder / IDENTITY_NAME, self.identity)
        rows = ({"key": key, "verdicts": series} for key, series in verdicts.items())
        write_jsonl(self.folder / f"{os.getpid()}-{uuid.uuid4().hex}.jsonl", rows)


def question_key(prompt: Any, judged_by: Mapping[str, Any]) -> str:
    """A name for a prompt, as the model reads it, together with what its samples are judged by."""
    text = json.dumps([prompt, judged_by], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
