"""`published.json`: where a folder was published last, and what of it is there."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trl_r1.hub.publishing.files import PUBLISHED_NAME
from trl_r1.hub.publishing.target import PublishResult
from trl_r1.stage_record import write_json


logger = logging.getLogger(__name__)


def read_published(folder: str | Path) -> dict[str, Any]:
    """`published.json`: where the folder was last published; empty when it never was."""
    try:
        content = json.loads((Path(folder) / PUBLISHED_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it only saves work: without it, everything is compared
        return {}
    return content if isinstance(content, dict) else {}


def write_published(folder: Path, result: PublishResult, content: Mapping[str, str]) -> None:
    """Write `published.json`: where the folder is on the Hub, and the hash the Hub has of each file. No token."""
    target = result.target
    record = {
        "repo_id": target.repo_id,
        "repo_type": target.repo_type,
        "revision": target.revision,
        "tag": result.tag,
        "commit": result.commit,
        "url": result.url,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": dict(content),
    }
    try:
        write_json(folder / PUBLISHED_NAME, record)
    except OSError as error:  # a folder that is read only, say; all has arrived, and this only saves work
        logger.warning("%s: not written (%s)", folder / PUBLISHED_NAME, error.strerror)
