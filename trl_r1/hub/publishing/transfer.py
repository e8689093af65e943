"""Sending what a branch on the Hub lacks: look, compare, one commit; and look again when that went wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.errors import PublishError
from trl_r1.hub.publishing.access import taken
from trl_r1.hub.publishing.files import CARD_NAME, check_unchanged
from trl_r1.hub.publishing.patience import MOVED, Patience
from trl_r1.hub.publishing.remote_files import content_id, download, list_files, same
from trl_r1.hub.publishing.target import MAIN, HubTarget, PublishedFile, show_size


if TYPE_CHECKING:
    from huggingface_hub import GitRefs, HfApi, RepoFile

# Names under which transformers and PEFT look for weights: one that stays from an earlier push would be loaded.
STALE_WEIGHTS = re.compile(
    r"(merged/)?((adapter_)?model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|adapter_config\.json)"
)
STALE_DATA = re.compile(r"(train|validation|test)(-\d+-of-\d+)?\.(jsonl|parquet|csv)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A branch as it is on the Hub: its last commit and files by path, and the repository's tags."""

    head: str
    files: Mapping[str, RepoFile]
    tags: Mapping[str, str]  # name -> commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What makes a branch hold what a folder holds."""

    send: list[PublishedFile] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)  # other than the folder's, and left so

    def __bool__(self) -> bool:
        return bool(self.send or self.delete)


