"""Attention over one packed row: each prompt once, and every completion sees its own prompt and itself.

A [`PackedLayout`] says where the pieces lie. It travels through the model's keyword arguments to the attention call,
so that a layer computed again for gradient checkpointing sees it too. [`register_packed_attention`] puts a function
before the one that transformers has registered; without a layout that one is called as before, and nothing is named
anew, so configurations, masks and checkpoints stay as they were.

On the CPU completions are not given copies of their prompt's keys and values. Attention to the prompt and attention
to oneself are computed apart and joined by their log-sum-exp, which is exact: softmax over two parts is the mean of
both, weighted by their shares of the sum. On CUDA one kernel for sequences of several lengths does it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface


LAYOUT = "packed_layout"  # keyword argument of the model

# What some models add to their scores. The functions here do not, so they refuse the model instead of ignoring it.
UNSUPPORTED = ("sliding_window", "softcap", "s_aux", "position_bias", "head_mask")

_flash_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_cpu_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class PackedLayout:
    """
    Where the pieces of a packed row lie: for each prompt its shared part, then the segments that follow it.

    No dataclass: wrappers of models take those apart to move their tensors, and this one is to pass as it is.

    Args:
        families (`Sequence[tuple[int, Sequence[int]]]`):
            For each prompt the tokens of its shared part (may be 0) and those of each segment (at least 1 each).

    Example:

    ```python
    >>> layout = PackedLayout([(3, [2, 4]), (0, [5])])
    >>> layout.pieces  # (start, length, start of the shared part, its length)
    [(0, 3, 0, 0), (3, 2, 0, 3), (5, 4, 0, 3), (9, 5, 9, 0)]
    ```
    """

    __slots__ = ("_varlen", "families", "pieces")

    def __init__(self, families: Sequence[tuple[int, Sequence[int]]]) -> None:
        self.families: list[tuple[int, int, int]] = []  # start, shared tokens, tokens of all segments
        self.pieces: list[tuple[int, int, int, int]] = []
        self._varlen: dict[torch.device, VarlenIndex] = {}
        start = 0
        for shared, segments in families:
            self.families.append((start, shared, sum(segments)))
            if shared:
                self.pieces.append((start, shared, start, 0))
            place = start + shared
            for length in segments:
                self.pieces.append((place, length, start, shared))
                place += length
            start = place

    def varlen(self, device: torch.device) -> VarlenIndex:
        """The same as indices of a varlen kernel, made once for all layers on a device."""
        if device not in self._varlen:
            self._varlen[device] = VarlenIndex(self.pieces, device)
        return self._varlen[device]


class VarlenIndex:
    """
    A layout as a varlen kernel wants it: one sequence a piece, its keys and values gathered along its path.

    Args:
        pieces (`Sequence[tuple[int, int, int, int]]`):
            Those of a [`PackedLayout`].
        device (`torch.device`):
            Where the tensors go: `key_index` of shape `(sum of path lengths,)`, `cu_query` and `cu_key` of shape
            `(pieces + 1,)`, int32.
    """

    __slots__ = ("cu_key", "cu_query", "key_index", "max_key", "max_query")

    def __init__(self, pieces: Sequence[tuple[int, int, int, int]], device: torch.device) -> None:
        paths = [
            part
            for start, length, shared_start, shared in pieces
            for part in (torch.arange(shared_start, shared_start + shared), torch.arange(start, start + length))
        ]
        queries = torch.tensor([0, *(length for _, length, _, _ in pieces)])
        keys = torch.tensor([0, *(length + shared for _, length, _, shared in pieces)])
        self.key_index = torch.cat(paths).to(device)
        self.cu_query = queries.cumsum(0).to(device, torch.int32)
        self.cu_key = keys.cumsum(0).to(device, torch.int32)
        self.max_query, self.max_key = int(queries.max()), int(keys.max())


class PackedAttention:
    """
    The attention function of one implementation, and that of packed rows when a layout comes along.

    Args:
        original (`Any`):
            What transformers has registered under the name of the implementation.
    """

    def __init__(self, original: Any) -> None:
        self.original = original

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *args: Any,
        **kw: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Attend. Shapes `(1, heads, tokens, head size)`; the output is `(1, tokens, heads, head size)`.

        Raises:
            `ValueError`: if the model asks for something that packed attention does not compute.
        """
        layout = kw.pop(LAYOUT, None)
        if layout is None:
            found: tuple[torch.Tensor, torch.Tensor | None] = self.original(module, query, key, value, *args, **kw)
            return found
        _check(module, kw)
        if torch.is_autocast_enabled(query.device.type):  # as torch does for its own attention
            dtype = torch.get_autocast_dtype(query.device.type)
            query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        output = attend(query, key, value, layout, kw.get("scaling"))
        return output.transpose(1, 2).contiguous(), None


def _check(module: torch.nn.Module, kwargs: dict[str, Any]) -> None:
    """Refuse what would be left out."""
    found = [name for name in UNSUPPORTED if kwargs.get(name) is not None]
    if kwargs.get("dropout"):
        found.append("dropout")
    if kwargs.get("is_causal") is False or getattr(module, "is_causal", True) is False:
        found.append("attention to later tokens")
    if found:
        raise ValueError(f"{type(module).__name__} uses {', '.join(found)}, which packed attention does not compute")


