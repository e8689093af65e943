"""Publish a finished stage: check, send, tag, read back; safe to repeat, and never the end of a run."""

from __future__ import annotations

import dataclasses
import logging
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trl_r1.errors import PublishError, R1Error
from trl_r1.hub.publishing.access import (
    ask_for,
    check_names,
    find_repository,
    find_token,
    full_name,
    taken,
    whose_token,
)
from trl_r1.hub.publishing.files import (
    CARD_NAME,
    hash_files,
    plan_files,
    read_finished,
    repo_type_of,
)
from trl_r1.hub.publishing.patience import DEFAULT_PATIENCE, Patience, explain
from trl_r1.hub.publishing.published import read_published, write_published
from trl_r1.hub.publishing.read_back import read_back
from trl_r1.hub.publishing.target import MAIN, HubTarget, PublishedFile, PublishResult, show_size
from trl_r1.hub.publishing.transfer import Transfer
from trl_r1.redaction import hide_forms
from trl_r1.stage_record import StageRecord


if TYPE_CHECKING:
    from huggingface_hub import HfApi

URL_PARTS = {"model": "", "dataset": "datasets/", "space": "spaces/"}

logger = logging.getLogger(__name__)


def publish(
    folder: str | Path,
    target: HubTarget,
    *,
    replace_readme: bool = False,
    dry_run: bool = False,
    include: Sequence[str] = (),
    patience: float = DEFAULT_PATIENCE,
) -> PublishResult:
    """
    Publish the folder of a finished stage, and read back what was pushed.

    Only what differs is sent, in one commit, so that the same call again sends nothing, and goes on where a killed one
    stopped. A new branch begins at the repository's first commit and holds its own stage only. Weights and data files
    of an earlier push that the folder no longer has are deleted in the same commit; other files there stay.

    Args:
        folder (`str` or `Path`):
            With `stage.json`. Its card is written first if it has none.
        target ([`HubTarget`]):
            Where to.
        replace_readme (`bool`, *optional*, defaults to `False`):
            Whether to replace a README that is not a card of ours, unedited.
        dry_run (`bool`, *optional*, defaults to `False`):
            Send and write nothing. The Hub is asked what it has, if it can be.
        include (`Sequence[str]`, *optional*):
            Patterns of more files to send, such as `"completions/*"`.
        patience (`float`, *optional*, defaults to 600):
            Seconds of waiting and failed tries, all steps together, after which to give up.

    Returns:
        [`PublishResult`]: what is there now.

    Raises:
        [`PublishError`]: when the folder is not finished or holds a token, a name is not valid, the Hub refuses or
            cannot be reached, or holds other bytes than were sent.
    """
    folder = Path(folder)
    check_names(target)
    record = read_finished(folder)
    _check_type(folder, record, target)
    if dry_run:
        return _preview(folder, record, target, replace_readme, include)
    token = find_token(target)
    _finish_card(folder, record, target)
    files = plan_files(folder, token=token, include=include)
    trying = Patience(patience)
    target = ask_for(target, trying, make=True)
    return _push(folder, record, target, files, replace_readme, trying)


def publish_or_explain(
    folder: str | Path,
    target: HubTarget,
    *,
    replace_readme: bool = False,
    dry_run: bool = False,
    include: Sequence[str] = (),
    patience: float = DEFAULT_PATIENCE,
) -> PublishResult | None:
    """
    [`publish`] that does not raise: what is trained is on disk, and a run must not fail for what can be sent later.

    Returns:
        [`PublishResult`] or `None`: `None` after the reason, and the command for later, were logged.
    """
    try:
        return publish(
            folder, target, replace_readme=replace_readme, dry_run=dry_run, include=include, patience=patience
        )
    except R1Error as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001  (a week of training does not end on whatever a client raises)
        reason = explain(error)
    command = publish_command(folder, target)
    logger.error("not published: %s\nAll is on disk in %s. Publish it later with\n  %s", reason, folder, command)
    return None


def publish_command(folder: str | Path, target: HubTarget) -> str:
    """The command line that publishes a folder to a target; the token is not on it."""
    words = ["trl-r1", "publish", str(folder), "--repo_id", target.repo_id, "--repo_type", target.repo_type]
    words += ["--revision", target.revision]
    words += ["--tag", target.tag] if target.tag else []
    words += [] if target.private else ["--public"]
    return shlex.join(words)


