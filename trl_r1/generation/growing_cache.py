"""Keys and values of the rows still being generated: appended in place, and a row that has ended makes room.

Transformers' `DynamicLayer` copies its whole content for every new token, and keeps rows that have ended.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class GrowingLayer(DynamicLayer):
    """
    Keys and values of one attention layer, in a store with room for tokens to come.

    Attention sees the values that `DynamicLayer` would show for the rows and columns that are left. Shapes are
    `(rows, heads, tokens, head dimension)`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._key_store: torch.Tensor | None = None
        self._value_store: torch.Tensor | None = None
        self._start = self._end = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Append the keys and values of new tokens.

        Args:
            key_states (`torch.Tensor`):
                Keys of the prompts (before [`GrowingLayer.expand`]), or of one token a row.
            value_states (`torch.Tensor`):
                Their values.

        Returns:
            `tuple[torch.Tensor, torch.Tensor]`: keys and values of all tokens so far; views, valid until the next
            call.
        """
        if self._key_store is None or self._value_store is None:
            return super().update(key_states, value_states, *args, **kwargs)
        tokens = key_states.shape[-2]
        self._key_store.narrow(2, self._end, tokens).copy_(key_states)
        self._value_store.narrow(2, self._end, tokens).copy_(value_states)
        self._end += tokens
        self._show()
        return self.keys, self.values  # type: ignore[return-value]

    def expand(self, rows: torch.Tensor, room: int) -> None:
        """
        Give every completion its copy of the prompt that was read once.

        Args:
            rows (`torch.Tensor`):
                For each completion, the row of its prompt; shape `(completions,)`.
            room (`int`):
                Tokens that can be appended before [`GrowingLayer.grow`] is called.
        """
        keys, values = self.keys, self.values
        assert keys is not None
        assert values is not None
        self._end = keys.shape[2]
        self._key_store = _store(keys.index_select(0, rows), room)
        self._value_store = _store(values.index_select(0, rows), room)
        self._show()

    def move(self, source: torch.Tensor, target: torch.Tensor, rows: int) -> None:
        """
        Put the last rows into the places of those that have ended, and keep the first `rows`.

        Args:
            source (`torch.Tensor`):
                Rows that move.
            target (`torch.Tensor`):
                Where they go, as many.
            rows (`int`):
                Rows that are left.
        """
        assert self._key_store is not None
        assert self._value_store is not None
        if len(source):
            columns = slice(self._start, self._end)
            for store in (self._key_store, self._value_store):
                store[target, :, columns] = store[source, :, columns]
        self._key_store, self._value_store = self._key_store[:rows], self._value_store[:rows]
        self._show()

    def trim(self, columns: int) -> None:
        """Leave out the first `columns` tokens, which are padding in every row that is left."""
        self._start += columns
        self._show()

    def grow(self, room: int) -> None:
        """Make room for `room` more tokens; memory of rows and columns that were left out is given back."""
        assert self.keys is not None
        assert self.values is not None
        self._key_store, self._value_store = _store(self.keys, room), _store(self.values, room)
        self._start, self._end = 0, self._end - self._start
        self._show()

    def _show(self) -> None:
        assert self._key_store is not None
        assert self._value_store is not None
        self.keys = self._key_store.narrow(2, self._start, self._end - self._start)
        self.values = self._value_store.narrow(2, self._start, self._end - self._start)


def _store(states: torch.Tensor, room: int) -> torch.Tensor:
    rows, heads, tokens, size = states.shape
    store = states.new_empty((rows, heads, tokens + room, size))
    store[:, :, :tokens] = states
    return store


def holds_plain_layers(cache: Any) -> bool:
    """Whether a cache is new and has only layers that keep every key of every row, on the device."""
    return (
        type(cache) is DynamicCache
        and not cache.offloading
        and bool(cache.layers)
        and all(type(layer) is DynamicLayer and not layer.is_initialized for layer in cache.layers)
    )
