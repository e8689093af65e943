"""What becomes of a request that gives no completion."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


class BrokenReplyError(Exception):
    """A reply that cannot be read. Another try may bring a whole one."""


class UnusableReplyError(Exception):
    """A reply that can be read, and is not what was asked for. Another try would bring the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    Why there is no completion.

    Args:
        reason (`str`):
            In words, without secrets.
        status (`int`, *optional*):
            Of HTTP; `None` when no answer came, or one that says 200.
        passing (`bool`, *optional*, defaults to `False`):
            Whether another try may help.
        strikes_all (`bool`, *optional*, defaults to `False`):
            Whether every other request would fail as well.
        retry_after (`float`, *optional*):
            Seconds the server asks to be left alone.
    """

    reason: str
    status: int | None = None
    passing: bool = False
    strikes_all: bool = False
    retry_after: float | None = None

    def after(self, tries: int) -> Failure:
        """The same, with how often it was tried."""
        return self if tries < 2 else dataclasses.replace(self, reason=f"{self.reason} ({tries} tries)")
