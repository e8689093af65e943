"""`merge.json`: what a merged folder was made of, and how well it agrees with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trl_r1.errors import CheckpointError
from trl_r1.user_code import first_line


MERGE_RECORD: Final = "merge.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRecord:
    """
    `merge.json` of a merged folder: what was merged into what, and how well they agree.

    Differences are relative l2 distances between the logits of one prompt, computed in float32; the worst of all
    `prompts` counts.
    """

    base: str
    base_revision: str | None
    base_weights_sha256: str | None  # None for a model of the Hub
    adapter_weights_sha256: str
    merged_weights_sha256: str
    dtype: str  # of the merged weights
    prompts: int
    positions: int  # of all prompts together
    change: float  # adapter against base: what training did
    difference_in_memory: float  # merged against adapter, float32
    difference_on_disk: float  # the saved model against adapter: rounding to `dtype` included
    notes: list[str] = field(default_factory=list)


def read_merge_record(folder: str | Path) -> MergeRecord:
    """
    The record of a merged folder.

    Raises:
        [`CheckpointError`]: when it is missing or damaged.
    """
    path = Path(folder) / MERGE_RECORD
    try:
        return MergeRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: no record of a merge ({first_line(error)}); merge the adapter again"
        ) from error
