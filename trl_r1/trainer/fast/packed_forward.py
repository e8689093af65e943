"""A micro-batch as one sequence without padding, in which each distinct prompt is computed once.

For each prompt its tokens but the last come once. Then, for each of its completions, a segment: the last prompt token
again and the completion but for its last token, so that every position of a segment predicts exactly one token of the
completion. A segment attends to its prompt and to itself (`packed_attention.py`), at the positions it had behind its
prompt. Prompts shared and padding gone, it costs what its distinct tokens cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

from trl_r1.trainer.fast.forward_probe import models_of, text_config
from trl_r1.trainer.fast.head_positions import spread
from trl_r1.trainer.fast.packed_attention import LAYOUT, PackedLayout, register_packed_attention
from trl_r1.trainer.fast.padded_forward import PaddedForward


class PackedForward(PaddedForward):
    """
    Log-probabilities of completion tokens by one packed row, in the place of TRL's padded rows.

    Called as [`PaddedForward`] is. A micro-batch with an empty prompt, which has no last token to repeat, goes that
    way.

    Args:
        trainer ([`~trl.GRPOTrainer`]):
            After its construction. Its policy and its reference model get a hook that is idle outside this pass, and
            their attention implementation serves packed rows too from now on.
    """

    def __init__(self, trainer: Any) -> None:
        super().__init__(trainer)
        for model in models_of(trainer):
            register_packed_attention(text_config(model)._attn_implementation)

    @staticmethod
    def _why_not_model(trainer: Any) -> str | None:
        if trainer.args.torch_compile:
            return "torch_compile would compile the model anew for each layout of a packed row"
        reasons = (_why_not_attention(text_config(model)) for model in models_of(trainer))
        return next(filter(None, reasons), None)

    def __call__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        compute_entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """One pass of the model; arguments and result are those of [`PaddedForward`]."""
        prompts = attention_mask[:, :-logits_to_keep].sum(1).tolist()
        completions = attention_mask[:, -logits_to_keep:].sum(1).tolist()
        if 0 in prompts:
            return super().__call__(model, input_ids, attention_mask, logits_to_keep, compute_entropy)
        batch = pack(input_ids, prompts, completions, logits_to_keep)
        with self._head.only(batch.head_positions), self._autocast():
            output = model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                # transformers hands a mask of four dimensions on as it is; the attention goes by the layout
                attention_mask=input_ids.new_zeros((1, 1, 1, 1), dtype=torch.bool),
                shift_labels=batch.labels,
                fused_lm_head=True,
                **{LAYOUT: batch.layout},
            )
        shape = input_ids.size(0), logits_to_keep
        entropies = spread(output.entropy, batch.targets, *shape) if compute_entropy else None
        return spread(output.log_probs, batch.targets, *shape), entropies


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """
    Padded rows as one packed row.

    Args:
        input_ids (`torch.Tensor`):
            Shape `(1, tokens)`.
        position_ids (`torch.Tensor`):
            Shape `(1, tokens)`: each token's place in its own prompt and completion.
        head_positions (`torch.Tensor`):
            Shape `(labels,)`: the tokens that predict a completion token.
        labels (`torch.Tensor`):
            Shape `(1, labels)`: what they predict.
        targets (`torch.Tensor`):
            Shape `(labels,)`: place of each label in the flattened completions. Empty if no row has a completion.
        layout ([`PackedLayout`]):
            Where prompts and segments lie.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    head_positions: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor
    layout: PackedLayout


def pack(input_ids: torch.Tensor, prompts: list[int], completions: list[int], logits_to_keep: int) -> PackedBatch:
    """
    Pack padded rows.

    Rows without a completion token are left out. If that is every row, the shortest prompt stands in, with a label
    that has no target: each process then runs the model as often as the others.

    Args:
        input_ids (`torch.Tensor`):
            Shape `(rows, prompt columns + logits_to_keep)`.
        prompts (`list[int]`):
            Prompt tokens of each row, at least 1.
        completions (`list[int]`):
            Completion tokens of each row.
        logits_to_keep (`int`):
            Columns of the completions.
    """
    width = input_ids.size(1)
    empty = not any(completions)
    if empty:
        shortest = min(range(len(prompts)), key=prompts.__getitem__)
        completions = [int(row == shortest) for row in range(len(prompts))]
    sources, positions, heads, targets = [], [], [], []
    families, place = [], 0
    for rows in _by_prompt(input_ids[:, :-logits_to_keep], prompts, completions):
        shared = prompts[rows[0]] - 1
        last = rows[0] * width + width - logits_to_keep - 1  # the last prompt token of the first row
        sources.append(torch.arange(last - shared, last))
        positions.append(torch.arange(shared))
        place += shared
        for row in rows:
            length = completions[row]
            last = row * width + width - logits_to_keep - 1
            sources.append(torch.arange(last, last + length))
            positions.append(torch.arange(shared, shared + length))
            heads.append(torch.arange(place, place + length))
            targets.append(torch.arange(row * logits_to_keep, row * logits_to_keep + length))
            place += length
        families.append((shared, [completions[row] for row in rows]))
    device = input_ids.device
    source, head = torch.cat(sources), torch.cat(heads)
    flat = input_ids.flatten()
    return PackedBatch(
        input_ids=flat[source.to(device)].unsqueeze(0),
        position_ids=torch.cat(positions).to(device).unsqueeze(0),
        head_positions=head.to(device),
        labels=flat[(source[head] + 1).to(device)].unsqueeze(0),
        targets=torch.tensor([], dtype=torch.long) if empty else torch.cat(targets).to(device),
        layout=PackedLayout(families),
    )


def _by_prompt(prompt_ids: torch.Tensor, lengths: list[int], completions: list[int]) -> list[list[int]]:
    """Numbers of the rows that have a completion, those of one prompt together."""
    rows = prompt_ids.cpu().numpy()
    families: dict[bytes, list[int]] = {}
    for row, (length, completion) in enumerate(zip(lengths, completions, strict=True)):
        if completion:
            families.setdefault(rows[row, rows.shape[1] - length :].tobytes(), []).append(row)
    return list(families.values())


def _why_not_attention(config: Any) -> str | None:
    """Why a model's attention cannot be that of a packed row."""
    implementation = config._attn_implementation
    if implementation == "eager" or implementation not in AttentionInterface():
        return (
            f"attn_implementation {implementation!r} is the model file's own function, which knows no packed rows; "
            "load the model with 'sdpa' or a flash attention, if it has them"
        )
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    if kinds:
        return f"the model has layers of type {', '.join(sorted(kinds))}, which need padded rows"
    if getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True):
        return f"sliding_window {config.sliding_window}: a packed row keeps no window"
    return None