def default_tag(record: StageRecord, files: Sequence[PublishedFile]) -> str:
    """The stage's name, and the beginning of the hash of what is published of it, without the card."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", record.stage).strip("-") or "stage"
    return f"{name}-{hash_files([file for file in files if file.path != CARD_NAME])[:8]}"


def _push(
    folder: Path,
    record: StageRecord,
    target: HubTarget,
    files: Sequence[PublishedFile],
    replace_readme: bool,
    trying: Patience,
) -> PublishResult:
    """Send, tag, read back and write `published.json`, to a place that was checked."""
    from huggingface_hub import HfApi

    api = HfApi(token=target.token)
    transfer = _transfer(api, folder, target, files, replace_readme, trying)
    transfer.make_branch()
    _check_tag(transfer, target)
    commit, sent, kept = transfer.send(f"Publish {record.stage}")
    content = read_back(api, target, folder, files, commit, trying, kept=kept)
    tag = transfer.tag(target.tag or default_tag(record, files), commit, strict=target.tag is not None)
    result = PublishResult(
        target=target,
        files=list(files),
        sent=sent,
        kept=kept,
        commit=commit,
        tag=tag,
        url=_url(api, target),
    )
    write_published(folder, result, content)
    _summarise(result)
    return result


def _transfer(
    api: HfApi,
    folder: Path,
    target: HubTarget,
    files: Sequence[PublishedFile],
    replace_readme: bool,
    trying: Patience,
) -> Transfer:
    last = read_published(folder)
    here = (last.get("repo_id"), last.get("repo_type"), last.get("revision"))
    earlier = last.get("files") if here == (target.repo_id, target.repo_type, target.revision) else None
    return Transfer(
        api=api,
        target=target,
        folder=folder,
        files=files,
        trying=trying,
        replace_readme=replace_readme,
        earlier=earlier if isinstance(earlier, dict) else {},
    )


def _check_type(folder: Path, record: StageRecord, target: HubTarget) -> None:
    kind = repo_type_of(folder, record)
    if target.repo_type in ("model", "dataset") and target.repo_type != kind:
        raise PublishError(
            f"repo_type: {target.repo_type!r}, and {str(folder)!r} holds a {kind}; publish it with --repo_type {kind}"
        )


def _finish_card(folder: Path, record: StageRecord, target: HubTarget) -> None:
    """Write card and lineage of a folder that has no card."""
    from trl_r1.hub.lineage import write_lineage

    if (folder / CARD_NAME).is_file():
        return
    # The card says how to load what it names, so it names the repository only with the branch that it will name.
    named = "/" in target.repo_id and target.revision == (record.config.get("hub_revision") or MAIN)
    shared: dict[str, Any] = {
        "license": record.config.get("hub_license"),
        "repo_id": target.repo_id if named else None,
    }
    try:
        write_lineage(folder)
        if repo_type_of(folder, record) == "model":
            from trl_r1.hub.cards.model_card import create_model_card

            create_model_card(folder, **shared)
        else:
            from trl_r1.hub.cards.dataset_card import create_dataset_card

            create_dataset_card(folder, **shared)
    except (R1Error, OSError) as error:
        raise PublishError(f"{CARD_NAME}: cannot be written, and nothing is sent without it; {error}") from error


def _check_tag(transfer: Transfer, target: HubTarget) -> None:
    """Before anything is sent: a tag that was asked for is free, or on what is to be published."""
    if target.tag is None:
        return
    remote = transfer.look()
    if remote is None or (found := remote.tags.get(target.tag)) is None:
        return
    if found != remote.head or transfer.compare(remote):
        raise taken(target.tag, found)


def _preview(
    folder: Path, record: StageRecord, target: HubTarget, replace_readme: bool, include: Sequence[str]
) -> PublishResult:
    """What `publish` would do, as far as it can be known from here."""
    from huggingface_hub import HfApi, constants, get_token

    token = target.token or get_token()
    files = plan_files(folder, token=token, include=include)
    everything = PublishResult(
        target=target,
        files=files,
        sent=[file.path for file in files],
        tag=target.tag or default_tag(record, files),
    )
    if constants.is_offline_mode() or not token:
        return everything
    trying = Patience(0)
    api = HfApi(token=token)
    try:
        who = whose_token(api, token, trying)
        target = dataclasses.replace(target, repo_id=full_name(target.repo_id, who), token=token)
        found = find_repository(api, target, trying)
        target = dataclasses.replace(target, repo_id=found.id) if found else target
        everything = dataclasses.replace(everything, target=target, url=_url(api, target))
        transfer = _transfer(api, folder, target, files, replace_readme, trying)
        if not found or (remote := transfer.look()) is None:
            return everything
        changes = transfer.compare(remote)
    except PublishError as error:
        logger.warning("not compared with the Hub: %s", explain(error))
        return everything
    return dataclasses.replace(everything, sent=[file.path for file in changes.send], kept=changes.keep)


def _url(api: HfApi, target: HubTarget) -> str:
    branch = quote(target.revision, safe="")
    return f"{hide_forms(api.endpoint)}/{URL_PARTS[target.repo_type]}{target.repo_id}/tree/{branch}"


def _summarise(result: PublishResult) -> None:
    sizes = {file.path: file.size for file in result.files}
    size = show_size(sum(sizes[path] for path in result.sent if path in sizes))
    what = f"sent {len(result.sent)} of {len(result.files)} files ({size})" if result.sent else "nothing new to send"
    logger.info("%s: %s, all read back; commit %s, tag %s", result.url, what, (result.commit or "")[:12], result.tag)
    if CARD_NAME in result.kept:
        logger.warning("the README there is not a card of ours and was kept; --replace_readme replaces it")
