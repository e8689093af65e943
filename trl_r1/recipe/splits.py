"""Which splits are kept for measuring, and must not be trained on unless a recipe says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final


_HELD_OUT: Final = frozenset(
    (
        *("test", "tests", "testing", "testset", "testmini", "val", "valid", "valset", "validate", "validation"),
        *("dev", "devset", "devtest", "eval", "evals", "evalset", "evaluation"),
    )
)
_HELD_OUT_PAIR: Final = re.compile(r"held[^a-z]?out|hold[^a-z]?out")
_FIX: Final = "train on another split, or say why in `train_on_held_out_split`"


def is_held_out(name: str) -> bool:
    """Whether a split's name says that it measures: `test`, `validation`, `dev`, `test_sft`, `held_out`, ..."""
    lower = name.lower()
    return bool(_HELD_OUT_PAIR.search(lower)) or not _HELD_OUT.isdisjoint(re.split(r"[^a-z]+", lower))


def split_names(split: str) -> list[str]:
    """Names in a split as `datasets` writes it: `train[:10%]+test[50:]` is `train` and `test`."""
    return [part.partition("[")[0].strip() for part in split.split("+")]


def held_out_parts(split: str, data_files: Any = None, data_dir: str | None = None) -> list[str]:
    """
    What a source would take from held-out rows, by name.

    Args:
        split (`str`):
            As `datasets` writes it, slices and sums included.
        data_files (`str`, `list` or `dict`, *optional*):
            Files the split is made of: one named `test.jsonl`, or in a folder `test`, is a test split whatever the
            split is called.
        data_dir (`str`, *optional*):
            Folder the split is made of, by the same rule.
    """
    found = [name for name in split_names(split) if is_held_out(name)]
    if isinstance(data_files, Mapping):
        wanted = [data_files[name] for name in split_names(split) if name in data_files]
        data_files = [file for files in wanted for file in (files if isinstance(files, list) else [files])]
    files = data_files if isinstance(data_files, list) else [data_files] if data_files else []
    paths = [PurePosixPath(str(path)) for path in [*files, *([data_dir] if data_dir else [])]]
    return found + [str(path) for path in paths if _is_held_out_path(path)]


def _is_held_out_path(path: PurePosixPath) -> bool:
    """A folder counts by its whole name alone: others hold a word of these by chance."""
    return is_held_out(path.name.split(".")[0]) or path.parent.name.lower() in _HELD_OUT


def split_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What of a recipe's training data is held out, a line each; nothing when the recipe gives its reason."""
    reason = values.get("train_on_held_out_split")
    if reason is not None and not reason.strip():
        yield "train_on_held_out_split: '' is no reason; write why the held-out rows may be trained on"
    if reason is not None:
        return
    if values.get("dataset_name"):
        for part in held_out_parts(values["dataset_train_split"]):
            yield f"dataset_train_split: {part!r} is held out for measuring; {_FIX}"
    for index, entry in enumerate(values.get("datasets") or []):
        for part in held_out_parts(entry.get("split") or "train", entry.get("data_files"), entry.get("data_dir")):
            yield f"datasets[{index}]: {part!r} of {entry.get('path')!r} is held out for measuring; {_FIX}"
