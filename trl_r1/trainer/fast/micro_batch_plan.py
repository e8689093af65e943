"""Which rows share a micro-batch: bin packing by tokens, in the memory TRL's own micro-batch would need.

Two costs, one for each forward pass. Packed: a prompt of `P` tokens counts `P - 1` once for all its rows, each
completion its own tokens. Padded: rows times the longest prompt plus the longest completion among them.

A plan always exists when `capacity` is at least `B * W`, for at most `count * B` rows no wider than `W`: a micro-batch
that has no room for one more row holds `B` rows already, so all of them together hold every row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch


Plan = list[list[int]]


@dataclass(frozen=True, slots=True)
class RowSize:
    """Tokens of one row, and which rows share its prompt (rows of equal `group`)."""

    prompt: int
    completion: int
    group: int


def row_sizes(input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int) -> list[RowSize]:
    """
    Sizes of the rows of a padded batch.

    Args:
        input_ids (`torch.Tensor`):
            Shape `(rows, width)`: prompts padded on the left, completions on the right.
        attention_mask (`torch.Tensor`):
            Same shape, 0 on padding.
        logits_to_keep (`int`):
            Columns of the completions.

    Returns:
        `list[RowSize]`: one a row; equal prompts have equal `group`.
    """
    start = input_ids.size(1) - logits_to_keep
    prompts = input_ids[:, :start].masked_fill(attention_mask[:, :start] == 0, -1)
    groups = torch.unique(prompts, dim=0, return_inverse=True)[1]
    lengths = [attention_mask[:, :start].sum(dim=1), attention_mask[:, start:].sum(dim=1), groups]
    return [RowSize(*row) for row in torch.stack(lengths, dim=1).tolist()]


def plan_micro_batches(
    sizes: Sequence[RowSize], count: int, capacity: int, *, packed: bool, use_all: bool = False
) -> Plan:
    """
    Deal rows out to at most `count` micro-batches.

    Packed: the rows of a prompt together where they fit, and no more micro-batches than that takes. Padded: neighbours
    in length together, so that as little as possible is padding; more micro-batches mean less of it.

    Args:
        sizes (`Sequence[RowSize]`):
            Of each row.
        count (`int`):
            Micro-batches at most.
        capacity (`int`):
            Tokens of one of them. Where that is too little for all rows, the least that holds them.
        packed (`bool`):
            Which cost counts.
        use_all (`bool`, *optional*, defaults to `False`):
            Whether each of them should have a row.

    Returns:
        `list[list[int]]`: `count` lists of row numbers, ascending; from the cheapest to the dearest, empty ones first.
    """
    if not sizes:
        return [[] for _ in range(count)]
    pack, cost = (_pack_groups, packed_cost) if packed else (_cut_by_length, padded_cost)
    plan = pack(sizes, count, capacity, use_all)
    if plan is None:
        whole = cost(sizes, range(len(sizes)))
        plan = _least(lambda bound: pack(sizes, count, bound, use_all), capacity, whole)
    parts = sorted((sorted(part) for part in plan if part), key=lambda part: (cost(sizes, part), part))
    return [[] for _ in range(count - len(parts))] + parts


def packed_cost(sizes: Sequence[RowSize], rows: Sequence[int]) -> int:
    """Tokens of one packed sequence: each prompt but its last token once, and the completions."""
    taking_part = [sizes[row] for row in rows if sizes[row].completion]  # the others are not computed
    prompts = {size.group: size.prompt - 1 for size in taking_part}
    return sum(prompts.values()) + sum(size.completion for size in taking_part)


def padded_cost(sizes: Sequence[RowSize], rows: Sequence[int]) -> int:
    """Tokens of a padded batch, padding included."""
    return len(rows) * (max(sizes[row].prompt for row in rows) + max(sizes[row].completion for row in rows))


def _least(pack: Callable[[int], Plan | None], refused: int, enough: int) -> Plan:
    """The plan for the least capacity between one that is too little and one that holds everything, within 1 %."""
    best = pack(enough)
    assert best is not None, f"{enough} tokens hold every row"
    while enough - refused > max(enough // 100, 1):
        middle = (refused + enough) // 2
        plan = pack(middle)
        if plan is None:
            refused = middle
        else:
            best, enough = plan, middle
    return best


@dataclass(slots=True)
class _Bin:
    """A packed micro-batch being filled."""

    rows: list[int] = field(default_factory=list)
    groups: set[int] = field(default_factory=set)
    load: int = 0

    def more(self, size: RowSize) -> int:
        """Tokens that one more row costs here."""
        shared = size.group in self.groups or size.completion == 0
        return size.completion + (0 if shared else size.prompt - 1)

    def add(self, row: int, size: RowSize) -> None:
        self.load += self.more(size)
        self.rows.append(row)
        if size.completion:
            self.groups.add(size.group)


def _pack_groups(sizes: Sequence[RowSize], count: int, capacity: int, use_all: bool) -> Plan | None:
    """
    Whole groups, dearest first, each where most room is, or all as tightly as they go where that splits fewer of them.

    Small micro-batches were faster than full ones on the CPU, and need less memory. `None` when a row has no room.
    """
    plans = [_fit_groups(sizes, count, capacity, tight) for tight in (False, True)]
    found = [plan for plan in plans if plan is not None]
    best = min(found, key=lambda plan: sum(packed_cost(sizes, part) for part in plan), default=None)
    return _spread(best) if use_all and best is not None else best


def _fit_groups(sizes: Sequence[RowSize], count: int, capacity: int, tight: bool) -> Plan | None:
    """Put whole groups in, dearest first; one that fits nowhere is split."""
    by_group: dict[int, list[int]] = {}
    for row in sorted(range(len(sizes)), key=lambda row: (-sizes[row].completion, row)):
        by_group.setdefault(sizes[row].group, []).append(row)
    groups = sorted(by_group.values(), key=lambda rows: (-packed_cost(sizes, rows), rows))
    bins = [_Bin() for _ in range(count)]
    for rows in groups:
        cost = packed_cost(sizes, rows)
        roomy = [part for part in bins if part.load + cost <= capacity]
        if roomy and not tight:
            roomy = [min(roomy, key=lambda part: part.load)]
        for row in rows:
            target = roomy[0] if roomy else _room_for(sizes[row], bins, capacity)
            if target is None:
                return None
            target.add(row, sizes[row])
    return [part.rows for part in bins]


def _room_for(size: RowSize, bins: Sequence[_Bin], capacity: int) -> _Bin | None:
    """Where one row of a split group goes: beside others of its group, else where most room is."""
    roomy = [part for part in bins if part.load + part.more(size) <= capacity]
    return min(roomy, key=lambda part: (size.group not in part.groups, part.load), default=None)


def _spread(plan: Plan) -> Plan:
    """Give every empty micro-batch a row of the one that has most."""
    for part in plan:
        most = max(plan, key=len)
        if not part and len(most) > 1:
            part.append(most.pop())
    return plan


def _cut_by_length(sizes: Sequence[RowSize], count: int, capacity: int, use_all: bool) -> Plan | None:
    """The cuts of the rows in order of length that cost least in all (dynamic programme). `None` when none fits."""
    order = sorted(range(len(sizes)), key=lambda row: (-sizes[row].completion, -sizes[row].prompt, row))
    costs = _costs_of_runs([sizes[row] for row in order], capacity)
    least = torch.full((len(order) + 1,), torch.inf, dtype=torch.float64)  # of the first n rows
    least[0] = 0.0
    totals, starts = [], []
    for _ in range(min(count, len(order))):
        least_by_start = least[:-1].unsqueeze(1) + costs
        least = torch.cat([least.new_tensor([torch.inf]), least_by_start.amin(dim=0)])
        totals.append(least[-1].item())
        starts.append(least_by_start.argmin(dim=0).tolist())
    if min(totals) == torch.inf:
        return None
    parts = len(totals) if use_all and totals[-1] < torch.inf else totals.index(min(totals)) + 1
    plan, end = [], len(order)
    for back in reversed(starts[:parts]):
        start = back[end - 1]
        plan.append(order[start:end])
        end = start
    return plan


def _costs_of_runs(sizes: Sequence[RowSize], capacity: int) -> torch.Tensor:
    """Padded cost of rows `i` to `j`, completions descending; shape `(rows, rows)`, infinite beyond `capacity`."""
    rows = len(sizes)
    places = torch.arange(rows)
    ahead = places.unsqueeze(0) >= places.unsqueeze(1)
    prompts = torch.tensor([size.prompt for size in sizes]).expand(rows, rows).where(ahead, 0).cummax(dim=1).values
    widths = prompts + torch.tensor([size.completion for size in sizes]).unsqueeze(1)
    costs = widths * (places.unsqueeze(0) - places.unsqueeze(1) + 1)
    return costs.double().masked_fill(~ahead | (costs > capacity), torch.inf)
