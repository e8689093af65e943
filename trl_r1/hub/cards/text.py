"""The mark at the end of a generated card, which tells an untouched one from one that somebody edited."""

from __future__ import annotations

import hashlib
import re
from typing import Final


_SEAL: Final = "<!-- trl_r1 card, sha256 {} -->\n"
_SEALED = re.compile(r"(?P<text>.*)<!-- trl_r1 card, sha256 (?P<digest>[0-9a-f]{64}) -->\s*", re.DOTALL)


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
