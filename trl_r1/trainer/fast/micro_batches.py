"""Dealing the rows of an accumulation window out anew: without those that teach nothing, those that fit together.

A row never leaves its window, so the sum of the window's gradients keeps its terms; only their order changes. Rows are
known by what they are in TRL 1.16's buffer, a list of micro-batches with tensors of shape `(B, P)` for prompts
(padded left), `(B, C)` for completions (padded right) and `(B,)`. A buffer with anything else in it, as images, stays
as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from accelerate import Accelerator

from trl_r1.trainer.fast.micro_batch_plan import Plan, plan_micro_batches, row_sizes


logger = logging.getLogger(__name__)

MicroBatch = dict[str, Any]

# Keys added to a micro-batch. All values are numbers: the buffer goes into checkpoints.
ROW_SHARE: Final = "row_share"  # its rows, divided by those of TRL's micro-batch
TALLY: Final = "tally"  # fields of `Tally` by name

PROMPT_KEYS: Final = frozenset({"prompt_ids", "prompt_mask"})
# Completion keys, with what a row that only fills a place has there; `None` keeps what it is a copy of.
COMPLETION_KEYS: Final[dict[str, float | None]] = {
    "completion_ids": None,
    "completion_mask": 0,
    "tool_mask": 0,
    "advantages": 0,
    "old_per_token_logps": 0,
    "ref_per_token_logps": 0,
    "sampling_per_token_logps": 0,
    "importance_sampling_ratio": 1,
}
WHOLE_KEYS: Final = frozenset({"num_items_in_batch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrouping:
    """
    How rows are dealt out.

    Args:
        window (`int`):
            Neighbouring micro-batches whose rows may be mixed; divides those of a rollout.
        move_rows (`bool`):
            Whether rows may change micro-batch; otherwise each is a window of its own.
        skip_zero_advantage (`bool`):
            Whether rows without a term in the loss are left out.
        packed (`bool`):
            Whether the forward pass packs rows, see [`plan_micro_batches`].
        trim (`bool`):
            Whether padding may go. Where it changes what the model computes (absolute positions), all rows stay as
            wide as TRL made them.
        capacity (`int` or `None`):
            Tokens of a micro-batch; `None` for what TRL's own holds in this rollout, padding included.
        may_be_empty (`bool`):
            Whether a micro-batch may be left without a row on all processes.
    """

    window: int
    move_rows: bool
    skip_zero_advantage: bool
    packed: bool
    trim: bool
    capacity: int | None
    may_be_empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """
    What a micro-batch holds on all processes together, for the weights of its metrics.

    Args:
        rows (`int`):
            Rows, fillers included.
        fillers (`int`):
            Rows without a token, which only make their number the same on each process.
        tokens (`int`):
            Tokens with a place in the loss.
        rows_left_out (`int`):
            Rows of the window that are in none of its micro-batches; 0 but in the window's last.
        tokens_left_out (`int`):
            Their tokens.
    """

    rows: int
    fillers: int
    tokens: int
    rows_left_out: int
    tokens_left_out: int


def regroup(batches: list[MicroBatch], how: Regrouping, accelerator: Accelerator) -> list[MicroBatch]:
    """
    Deal out the rows of a rollout anew. A collective operation: every process calls it with as many micro-batches.

    Each new micro-batch is cut to its own longest prompt and completion (with `trim`) and has `ROW_SHARE` and `TALLY`;
    an empty one, at the front of its window, has only `ROW_SHARE`, 0. As many are empty, and the others have as many
    rows, on each process, since TRL gathers metrics row by row in each: copies of the row with the shortest prompt,
    without a token in the loss, fill the places. The last one of a window always has a row, so that a window without
    any signal still has gradients, zeros, and the optimiser's moments decay as they would.

    Args:
        batches (`list[dict[str, Any]]`):
            TRL's micro-batches, of equally many rows.
        how ([`Regrouping`]):
            What may be done.
        accelerator ([`~accelerate.Accelerator`]):
            Of the run.

    Returns:
        `list[dict[str, Any]]`: as many; the same ones where a key is unknown.
    """
    if unknown := _unknown_keys(batches[0]):
        logger.warning("rows stay in their micro-batches: %s may not be theirs alone", ", ".join(unknown))
        return batches
    per_batch, size = batches[0]["prompt_ids"].size(0), how.window if how.move_rows else 1
    windows = [_Window(batches[start : start + size], how.trim) for start in range(0, len(batches), size)]
    plans = [_plan(window, how, per_batch) for window in windows]
    tallies = _agree(windows, plans, how, accelerator)
    return [
        window.micro_batch(rows, tally, accelerator.num_processes, per_batch)
        for window, plan, counted in zip(windows, plans, tallies, strict=True)
        for rows, tally in zip(plan, counted, strict=True)
    ]


class _Window:
    """The rows of one accumulation window, side by side."""

    def __init__(self, batches: Sequence[MicroBatch], trim: bool) -> None:
        self.count = len(batches)
        first = batches[0]
        self.whole = {key: first[key] for key in first if key in WHOLE_KEYS or first[key] is None}
        self.rows = {key: torch.cat([batch[key] for batch in batches]) for key in first if key not in self.whole}
        mask = self.rows["completion_mask"]
        self.mask: torch.Tensor = mask * self.rows.get("tool_mask", 1)
        self.tokens: list[int] = self.mask.sum(dim=1).tolist()
        self.input_ids = torch.cat([self.rows["prompt_ids"], self.rows["completion_ids"]], dim=1)
        attended = torch.cat([self.rows["prompt_mask"], mask], dim=1)
        self.sizes = row_sizes(self.input_ids, attended if trim else torch.ones_like(attended), mask.size(1))

    def with_signal(self) -> list[int]:
        """Rows that have a term in a loss without KL: an advantage other than 0 where a token takes part."""
        advantages = self.rows["advantages"]
        terms = (advantages if advantages.dim() == 2 else advantages.unsqueeze(1)) * self.mask
        rows: list[int] = (terms != 0).any(dim=1).nonzero().flatten().tolist()
        return rows

    def micro_batch(self, rows: list[int], tally: Tally | None, processes: int, per_batch: int) -> MicroBatch:
        """The named rows as TRL's loss takes them, filled up to the number agreed on."""
        if tally is None:
            return {ROW_SHARE: 0.0}
        wanted = tally.rows // processes
        shortest = min(range(len(self.sizes)), key=lambda row: self.sizes[row].prompt)
        index = torch.tensor(rows + [shortest] * (wanted - len(rows)), device=self.mask.device)
        prompt = max(self.sizes[row].prompt for row in index.tolist())
        longest = max((self.sizes[row].completion for row in rows), default=0)
        completion = max(longest, 2)  # TRL takes (rows, 1) for one value a row, whatever the masks say
        batch = dict(self.whole)
        for key, value in self.rows.items():
            if key in PROMPT_KEYS:
                batch[key] = value[:, value.size(1) - prompt :][index]
                continue
            batch[key] = (value[:, :completion] if value.dim() == 2 else value)[index]
            filler = COMPLETION_KEYS[key]
            if filler is not None:
                batch[key][len(rows) :] = filler
        counted = {name: getattr(tally, name) for name in Tally.__slots__}
        return {**batch, ROW_SHARE: wanted / per_batch, TALLY: counted}


