"""Dealing out rows: being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator


ROW_SHARE = "row_share"


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrouping:
    """How rows are dealt out. See the contract in `fast_step.py`."""

    window: int
    move_rows: bool
    skip_zero_advantage: bool
    packed: bool
    capacity: int | None
    may_be_empty: bool


@dataclass(frozen=True, slots=True)
class RowSize:
    """Tokens of one row, and which rows share its prompt (rows of equal `group`)."""

    prompt: int
    completion: int
    group: int


def row_sizes(input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int) -> list[RowSize]:
    """Sizes of the rows of a padded batch."""
    raise NotImplementedError


def plan_micro_batches(sizes: Sequence[RowSize], count: int, capacity: int, *, packed: bool) -> list[list[int]]:
    """Deal rows out to at most `count` micro-batches; returns `count` lists of row numbers, empty ones first."""
    raise NotImplementedError


def regroup(batches: list[dict[str, Any]], how: Regrouping, accelerator: Accelerator) -> list[dict[str, Any]]:
    """Deal out the rows of a rollout anew."""
    return batches