def register_packed_attention(implementation: str) -> None:
    """
    Let an attention implementation of transformers serve packed rows as well; a second call changes nothing.

    Args:
        implementation (`str`):
            A name that is registered, such as `"sdpa"`.
    """
    original = AttentionInterface()[implementation]
    if not isinstance(original, PackedAttention):
        AttentionInterface.register(implementation, PackedAttention(original))


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: PackedLayout, scale: float | None
) -> torch.Tensor:
    """
    Attention of a packed row, by the fastest way that this device and data type have.

    Args:
        query (`torch.Tensor`):
            Shape `(1, heads, tokens, head size)`.
        key (`torch.Tensor`), value (`torch.Tensor`):
            Shape `(1, heads of keys, tokens, head size)`; the heads of keys divide the heads.
        layout ([`PackedLayout`]):
            Of the same tokens.
        scale (`float`, *optional*):
            Factor of the scores; by default the inverse root of the head size.
    """
    if query.size(-1) == value.size(-1) and query.dtype == key.dtype == value.dtype:
        if query.device.type == "cpu" and query.dtype in (torch.float32, torch.float64, torch.bfloat16):
            output: torch.Tensor = TwoPartAttention.apply(query, key, value, layout, scale)  # type: ignore[no-untyped-call]
            return output
        if query.device.type == "cuda" and query.dtype in (torch.float16, torch.bfloat16) and query.size(-1) <= 256:
            return attend_varlen(query, key, value, layout, scale)
    return attend_pieces(query, key, value, layout, scale)


def attend_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: PackedLayout, scale: float | None
) -> torch.Tensor:
    """[`attend`] in one call of torch's kernel for sequences of several lengths; causal at the right end."""
    index = layout.varlen(query.device)
    output = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1).index_select(0, index.key_index),
        value[0].transpose(0, 1).index_select(0, index.key_index),
        index.cu_query,
        index.cu_key,
        index.max_query,
        index.max_key,
        scale=scale,
        window_size=(-1, 0),
        enable_gqa=query.size(1) != key.size(1),
    )
    assert isinstance(output, torch.Tensor)  # a pair only when its log-sum-exp is asked for
    return output.transpose(0, 1).unsqueeze(0)


def attend_pieces(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: PackedLayout, scale: float | None
) -> torch.Tensor:
    """[`attend`] piece by piece, for any device and data type."""
    outputs = []
    for start, length, shared_start, shared in layout.pieces:
        keys, values = key.narrow(2, start, length), value.narrow(2, start, length)
        if shared:
            keys = torch.cat([key.narrow(2, shared_start, shared), keys], dim=2)
            values = torch.cat([value.narrow(2, shared_start, shared), values], dim=2)
        outputs.append(
            scaled_dot_product_attention(
                query.narrow(2, start, length),
                keys,
                values,
                attn_mask=causal_lower_right(length, length + shared),
                scale=scale,
                enable_gqa=query.size(1) != key.size(1),
            )
        )
    return torch.cat(outputs, dim=2)


class TwoPartAttention(torch.autograd.Function):
    """[`attend`] on the CPU, with torch's flash attention for both parts and no copy of any key."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        layout: PackedLayout,
        scale: float | None,
    ) -> torch.Tensor:
        """Attention to oneself piece by piece, then that of all segments of a prompt to it, joined."""
        batch, heads, tokens, size = query.shape
        output = query.new_empty((batch, tokens, heads, size)).transpose(1, 2)
        log_sum = torch.empty((batch, tokens, heads), dtype=_sum_dtype(query)).transpose(1, 2)
        for start, length, _, _ in layout.pieces:
            part, sums = _flash_cpu(*_slices(start, length, query, key, value), 0.0, True, scale=scale)
            output.narrow(2, start, length).copy_(part)
            log_sum.narrow(2, start, length).copy_(sums)
        for queries, keys in _to_prompts(layout):
            (asked,), prompt = _slices(*queries, query), _slices(*keys, key, value)
            part, sums = _flash_cpu(asked, *prompt, 0.0, False, scale=scale)
            own, own_sums = _slices(*queries, output, log_sum)
            total = torch.logaddexp(own_sums, sums)
            share = torch.exp(sums - total).unsqueeze(-1)
            own.copy_(torch.lerp(own.to(share.dtype), part.to(share.dtype), share))
            own_sums.copy_(total)
        ctx.save_for_backward(query, key, value, output, log_sum)
        ctx.layout, ctx.scale = layout, scale
        return output

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        """With the joined output and log-sum-exp, the gradient of a part is what the kernel gives for it alone."""
        query, key, value, output, log_sum = ctx.saved_tensors
        grad = grad if grad.stride(-1) == 1 else grad.contiguous()  # the kernel reads whole heads
        grads = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        for start, length, _, _ in ctx.layout.pieces:
            upstream, *inputs = _slices(start, length, grad, query, key, value, output, log_sum)
            found = _flash_cpu_backward(upstream, *inputs, 0.0, True, scale=ctx.scale)
            for whole, part in zip(grads, found, strict=True):
                whole.narrow(2, start, length).copy_(part)
        for queries, keys in _to_prompts(ctx.layout):
            upstream, asked, joined, sums = _slices(*queries, grad, query, output, log_sum)
            prompt = _slices(*keys, key, value)
            found = _flash_cpu_backward(upstream, asked, *prompt, joined, sums, 0.0, False, scale=ctx.scale)
            for whole, part, place in zip(grads, found, (queries, keys, keys), strict=True):
                whole.narrow(2, *place).add_(part)
        return *grads, None, None


def _slices(start: int, length: int, *tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor.narrow(2, start, length) for tensor in tensors]


def _to_prompts(layout: PackedLayout) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and length of all segments of a prompt, and of its shared part, where there is one."""
    for start, shared, segments in layout.families:
        if shared:
            yield (start + shared, segments), (start, shared)


def _sum_dtype(query: torch.Tensor) -> torch.dtype:
    """In which the kernel keeps its sums."""
    return torch.float64 if query.dtype == torch.float64 else torch.float32
