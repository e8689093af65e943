"""Dealing out rows: nothing lost, nothing doubled, never more tokens than TRL's own micro-batch."""

import itertools

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

from trl_r1.trainer.fast.micro_batch_plan import RowSize, packed_cost, padded_cost, plan_micro_batches, row_sizes
from trl_r1.trainer.fast.micro_batches import ROW_SHARE, TALLY, Regrouping, regroup


COSTS = {True: packed_cost, False: padded_cost}


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@st.composite
def rollouts(draw):
    """Sizes of the rows of a window, and TRL's number of micro-batches and rows in each."""
    count, per_batch = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    prompts = draw(st.lists(st.integers(1, 30), min_size=1, max_size=5))
    groups = st.integers(0, len(prompts) - 1)
    rows = draw(st.lists(st.tuples(groups, st.integers(0, 40)), min_size=0, max_size=count * per_batch))
    return [RowSize(prompts[group], completion, group) for group, completion in rows], count, per_batch


@pytest.mark.parametrize(("packed", "use_all"), [*itertools.product((True, False), repeat=2)])
@settings(deadline=None, max_examples=150)
@given(rollout=rollouts())
def test_a_plan_holds_every_row_once_in_the_memory_of_trls_micro_batch(packed, use_all, rollout):
    sizes, count, per_batch = rollout
    width = max((size.prompt + size.completion for size in sizes), default=0)
    widest = max((size.prompt for size in sizes), default=0) + max((size.completion for size in sizes), default=0)
    capacity = per_batch * (width if packed else widest)
    plan = plan_micro_batches(sizes, count, capacity, packed=packed, use_all=use_all)
    assert len(plan) == count
    assert sorted(itertools.chain(*plan)) == list(range(len(sizes)))
    full = [part for part in plan if part]
    assert all(COSTS[packed](sizes, part) <= capacity for part in full)
    assert plan[: count - len(full)] == [[]] * (count - len(full))  # the empty ones come first
    if use_all:
        assert len(full) == min(count, len(sizes))
    assert plan == plan_micro_batches(sizes, count, capacity, packed=packed, use_all=use_all)


def test_packed_rows_of_a_prompt_stay_together():
    sizes = [RowSize(10, 5, row % 4) for row in range(16)]  # 9 + 4 * 5 tokens a group
    assert [len(part) for part in plan_micro_batches(sizes, 6, 60, packed=True)] == [0, 0, 4, 4, 4, 4]
    plan = plan_micro_batches(sizes, 2, 60, packed=True)
    assert [len({sizes[row].group for row in part}) for part in plan] == [2, 2]
    assert [packed_cost(sizes, part) for part in plan] == [58, 58]


def test_groups_are_packed_tightly_where_that_keeps_them_whole():
    sizes = [RowSize(6, tokens - 5, group) for group, tokens in enumerate((30, 30, 20, 20, 20))]
    sizes[2:] = [RowSize(6, 5, size) for size in (2, 3, 4) for _ in range(3)]  # 20 tokens each
    plan = plan_micro_batches(sizes, 2, 60, packed=True)
    assert [packed_cost(sizes, part) for part in plan] == [60, 60]


def test_a_group_that_fits_nowhere_is_split_and_reads_its_prompt_twice():
    sizes = [RowSize(11, 10, 0) for _ in range(6)]
    plan = plan_micro_batches(sizes, 3, 45, packed=True)
    assert [len(part) for part in plan] == [0, 3, 3]
    assert [packed_cost(sizes, part) for part in plan[1:]] == [40, 40]


def test_padded_neighbours_in_length_share_a_micro_batch():
    sizes = [RowSize(4, completion, 0) for completion in (20, 1, 19, 2, 21, 3, 20, 2)]
    plan = plan_micro_batches(sizes, 2, 200, packed=False)
    assert plan == [[1, 3, 5, 7], [0, 2, 4, 6]]


@pytest.mark.parametrize("packed", [True, False])
def test_too_little_capacity_gets_the_least_that_holds_all(packed):
    sizes = [RowSize(3, 8, row) for row in range(8)]
    plan = plan_micro_batches(sizes, 4, 5, packed=packed)
    assert [len(part) for part in plan] == [2, 2, 2, 2]