@dataclass(kw_only=True)
class Transfer:
    """
    Brings a branch up to a folder. Every step is safe to repeat, so that a killed one is simply run again.

    Args:
        api (`HfApi`):
            With the token.
        target ([`HubTarget`]):
            With its full `repo_id`.
        folder (`Path`):
            Where the files are.
        files (`Sequence[PublishedFile]`):
            What the branch must hold.
        trying ([`Patience`]):
            Shared by all steps.
        replace_readme (`bool`, *optional*, defaults to `False`):
            Whether a README that somebody wrote there makes room for ours.
        earlier (`Mapping[str, str]`, *optional*):
            Path of each file that the folder's last push left there, and its hash there ([`content_id`]).
    """

    api: HfApi
    target: HubTarget
    folder: Path
    files: Sequence[PublishedFile]
    trying: Patience
    replace_readme: bool = False
    earlier: Mapping[str, str] = field(default_factory=dict)

    def look(self) -> Remote | None:
        """The branch as it is; `None` when there is none."""
        refs = self.trying.attempt("listing branches", self._refs)
        tags = {tag.name: tag.target_commit for tag in refs.tags}
        head = next((branch.target_commit for branch in refs.branches if branch.name == self.target.revision), None)
        if head is None:
            return None
        return Remote(head=head, files=list_files(self.api, self.target, head, self.trying), tags=tags)

    def compare(self, remote: Remote) -> Changes:
        """What to send, delete and keep."""
        planned = {file.path for file in self.files}
        different = [file for file in self.files if not same(self.folder, file, remote.files.get(file.path))]
        keep = []
        if any(file.path == CARD_NAME for file in different) and self._keeps_readme(remote):
            different = [file for file in different if file.path != CARD_NAME]
            keep.append(CARD_NAME)
        delete = sorted(path for path in remote.files if path not in planned and self._is_stale(path, remote))
        others = sorted(set(remote.files) - planned - set(delete) - {".gitattributes"})
        return Changes(send=different, delete=delete, keep=keep + others)

    def send(self, message: str) -> tuple[str, list[str], list[str]]:
        """
        Send what the branch lacks, in one commit.

        Args:
            message (`str`):
                Of the commit.

        Returns:
            `tuple[str, list[str], list[str]]`: the commit that holds the files, the paths that were sent, and those
            that were kept.

        Raises:
            [`PublishError`]: when the Hub refuses, or for too long cannot be reached, or a file changed meanwhile.
        """
        sent: set[str] = set()

        def bring_up_to_date() -> tuple[str, list[str], list[str]]:
            check_unchanged(self.folder, self.files)
            remote = self.look()
            if remote is None:  # somebody deleted it meanwhile
                self.make_branch()
                remote = self.look()
            if remote is None:
                raise PublishError(f"revision: {self.target.revision!r} was made and is not there; try again later")
            changes = self.compare(remote)
            if not changes:  # nothing new, or an earlier try arrived and its answer was lost
                return remote.head, sorted(sent), changes.keep
            sent.update(file.path for file in changes.send)
            _announce(self.target, changes)
            commit = self._commit(changes, remote.head, message)
            check_unchanged(self.folder, self.files)
            return commit, sorted(sent), changes.keep

        return self.trying.attempt(f"sending to {self.target.repo_id!r}", bring_up_to_date, also=MOVED)

    def make_branch(self) -> None:
        """Make the branch from the repository's first commit, so that it holds nothing of other stages."""
        if self.target.revision == MAIN:
            return
        repo_id, repo_type, branch = self.target.repo_id, self.target.repo_type, self.target.revision

        def make() -> None:
            if any(found.name == branch for found in self._refs().branches):
                return
            first = self.api.list_repo_commits(repo_id, repo_type=repo_type, revision=MAIN)[-1].commit_id
            self.api.create_branch(repo_id, repo_type=repo_type, branch=branch, revision=first, exist_ok=True)

        self.trying.attempt(f"making branch {self.target.revision!r}", make)

    def tag(self, name: str, commit: str, *, strict: bool) -> str:
        """
        Tag a commit; with the beginning of its hash behind `name` where that is on another commit.

        Returns:
            `str`: the tag.

        Raises:
            [`PublishError`]: with `strict`, when the tag is on another commit.
        """

        def make() -> str:
            tags = {tag.name: tag.target_commit for tag in self._refs().tags}
            chosen = name if tags.get(name, commit) == commit or strict else f"{name}-{commit[:7]}"
            if chosen not in tags:
                self.api.create_tag(
                    self.target.repo_id, repo_type=self.target.repo_type, tag=chosen, revision=commit, exist_ok=True
                )
            elif tags[chosen] != commit:
                raise taken(chosen, tags[chosen])
            return chosen

        return self.trying.attempt(f"making tag {name!r}", make)

    def _refs(self) -> GitRefs:
        return self.api.list_repo_refs(self.target.repo_id, repo_type=self.target.repo_type)

    def _commit(self, changes: Changes, parent: str, message: str) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [CommitOperationDelete(path_in_repo=path) for path in changes.delete]
        for file in changes.send:
            addition = CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=self.folder / file.path)
            addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # known: large files are not read once more
            operations.append(addition)
        commit = self.api.create_commit(
            self.target.repo_id,
            operations,
            commit_message=message,
            repo_type=self.target.repo_type,
            revision=self.target.revision,
            parent_commit=parent,
        )
        return str(commit.oid)

    def _keeps_readme(self, remote: Remote) -> bool:
        """Whether the README there is somebody's own."""
        from trl_r1.hub.cards.text import is_unedited

        if CARD_NAME not in remote.files or self.replace_readme:
            return False
        content = download(self.api, self.target, CARD_NAME, remote.head, self.trying)
        return not is_unedited(content.decode("utf-8", errors="replace"))

    def _is_stale(self, path: str, remote: Remote) -> bool:
        """Whether a file is left from an earlier push, and would be used or believed in place of the new ones."""
        pattern = STALE_DATA if self.target.repo_type == "dataset" else STALE_WEIGHTS
        if pattern.fullmatch(path) or self._is_old_result(path, remote):
            return True
        return path in self.earlier and path != CARD_NAME and content_id(remote.files[path]) == self.earlier[path]

    def _is_old_result(self, path: str, remote: Remote) -> bool:
        """Whether a file holds a result that we published and no record backs any more. Those of others stay."""
        from trl_r1.hub.cards.eval_results import RESULTS_FOLDER, RESULTS_MARK

        if not path.startswith(f"{RESULTS_FOLDER}/") or remote.files[path].lfs is not None:
            return False
        return download(self.api, self.target, path, remote.head, self.trying).startswith(RESULTS_MARK.encode())


def _announce(target: HubTarget, changes: Changes) -> None:
    size = sum(file.size for file in changes.send)
    logger.info(
        "%s@%s: sending %d files (%s)%s",
        target.repo_id,
        target.revision,
        len(changes.send),
        show_size(size),
        f", deleting {len(changes.delete)} stale ones" if changes.delete else "",
    )
