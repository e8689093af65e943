"""An endless stream of prompts beside TRL's sampler, with a random state of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

import torch

from trl_r1.data.difficulty import prompt_key


_SEED_OFFSET: Final = 104_729  # so that its first epoch is not the order TRL's sampler draws from the same seed


class FreshPrompts:
    """
    Rows of a dataset in a random order, epoch after epoch; the same stream in every process.

    Args:
        dataset (`datasets.Dataset`):
            Map-style, with a column `prompt`.
        seed (`int`):
            Seed of its generator; the global random state is neither read nor moved.
        order (`Callable[[list[int]], list[int]]`, *optional*):
            Turns an epoch's random order into the one to draw in, as a curriculum does.
    """

    def __init__(self, dataset: Any, seed: int, order: Callable[[list[int]], list[int]] | None = None) -> None:
        self._dataset = dataset
        self._reorder = order
        self._generator = torch.Generator().manual_seed(seed + _SEED_OFFSET)
        self._order: list[int] = []
        self._position = 0

    def draw(self, count: int, taken: Collection[str]) -> list[dict[str, Any]]:
        """
        The next rows, all of different prompts.

        Args:
            count (`int`):
                Rows wanted.
            taken (`Collection[str]`):
                `prompt_key` of prompts to pass over.

        Returns:
            `list[dict[str, Any]]`: fewer than `count` where the dataset has no more prompts than that.
        """
        rows: list[dict[str, Any]] = []
        passed_over, used = 0, set(taken)
        # Two lengths of the dataset hold one whole epoch, wherever the stream stands
        while len(rows) < count and passed_over < 2 * len(self._dataset):
            row = self._next()
            key = prompt_key(row["prompt"])
            if key in used:
                passed_over += 1
                continue
            passed_over = 0
            used.add(key)
            rows.append(row)
        return rows

    def state_dict(self) -> dict[str, Any]:
        """The rest of the epoch and the generator's state."""
        return {
            "order": torch.tensor(self._order[self._position :], dtype=torch.int64),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a stream stood."""
        self._order, self._position = state["order"].tolist(), 0
        self._generator.set_state(state["generator"])

    def _next(self) -> dict[str, Any]:
        if self._position >= len(self._order):
            order: list[int] = torch.randperm(len(self._dataset), generator=self._generator).tolist()
            self._order, self._position = order if self._reorder is None else self._reorder(order), 0
        row: dict[str, Any] = self._dataset[self._order[self._position]]
        self._position += 1
        return row