def test_sizes_are_read_off_the_masks():
    pad = 0  # also a token of the last prompt
    input_ids = torch.tensor([[pad, 7, 8, 5, 6], [pad, 7, 8, 5, pad], [9, 7, 8, pad, pad], [pad, 7, 8, 5, 5]])
    mask = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    sizes = row_sizes(input_ids, mask, 2)
    assert [(size.prompt, size.completion) for size in sizes] == [(2, 2), (2, 1), (3, 0), (3, 2)]
    groups = [size.group for size in sizes]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def make_batches(count=4, per_batch=4, zero=(), width=9, seed=0, **extra):
    """A buffer as TRL's: row `n` has prompt tokens `n % 4 + 1`, completion tokens `n + 10` and advantage `n + 1`."""
    rows = count * per_batch
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (rows,), generator=generator)
    numbers = torch.arange(rows)
    mask = (torch.arange(width) < lengths.unsqueeze(1)).long()
    prompt_mask = (torch.arange(4) >= 3 - (numbers % 4).unsqueeze(1)).long()
    batch = {
        "prompt_ids": (numbers % 4 + 1).unsqueeze(1) * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": (numbers + 10).unsqueeze(1) * mask,
        "completion_mask": mask,
        "advantages": torch.tensor([0.0 if row in zero else row + 1.0 for row in range(rows)]),
        "old_per_token_logps": torch.randn(rows, width, generator=generator) * mask,
        **extra,
    }
    split = [{key: value[at : at + per_batch] for key, value in batch.items()} for at in range(0, rows, per_batch)]
    return [{**part, "num_items_in_batch": mask.sum()} for part in split]


def how(**options):
    defaults = {"window": 4, "move_rows": True, "skip_zero_advantage": True, "packed": True, "capacity": None}
    return Regrouping(**{**defaults, "trim": True, "may_be_empty": True, **options})


def sizes_of(batch):
    input_ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    return row_sizes(input_ids, mask, batch["completion_ids"].size(1))


def content(batches):
    """Every row without its padding, by its number."""
    found = {}
    for batch in batches:
        for row in range(batch["prompt_ids"].size(0) if "prompt_ids" in batch else 0):
            prompt, mask = batch["prompt_mask"][row].bool(), batch["completion_mask"][row].bool()
            if not mask.any():
                continue
            number = int(batch["completion_ids"][row][0]) - 10
            assert number not in found
            found[number] = [
                batch["prompt_ids"][row][prompt].tolist(),
                batch["completion_ids"][row][mask].tolist(),
                batch["old_per_token_logps"][row][mask].tolist(),
                batch["advantages"][row].tolist(),
            ]
    return found


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("window", [1, 2, 4])
def test_rows_stay_whole_and_inside_their_window(accelerator, packed, window):
    zero = {0, 5, 6, 7, 9, 12, 13, 14}
    batches = make_batches(zero=zero)
    found = regroup(batches, how(packed=packed, window=window), accelerator)
    assert len(found) == 4
    for start in range(0, 4, window):
        before, after = content(batches[start : start + window]), content(found[start : start + window])
        assert after == {row: values for row, values in before.items() if row not in zero}
    for batch in found:
        if batch[ROW_SHARE]:
            rows = batch["prompt_ids"].size(0)
            assert batch[ROW_SHARE] == rows / 4
            assert all(value.is_contiguous() for value in batch.values() if isinstance(value, torch.Tensor))
            assert batch["prompt_mask"][:, 0].any()  # no column of padding alone
            assert batch["completion_mask"].size(1) == 2 or batch["completion_mask"][:, -1].any()


