"""Did it arrive? What a commit on the Hub holds, compared with what was to be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trl_r1.errors import PublishError
from trl_r1.hub.publishing.patience import Patience
from trl_r1.hub.publishing.remote_files import content_id, download, list_files, same
from trl_r1.hub.publishing.target import HubTarget, PublishedFile


if TYPE_CHECKING:
    from huggingface_hub import HfApi, RepoFile

LARGEST_READ = 1 << 20  # bytes; larger files are compared by the hash the Hub has of them, as are those
MOST_READ = 100  # files; beyond these, as the Hub counts requests


def read_back(
    api: HfApi,
    target: HubTarget,
    folder: Path,
    files: Sequence[PublishedFile],
    commit: str,
    trying: Patience,
    *,
    kept: Collection[str] = (),
) -> dict[str, str]:
    """
    Compare a commit with a folder: size and hash of every file, and the bytes of the first small ones.

    Args:
        api (`HfApi`):
            With the token.
        target ([`HubTarget`]):
            Where the commit is.
        folder (`Path`):
            Where the files are.
        files (`Sequence[PublishedFile]`):
            What the commit must hold.
        commit (`str`):
            Its hash.
        trying ([`Patience`]):
            With a Hub that fails to answer.
        kept (`Collection[str]`, *optional*):
            Paths that are somebody else's there.

    Returns:
        `dict[str, str]`: each path, and the hash the Hub has of its content.

    Raises:
        [`PublishError`]: naming the files that are missing or differ.
    """
    there = list_files(api, target, commit, trying)
    wanted = [file for file in files if file.path not in kept]
    problems = [problem for file in wanted if (problem := _difference(folder, file, there.get(file.path)))]
    if not problems:
        small = [file for file in wanted if there[file.path].lfs is None and file.size <= LARGEST_READ]
        small.sort(key=lambda file: file.path.count("/"))  # what loaders and cards read lies at the top
        problems = [
            f"{file.path}: other bytes come back than were sent"
            for file in small[:MOST_READ]
            if hashlib.sha256(download(api, target, file.path, commit, trying)).hexdigest() != file.sha256
        ]
    if problems:
        raise PublishError(
            f"{target.repo_id!r} at {commit[:12]} is not what was sent; the same command sends what differs\n"
            + "\n".join(problems)
        )
    return {file.path: content_id(there[file.path]) for file in wanted}


def _difference(folder: Path, file: PublishedFile, there: RepoFile | None) -> str | None:
    if there is None:
        return f"{file.path}: missing; a .gitignore in the repository may shut it out"
    if there.size != file.size:
        return f"{file.path}: {there.size} bytes, and {file.size} here"
    return None if same(folder, file, there) else f"{file.path}: another hash than here"
