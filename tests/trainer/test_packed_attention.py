"""Attention of a packed row, each way of computing it, against one dense mask in float64."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from trl_r1.trainer.fast import packed_attention
from trl_r1.trainer.fast.packed_attention import (
    PackedAttention,
    PackedLayout,
    attend,
    attend_pieces,
    attend_varlen,
    register_packed_attention,
)


LAYOUTS = {
    "groups": [(3, [2, 4, 1]), (70, [40, 1, 33])],
    "empty shared parts": [(0, [5, 1]), (0, [1]), (2, [3])],
    "one token": [(0, [1])],
}
TOLERANCE = {torch.float64: 1e-14, torch.float32: 2e-6, torch.bfloat16: 2e-2}


def dense(query, key, value, layout, scale):
    """One square mask, built token by token from what a piece may see."""
    tokens = query.size(2)
    allowed = torch.zeros(tokens, tokens, dtype=torch.bool)
    for start, length, shared_start, shared in layout.pieces:
        for place in range(start, start + length):
            allowed[place, start : place + 1] = True
            allowed[place, shared_start : shared_start + shared] = True
    repeat = query.size(1) // key.size(1)
    keys, values = (tensor.repeat_interleave(repeat, dim=1) for tensor in (key, value))
    return scaled_dot_product_attention(query, keys, values, attn_mask=allowed, scale=scale)


def emulated_varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa):
    """What torch documents of `varlen_attn`: sequence by sequence, causal at the right end of the keys."""
    assert window_size == (-1, 0)
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert enable_gqa == (query.size(1) != key.size(1))
    query_lengths, key_lengths = cu_seq_q.diff().tolist(), cu_seq_k.diff().tolist()
    assert (max_q, max_k) == (max(query_lengths), max(key_lengths))
    parts = [query.split(query_lengths), key.split(key_lengths), value.split(key_lengths)]
    outputs = []
    for one_query, one_key, one_value in zip(*parts, strict=True):
        rows, columns = one_query.size(0), one_key.size(0)
        mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
        heads = (tensor.transpose(0, 1).unsqueeze(0) for tensor in (one_query, one_key, one_value))
        output = scaled_dot_product_attention(*heads, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        outputs.append(output[0].transpose(0, 1))
    return torch.cat(outputs)


def results(function, inputs, layout, weights, dtype):
    """Output and the gradients of query, key and value, in float64."""
    leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in inputs]
    output = function(*(leaf.transpose(1, 2) for leaf in leaves), layout, 0.3)
    (output * weights.to(dtype)).sum().backward()
    return [output.detach().double(), *(leaf.grad.double() for leaf in leaves)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("function", [attend, attend_pieces, attend_varlen])
def test_output_and_gradients(function, dtype, key_heads, layout, monkeypatch):
    monkeypatch.setattr(packed_attention, "varlen_attn", emulated_varlen)
    layout = PackedLayout(LAYOUTS[layout])
    tokens = sum(length for _, length, _, _ in layout.pieces)
    torch.manual_seed(0)
    inputs = [torch.randn(1, tokens, heads, 16, dtype=torch.float64) for heads in (4, key_heads, key_heads)]
    inputs = [tensor.to(dtype).double() for tensor in inputs]
    weights = torch.randn(1, 4, tokens, 16, dtype=torch.float64)
    expected = results(dense, inputs, layout, weights, torch.float64)
    for found, wanted in zip(results(function, inputs, layout, weights, dtype), expected, strict=True):
        assert (found - wanted).norm() <= TOLERANCE[dtype] * max(wanted.norm(), 1.0)


def test_values_of_another_size_than_keys():
    """As in models with a latent cache."""
    layout = PackedLayout(LAYOUTS["groups"])
    tokens = sum(length for _, length, _, _ in layout.pieces)
    torch.manual_seed(0)
    inputs = [torch.randn(1, tokens, 4, size, dtype=torch.float64) for size in (16, 16, 8)]
    weights = torch.randn(1, 4, tokens, 8, dtype=torch.float64)
    expected = results(dense, inputs, layout, weights, torch.float64)
    for found, wanted in zip(results(attend, inputs, layout, weights, torch.float64), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def ordinary(module, query, key, value, attention_mask, **kwargs):
    return query + 1, kwargs


def inputs():
    return [torch.zeros(1, 2, 3, 4) for _ in range(3)]


def test_without_a_layout_the_ordinary_function_is_called():
    output, kwargs = PackedAttention(ordinary)(torch.nn.Identity(), *inputs(), None, scaling=0.5)
    assert torch.equal(output, torch.ones(1, 2, 3, 4))
    assert kwargs == {"scaling": 0.5}


@pytest.mark.parametrize(
    "asked",
    [{"sliding_window": 8}, {"softcap": 5.0}, {"s_aux": torch.zeros(2)}, {"dropout": 0.1}, {"is_causal": False}],
)
def test_what_it_does_not_compute_is_an_error(asked):
    with pytest.raises(ValueError, match="which packed attention does not compute"):
        PackedAttention(ordinary)(
            torch.nn.Identity(), *inputs(), None, packed_layout=PackedLayout([(1, [2])]), **asked
        )


def test_registering_twice_wraps_once():
    from transformers import AttentionInterface

    register_packed_attention("sdpa")
    registered = AttentionInterface()["sdpa"]
    register_packed_attention("sdpa")
    assert AttentionInterface()["sdpa"] is registered
    assert not isinstance(registered.original, PackedAttention)