def test_without_moving_rows_leave_their_own_micro_batch(accelerator):
    batches = make_batches(zero={0, 1, 4, 5, 6, 7})
    found = regroup(batches, how(move_rows=False), accelerator)
    assert [list(content([batch])) for batch in found] == [[2, 3], [], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert [batch[ROW_SHARE] for batch in found] == [0.5, 0.25, 1.0, 1.0]


def test_without_skipping_rows_of_no_advantage_stay(accelerator):
    batches = make_batches(zero=set(range(16)))
    found = regroup(batches, how(skip_zero_advantage=False), accelerator)
    assert content(found) == content(batches)


def test_a_window_without_signal_keeps_a_row_without_tokens(accelerator):
    found = regroup(make_batches(zero=set(range(16))), how(), accelerator)
    assert found[:3] == [{ROW_SHARE: 0.0}] * 3
    last = found[3]
    assert last["completion_mask"].tolist() == [[0, 0]]
    assert last["advantages"].tolist() == [0.0]
    assert last["old_per_token_logps"].tolist() == [[0.0, 0.0]]
    assert last["prompt_ids"].tolist() == [[1]]  # the shortest prompt
    assert last[TALLY]["rows_left_out"] == 16


@pytest.mark.parametrize("packed", [True, False])
def test_where_none_may_be_empty_each_has_a_row(accelerator, packed):
    for zero in ({3}, set(range(13)), set(range(16))):
        found = regroup(make_batches(zero=zero), how(may_be_empty=False, packed=packed), accelerator)
        assert all(batch["prompt_ids"].size(0) >= 1 for batch in found)
        assert sorted(content(found)) == sorted(set(range(16)) - zero)


def test_tool_tokens_are_no_signal(accelerator):
    batches = make_batches(tool_mask=torch.ones(16, 9, dtype=torch.long))
    batches[1]["tool_mask"][2] = 0
    found = regroup(batches, how(), accelerator)
    assert sorted(content(found)) == [row for row in range(16) if row != 6]
    assert found[-1][TALLY]["rows_left_out"] == 1
    assert found[-1][TALLY]["tokens_left_out"] == 0


def test_an_advantage_a_token_counts_where_its_token_does(accelerator):
    advantages = torch.zeros(16, 9)
    advantages[5, 0] = 1.0
    advantages[7, 8] = 1.0  # on padding
    batches = make_batches(advantages=advantages)
    batches[1]["completion_mask"][3, 8] = 0
    found = regroup(batches, how(), accelerator)
    assert list(content(found)) == [5]
    assert found[-1]["advantages"].shape == found[-1]["completion_mask"].shape


def test_tallies_count_every_row_and_token_of_a_window_once(accelerator):
    batches = make_batches(zero={0, 5, 6, 7, 9})
    found = [batch[TALLY] for batch in regroup(batches, how(window=2), accelerator) if batch[ROW_SHARE]]
    assert sum(tally["rows"] - tally["fillers"] + tally["rows_left_out"] for tally in found) == 16
    tokens = sum(tally["tokens"] + tally["tokens_left_out"] for tally in found)
    assert tokens == batches[0]["num_items_in_batch"].item()


def test_capacity_is_that_of_trls_micro_batch_unless_given(accelerator):
    batches = make_batches()
    for capacity, expected in ((None, 4), (30, 4)):
        found = [batch for batch in regroup(batches, how(capacity=capacity), accelerator) if batch[ROW_SHARE]]
        costs = [packed_cost(sizes_of(batch), range(batch["prompt_ids"].size(0))) for batch in found]
        assert max(costs) <= (capacity or 4 * (4 + 9))
        assert len(found) == expected


def test_what_is_not_a_row_of_its_own_stops_it(accelerator, caplog):
    batches = make_batches(pixel_values=torch.zeros(16, 2))
    assert regroup(batches, how(), accelerator) is batches
    assert "pixel_values" in caplog.text


def test_the_buffer_goes_through_a_checkpoint(accelerator, tmp_path):
    found = regroup(make_batches(zero=set(range(9))), how(), accelerator)
    torch.save(found, tmp_path / "rollout.pt")
    loaded = torch.load(tmp_path / "rollout.pt", weights_only=True)
    assert [batch.keys() for batch in loaded] == [batch.keys() for batch in found]
    assert content(loaded) == content(found)
    # a slice that kept the storage it was cut from would be saved with it
    assert (tmp_path / "rollout.pt").stat().st_size < 30_000
