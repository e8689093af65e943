"""The completions that have not ended: their tokens, positions, masks and cache, kept side by side and compact."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.masking_utils import create_masks_for_generate

from trl_r1.generation.growing_cache import GrowingLayer


# Tokens of room made at a time: at least so many, and a sixteenth of what is there. Less room means more copies; more
# room means keys that lie further apart, which slows attention down on a CPU.
BLOCK = 32


def _room_beside(columns: int) -> int:
    return max(BLOCK, columns // 16)


class LiveRows:
    """
    The rows of a batch that are still being generated.

    A row that has ended is taken out at once: the last rows take the places of those that left, so only as many rows
    are copied as have ended. `rows` says which row of the batch stands at each place.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Policy; makes the attention masks.
        input_ids (`torch.Tensor`):
            Prompts, shape `(rows, prompt tokens)`, padded on the left.
        attention_mask (`torch.Tensor` or `None`):
            0 where a prompt is padding; `None` when none is.
        position_ids (`torch.Tensor`):
            Positions of the prompts' tokens, shape `(rows, prompt tokens)`.
        prompt_of_row (`torch.Tensor`):
            Row of `cache` that holds a row's prompt, shape `(rows,)`.
        cache ([`~transformers.DynamicCache`]):
            Prompts that were read, of [`GrowingLayer`]s.
        max_length (`int`):
            Most tokens of a row, prompt included.
        pad (`int`):
            Token that fills rows up after their end.
    """

    FORWARD_INPUTS = frozenset({"input_ids", "attention_mask", "position_ids", "cache"})

    def __init__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_ids: torch.Tensor,
        prompt_of_row: torch.Tensor,
        cache: DynamicCache,
        max_length: int,
        pad: int,
    ) -> None:
        count, width = input_ids.shape
        self.cache = cache
        self.length = width  # tokens of a row so far, prompt and padding included
        self.rows = torch.arange(count, device=input_ids.device)
        self.ended = torch.zeros(count, dtype=torch.bool, device=input_ids.device)
        self._model = model
        self._max_length = max_length
        self._layers: list[GrowingLayer] = [layer for layer in cache.layers if isinstance(layer, GrowingLayer)]
        self._ids = input_ids.new_zeros((count, max_length))
        self._ids[:, :width] = input_ids
        self._output = torch.full_like(self._ids, pad)
        self._positions = position_ids[:, -1:].clone()
        self._room = min(max_length - width, _room_beside(width))
        for layer in self._layers:
            layer.expand(prompt_of_row, self._room)
        self._left_out = 0  # columns of padding that are in no row any more
        self._padding = None if attention_mask is None else (attention_mask == 0).sum(dim=1)
        self._paddings = [0] * count if self._padding is None else self._padding.tolist()
        self._masks: Any = None
        self._mask_columns = 0
        self._trim()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> torch.Tensor:
        """Tokens so far, shape `(rows left, length)`; a view."""
        return self._ids[:, : self.length]

    def append(self, tokens: torch.Tensor) -> None:
        """Add one token to every row; shape `(rows left,)`."""
        self._ids[:, self.length] = tokens
        self.length += 1

    def forward_inputs(self) -> dict[str, Any]:
        """What the model needs to read the last token of every row."""
        if self._room == 0:
            self._grow()
        self._room -= 1
        self._positions += 1
        return {
            "input_ids": self._ids[:, self.length - 1 : self.length].clone(memory_format=torch.contiguous_format),
            "attention_mask": self._mask(),
            "position_ids": self._positions.clone(),
            "cache": self.cache,
        }

    def drop(self, ended: list[bool]) -> None:
        """
        Take rows out.

        Args:
            ended (`list[bool]`):
                For each row that is left, whether it has ended.
        """
        self._keep_tokens(torch.tensor(ended, device=self._ids.device))
        left = ended.count(False)
        holes = [place for place in range(left) if ended[place]]
        movers = [place for place in range(left, len(ended)) if not ended[place]]
        source = torch.tensor(movers, dtype=torch.long, device=self._ids.device)
        target = torch.tensor(holes, dtype=torch.long, device=self._ids.device)
        for layer in self._layers:
            layer.move(source, target, left)
        for hole, mover in zip(holes, movers, strict=True):
            self._paddings[hole] = self._paddings[mover]
        del self._paddings[left:]
        self.rows, self._ids, self._positions = (
            _move(tensor, source, target, left) for tensor in (self.rows, self._ids, self._positions)
        )
        if self._padding is not None:
            self._padding = _move(self._padding, source, target, left)
        self.ended = torch.zeros(left, dtype=torch.bool, device=self._ids.device)
        if isinstance(self._masks, dict):
            self._masks = {name: _move(mask, source, target, left) for name, mask in self._masks.items()}
        elif self._masks is not None:
            self._masks = _move(self._masks, source, target, left)
        if left:
            self._trim()

    def sequences(self) -> torch.Tensor:
        """Tokens of all rows of the batch, in its order, shape `(rows, length)`; ended rows are filled up."""
        self._keep_tokens(slice(None))
        return self._output[:, : self.length].clone()

    def _keep_tokens(self, places: Any) -> None:
        self._output[self.rows[places], : self.length] = self._ids[places, : self.length]

    def _grow(self) -> None:
        width = self.length - self._left_out
        self._room = min(self._max_length - self.length, _room_beside(width))
        for layer in self._layers:
            layer.grow(self._room)

    def _trim(self) -> None:
        """Leave out the columns that are padding in every row; no mask is needed where no padding is left."""
        columns = min(self._paddings) - self._left_out
        if columns:
            for layer in self._layers:
                layer.trim(columns)
            self._left_out += columns
            self._masks = None
        if max(self._paddings) == self._left_out:
            self._padding = self._masks = None

    def _mask(self) -> Any:
        """Mask of the next forward pass, over the columns that are left and the new token; `None` without padding."""
        if self._padding is None:
            return None
        width = self.length - self._left_out
        if self._masks is None or width > self._mask_columns:
            self._mask_columns = width + 2 * _room_beside(width)
            self._masks = self._make_masks(self._padding - self._left_out, self._mask_columns)
        if isinstance(self._masks, dict):
            return {name: mask[..., :width] for name, mask in self._masks.items()}
        return self._masks[..., :width]

    def _make_masks(self, padding: torch.Tensor, columns: int) -> Any:
        """The masks of a token that sees `columns` columns, as Transformers makes them for this model's attention."""
        mask = (torch.arange(columns, device=padding.device) >= padding.unsqueeze(1)).long()
        if not getattr(self._model, "_can_compile_fullgraph", False):
            return mask
        # A model that can run with a static cache takes masks made in advance. One that is longer than what is there
        # serves many steps: a cut of it is the mask of an earlier one.
        seen = torch.zeros((1, 1, columns - 1, 1), device=padding.device)
        make = getattr(self._model, "create_masks_for_generate", create_masks_for_generate)
        masks = make(
            config=self._model.config,
            inputs_embeds=torch.empty((len(padding), 1, 0), dtype=self._model.dtype, device=padding.device),
            attention_mask=mask,
            cache=DynamicCache([(seen, seen)]),
            position_ids=self._positions,
        )
        found = list(masks.values()) if isinstance(masks, dict) else [masks]
        ready = all(isinstance(one, torch.Tensor) and one.ndim == 4 and one.size(-1) == columns for one in found)
        return masks if ready else mask


def _move(tensor: torch.Tensor, source: torch.Tensor, target: torch.Tensor, left: int) -> torch.Tensor:
    if len(source):
        tensor[target] = tensor[source]
    return tensor[:left]
