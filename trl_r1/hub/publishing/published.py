"""`published.json`: where a folder was published last, and what of it is there."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trl_r1.hub.publishing.target import HubTarget, PublishResult
from trl_r1.stage_record import PUBLISHED_NAME, write_json


logger = logging.getLogger(__name__)


def read_published(folder: str | Path) -> dict[str, Any]:
    """`published.json`: where the folder was last published; empty when it never was."""
    try:
        content = json.loads((Path(folder) / PUBLISHED_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it only saves work: without it, everything is compared
        return {}
    return content if isinstance(content, dict) else {}


def keep_first_tag(folder: str | Path, target: HubTarget) -> HubTarget:
    """
    A target that asks for no tag which an earlier push of the folder has set there: a recipe's tag does not move.

    Otherwise a card that gets its results after the stage was published could never be sent.
    """
    if target.tag is None or target.tag not in _tags(read_published(folder), target.repo_id):
        return target
    logger.info("tag %s stays where %s was first published", target.tag, folder)
    return dataclasses.replace(target, tag=None)


def _tags(record: Mapping[str, Any], repo_id: str) -> list[str]:
    """Tags that a folder's pushes set in a repository, whose namespace may not be known yet."""
    there = str(record.get("repo_id")).rpartition("/")[2] == repo_id.rpartition("/")[2]
    tags = record.get("tags")
    return [str(tag) for tag in tags] if there and isinstance(tags, list) else []


def write_published(folder: Path, result: PublishResult, content: Mapping[str, str]) -> None:
    """Write `published.json`: where the folder is on the Hub, and the hash the Hub has of each file. No token."""
    target = result.target
    record = {
        "repo_id": target.repo_id,
        "repo_type": target.repo_type,
        "revision": target.revision,
        "tag": result.tag,
        "tags": list(dict.fromkeys([*_tags(read_published(folder), target.repo_id), result.tag])),
        "commit": result.commit,
        "url": result.url,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": dict(content),
    }
    try:
        write_json(folder / PUBLISHED_NAME, record)
    except OSError as error:  # a folder that is read only, say; all has arrived, and this only saves work
        logger.warning("%s: not written (%s)", folder / PUBLISHED_NAME, error.strerror)