def _unknown_keys(batch: MicroBatch) -> list[str]:
    """Keys whose values may belong to something other than one row."""
    known = PROMPT_KEYS | COMPLETION_KEYS.keys() | WHOLE_KEYS
    return sorted(key for key, value in batch.items() if key not in known and value is not None)


def _plan(window: _Window, how: Regrouping, per_batch: int) -> Plan:
    """This process's rows of each micro-batch of a window, empty ones first."""
    rows = window.with_signal() if how.skip_zero_advantage else list(range(len(window.sizes)))
    if window.count == 1:
        return [rows]
    capacity = how.capacity or per_batch * window.input_ids.size(1)
    sizes = [window.sizes[row] for row in rows]
    plan = plan_micro_batches(sizes, window.count, capacity, packed=how.packed, use_all=not how.may_be_empty)
    return [[rows[place] for place in part] for part in plan]


def _agree(
    windows: Sequence[_Window], plans: Sequence[Plan], how: Regrouping, accelerator: Accelerator
) -> list[list[Tally | None]]:
    """What each micro-batch holds on all processes, `None` where it is empty on all of them."""
    counts = [
        [[len(part), sum(window.tokens[row] for row in part)] for part in plan]
        + [[len(window.tokens), sum(window.tokens)]]
        for window, plan in zip(windows, plans, strict=True)
    ]
    gathered: torch.Tensor = accelerator.gather(torch.tensor(counts, device=accelerator.device).unsqueeze(0))
    most, sums = gathered[..., 0].amax(dim=0).tolist(), gathered.sum(dim=0).tolist()
    return [
        _tallies(window_most[:-1], window_sums[:-1], window_sums[-1], how, accelerator.num_processes)
        for window_most, window_sums in zip(most, sums, strict=True)
    ]


def _tallies(
    most: list[int], sums: list[list[int]], whole: list[int], how: Regrouping, processes: int
) -> list[Tally | None]:
    """Tallies of one window: the most rows a process has in each micro-batch, and rows and tokens over all of them."""
    left_out = [total - sum(part[kind] for part in sums) for kind, total in enumerate(whole)]
    found: list[Tally | None] = []
    for place, (wanted, (rows, tokens)) in enumerate(zip(most, sums, strict=True)):
        last = place == len(most) - 1
        if wanted == 0 and how.may_be_empty and not last:
            found.append(None)
            continue
        in_all = max(wanted, 1) * processes
        found.append(
            Tally(
                rows=in_all,
                fillers=in_all - rows,
                tokens=tokens,
                rows_left_out=left_out[0] if last else 0,
                tokens_left_out=left_out[1] if last else 0,
            )
        )
    return found
