"""The text of a card: from its template, with a mark at its end that tells an untouched card from an edited one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final


_SEAL: Final = "<!-- trl_r1 card, sha256 {} -->\n"
_SEALED = re.compile(r"(?P<text>.*)<!-- trl_r1 card, sha256 (?P<digest>[0-9a-f]{64}) -->\s*", re.DOTALL)


def render(template: str, sections: Mapping[str, Any]) -> str:
    """Fill a template of the package, by its file name; one that asks for a section that is not there is an error."""
    import jinja2

    source = (files("trl_r1") / "templates" / template).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(source).render(sections)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file of a card so that a reader sees the old one or the whole new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    partial.replace(path)


def seal(text: str) -> str:
    """
    End a generated card with the hash of its own text.

    Args:
        text (`str`):
            The card. A line break is added at its end if there is none.

    Returns:
        `str`: the card with one more line, an HTML comment that the Hub does not show.
    """
    text = text if text.endswith("\n") else text + "\n"
    return text + _SEAL.format(_digest(text))


def is_unedited(text: str) -> bool:
    """
    Whether a card is one of ours, exactly as it was written, so that a newer one may take its place.

    Line ends may differ (a checkout on Windows changes them); anything else makes it somebody's own card.
    """
    match = _SEALED.fullmatch(text.replace("\r\n", "\n"))
    return match is not None and match["digest"] == _digest(match["text"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
