"""Where a folder goes on the Hub, and what came of sending it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


RepoType = Literal["model", "dataset", "space"]
MAIN = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTarget:
    """
    A place on the Hub.

    Args:
        repo_id (`str`):
            `"namespace/name"`, or a name alone for the namespace of the token's owner.
        repo_type (`str`, *optional*, defaults to `"model"`):
            `"model"`, `"dataset"` or `"space"`.
        revision (`str`, *optional*, defaults to `"main"`):
            Branch to push to; made when it does not exist.
        tag (`str`, *optional*):
            Tag of the commit. By default the stage's name and the beginning of the hash of its content.
        private (`bool`, *optional*, defaults to `True`):
            Whether a repository made for it is private. An existing one keeps its visibility.
        token (`str`, *optional*):
            With write permission; by default the one of the environment or of `hf auth login`. Never shown.
    """

    repo_id: str
    repo_type: RepoType = "model"
    revision: str = MAIN
    tag: str | None = None
    private: bool = True
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file to send: its path in the repository, its size in bytes, the hash of its bytes, and how old those are."""

    path: str
    size: int
    sha256: str
    modified: int = field(default=0, compare=False, repr=False)  # nanoseconds, as the file system has it


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """
    What came of publishing a folder.

    Args:
        target ([`HubTarget`]):
            Where it went, with its full `repo_id`.
        files (`list[PublishedFile]`):
            What belongs there.
        sent (`list[str]`):
            Paths that were sent; the others were there already.
        kept (`list[str]`):
            Paths left as they were on the Hub, such as a README that somebody wrote there.
        commit (`str` or `None`):
            Commit that holds the files; `None` for a dry run.
        tag (`str` or `None`):
            Its tag.
        url (`str`):
            Where to look.
    """

    target: HubTarget
    files: list[PublishedFile]
    sent: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    commit: str | None = None
    tag: str | None = None
    url: str = ""


def show_size(size: float) -> str:
    """A number of bytes, for people: `12.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
