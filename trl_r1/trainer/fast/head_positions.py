"""The LM head on chosen positions only.

TRL's fused head keeps to labelled positions where Triton runs, and scores every position elsewhere, prompts and
padding included. A hook on the backbone hands it the positions that have a label and no others, on any device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel


class HeadPositions:
    """
    A hook on the backbone of each model; idle except inside [`~HeadPositions.only`].

    The backbone is an inner module, so this works whatever wraps the model: DDP, FSDP, DeepSpeed, PEFT.

    Args:
        models (`Sequence[Any]`):
            Causal language models, with their wrappers of training taken off; PEFT's may be on.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        self._positions: torch.Tensor | None = None
        self._hooks = [_backbone(model).register_forward_hook(self._cut) for model in models]

    @contextmanager
    def only(self, positions: torch.Tensor) -> Iterator[None]:
        """
        Within it the head sees these positions, as one row.

        Args:
            positions (`torch.Tensor`):
                Indices of shape `(labels,)` into the flattened `(rows, tokens)`.
        """
        self._positions = positions
        try:
            yield
        finally:
            self._positions = None

    def remove(self) -> None:
        """Take the hooks off the models."""
        for hook in self._hooks:
            hook.remove()

    def _cut(self, backbone: torch.nn.Module, inputs: Any, output: Any) -> Any:
        if self._positions is not None:
            hidden = output.last_hidden_state.flatten(0, 1)
            output.last_hidden_state = hidden.index_select(0, self._positions.to(hidden.device)).unsqueeze(0)
        return output


def _backbone(model: Any) -> torch.nn.Module:
    """The module that TRL's fused head calls."""
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    backbone: torch.nn.Module = inner.base_model
    return backbone


def spread(values: torch.Tensor, targets: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """
    Put one number a label where TRL has it, and 0 elsewhere.

    Args:
        values (`torch.Tensor`):
            Shape `(1, labels)`.
        targets (`torch.Tensor`):
            Shape `(labels,)`: place in the flattened result. Empty if no row has a token: then the result is all 0,
            and still hangs together with `values`, so that `backward` runs.
        rows (`int`):
            Rows of the result.
        columns (`int`):
            Columns of the result.

    Returns:
        `torch.Tensor`: shape `(rows, columns)`.
    """
    flat = values.flatten()
    if not targets.numel():  # one value, of a label that stands in for none
        return (
            flat[:1]
            .masked_fill(torch.ones_like(flat[:1], dtype=torch.bool), 0.0)
            .expand(rows * columns)
            .view(rows, columns)
        )
    return flat.new_zeros(rows * columns).index_copy(0, targets.to(flat.device), flat).view(rows, columns)
