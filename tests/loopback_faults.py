"""Faults of a loopback Hub: which requests they strike, and what becomes of those."""

import re
from dataclasses import dataclass


@dataclass
class Fault:
    """See `LoopbackHub.fault`; `struck` counts the requests it met."""

    method: str
    pattern: re.Pattern
    status: int | None
    drop: object
    truncate: bool
    delay: float
    times: int | None
    after: int
    retry_after: int | None
    struck: int = 0

    def strikes(self, method, path):
        """Whether this request is struck; counts it."""
        if self.method not in ("*", method) or not self.pattern.search(path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True
