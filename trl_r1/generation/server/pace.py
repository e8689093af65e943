"""When a request may leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """
    Spaces requests evenly, and holds them all back when the server asks for it.

    Args:
        requests_per_minute (`float`, *optional*):
            At most; without it only `hold` delays.
        clock (`Callable`, *optional*):
            Seconds that only grow.
        sleep (`Callable`, *optional*):
            Waits for seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self._clock = clock
        self.sleep = sleep
        self._next_slot = self._held_until = clock()

    def hold(self, seconds: float) -> None:
        """Let no request leave for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    async def turn(self) -> None:
        """Wait until it is this request's turn."""
        while (wait := self._held_until - self._clock()) > 0:
            await self.sleep(wait)
        if not self._interval:
            return
        slot = max(self._clock(), self._next_slot)
        self._next_slot = slot + self._interval
        if (wait := slot - self._clock()) > 0:
            await self.sleep(wait)
