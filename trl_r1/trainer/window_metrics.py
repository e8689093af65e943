"""Metrics of regrouped micro-batches: being written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class WindowMetrics:
    """Weighs what TRL logs a micro-batch."""

    def __init__(self, trainer: Any, rows_left_out: bool) -> None:
        self._trainer = trainer

    @contextmanager
    def weigh(self, inputs: dict[str, Any]) -> Iterator[None]:
        """Around TRL's `_compute_loss` of one micro-batch."""
        yield
