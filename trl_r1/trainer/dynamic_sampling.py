"""Dynamic sampling: being written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class DynamicSampler:
    """Replaces groups without signal by groups of fresh prompts."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def fill(
        self, rows: list[dict[str, Any]], generate: Callable[[list[dict[str, Any]]], dict[str, Any]]
    ) -> dict[str, Any]:
        """A rollout of as many rows, each group with signal; `generate` generates and scores one round."""
        return generate(rows)
