"""Files of a commit on the Hub: which there are, what they hold, and whether that is what lies here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.hub.publishing.files import read_local
from trl_r1.hub.publishing.patience import Patience
from trl_r1.hub.publishing.target import HubTarget, PublishedFile


if TYPE_CHECKING:
    from huggingface_hub import HfApi, RepoFile


def list_files(api: HfApi, target: HubTarget, commit: str, trying: Patience) -> dict[str, RepoFile]:
    """Every file of a commit, by path."""
    from huggingface_hub import RepoFile

    def read() -> dict[str, RepoFile]:
        found: Iterable[Any] = api.list_repo_tree(
            target.repo_id, repo_type=target.repo_type, revision=commit, recursive=True
        )
        return {item.path: item for item in found if isinstance(item, RepoFile)}

    return trying.attempt("listing files", read)


def same(folder: Path, file: PublishedFile, remote: RepoFile | None) -> bool:
    """
    Whether a file on the Hub holds the bytes of a local one, by size and hash.

    Raises:
        [`PublishError`]: when the local one is gone.
    """
    from huggingface_hub.utils.sha import git_hash

    if remote is None or remote.size != file.size:
        return False
    if remote.lfs is not None:
        return bool(remote.lfs.sha256 == file.sha256)
    return bool(remote.blob_id == git_hash(read_local(folder, file)))


def download(api: HfApi, target: HubTarget, path: str, commit: str, trying: Patience) -> bytes:
    """The bytes of a small file of a commit, past every cache."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

    url = hf_hub_url(target.repo_id, path, repo_type=target.repo_type, revision=commit, endpoint=api.endpoint)

    def read() -> bytes:
        response = http_backoff("GET", url, headers=build_hf_headers(token=target.token))
        hf_raise_for_status(response)
        return bytes(response.content)

    return trying.attempt(f"reading {path}", read)


def content_id(remote: RepoFile) -> str:
    """The hash the Hub keeps of a file's content: SHA-256 of a large one, git's own of another."""
    return str(remote.lfs.sha256 if remote.lfs is not None else remote.blob_id)
