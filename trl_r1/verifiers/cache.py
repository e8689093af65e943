"""Judgements that cost a process's time, kept for the next time the same is asked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar


Judged = TypeVar("Judged")


class JudgementCache(Generic[Judged]):
    """
    Judgements by key, the one not asked for the longest dropped first. Usable from any thread.

    Args:
        size (`int`):
            Judgements kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._judgements: OrderedDict[Hashable, Judged] = OrderedDict()

    def get(self, key: Hashable) -> Judged | None:
        """The judgement kept under a key, or `None`."""
        with self._lock:
            if key in self._judgements:
                self._judgements.move_to_end(key)
            return self._judgements.get(key)

    def put(self, key: Hashable, judgement: Judged) -> None:
        """Keep a judgement."""
        with self._lock:
            self._judgements[key] = judgement
            self._judgements.move_to_end(key)
            if len(self._judgements) > self._size:
                self._judgements.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._judgements.clear()
