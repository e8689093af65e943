"""Where `datasets` may keep what it prepared of a local folder, so that it never gives back what the folder held once.

`datasets` 5.2 knows a folder whose card lists its files (`configs:`) by its last name and that list alone: of two runs
with a `sft_data` each, or of one that was made again, the second would be read as the first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def cache_options(path: str) -> dict[str, Any]:
    """
    The `cache_dir` to read a local folder with, which changes with the folder's files.

    Args:
        path (`str`):
            Folder or Hub id.

    Returns:
        `dict[str, Any]`: for [`~datasets.load_dataset`]; empty for what is no folder here.
    """
    from datasets import config

    folder = Path(path)
    if not folder.is_dir():
        return {}
    digest = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape"))
    for line in sorted(_files(folder)):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
    return {"cache_dir": str(Path(config.HF_DATASETS_CACHE) / "trl_r1" / digest.hexdigest()[:16])}


def _files(folder: Path) -> Iterator[str]:
    """Name, size and time of change of each file that `datasets` may read; it reads no hidden one."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root) / name
            if not name.startswith(".") and path.is_file():
                state = path.stat()
                yield f"{path.relative_to(folder)}\0{state.st_size}\0{state.st_mtime_ns}"
