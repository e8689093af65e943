"""The decoding loop of `compact_generation`: the tokens of Transformers' own loop, with less to compute."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import GenerationMixin
from transformers.generation.configuration_utils import GenerationMode

from trl_r1.generation.growing_cache import GrowingLayer, holds_plain_layers
from trl_r1.generation.live_rows import LiveRows
from trl_r1.generation.row_wise import RowAware, follow_rows, why_not_row_wise
from trl_r1.generation.sampling import Sampler, draws_as_multinomial


# What the loop knows how to hand to the model; anything else may belong to single rows.
KNOWN_INPUTS = frozenset({"attention_mask", "position_ids", "cache", "use_cache", "logits_to_keep"})
# Fields of a generation configuration under which `generate` returns more than tokens, or computes otherwise.
OTHER_LOOPS = (
    *("return_dict_in_generate", "output_scores", "output_logits", "output_attentions", "output_hidden_states"),
    *("prefill_chunk_size", "compile_config", "is_assistant"),
)


class NotCompactError(Exception):
    """This call must be left to Transformers' own loop; the message says why."""


def decode(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Iterable[Any],
    stopping_criteria: Any,
    generation_config: Any,
    **model_kwargs: Any,
) -> torch.Tensor:
    """
    Generate token by token; a `custom_generate` of [`~transformers.GenerationMixin.generate`].

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Policy.
        input_ids (`torch.Tensor`):
            Prompts, padded on the left, each as often as it is continued; shape `(rows, prompt tokens)`.
        logits_processor ([`~transformers.LogitsProcessorList`]):
            As `generate` made it.
        stopping_criteria ([`~transformers.StoppingCriteriaList`]):
            As `generate` made it.
        generation_config ([`~transformers.GenerationConfig`]):
            As `generate` filled it in.
        model_kwargs:
            Mask, positions and cache, as `generate` made them.

    Returns:
        `torch.Tensor`: prompts and completions, shape `(rows, tokens)`, filled up with the pad token.

    Raises:
        [`NotCompactError`]: before anything is changed, when the result might differ from stock's.
    """
    ends = any(hasattr(criterion, "eos_token_id") for criterion in stopping_criteria)
    reason = (
        why_not_configuration(generation_config)
        or why_not_row_wise([*logits_processor, *stopping_criteria])
        or _why_not_inputs(model, input_ids, stopping_criteria, generation_config, model_kwargs, ends)
    )
    if reason is not None:
        raise NotCompactError(reason)
    with torch.no_grad(), _keep_casts(input_ids.device.type):
        live, logits = _read_prompts(model, input_ids, generation_config, stopping_criteria.max_length, model_kwargs)
        processors, criteria, row_aware = follow_rows(logits_processor, stopping_criteria)
        for part in row_aware:
            part.select_rows(live.rows)
        choose: Any = _most_likely
        if generation_config.do_sample:
            choose = Sampler(len(live), logits.size(-1), input_ids.device)
            row_aware.append(choose)
        fixed = {name: value for name, value in model_kwargs.items() if name not in LiveRows.FORWARD_INPUTS}
        with model._optimize_model_for_decode():
            while True:
                scores = logits.to(copy=True, dtype=torch.float32, device=input_ids.device)
                for processor in processors:
                    scores = processor(live.ids, scores)
                live.append(choose(scores))
                if _end_rows(live, criteria, row_aware, ends):
                    return live.sequences()
                logits = model(**live.forward_inputs(), **fixed, return_dict=True).logits[:, -1]


def _keep_casts(device: str) -> AbstractContextManager[Any]:
    """
    Let a forward pass that runs in mixed precision cast each weight once a call of `generate`, not once a token.

    The casts are forgotten where the outermost autocast ends, which would be the forward pass. This one, itself off,
    is around all of them.
    """
    return nullcontext() if torch.is_autocast_enabled(device) else torch.autocast(device, enabled=False)


def _end_rows(live: LiveRows, criteria: list[Any], row_aware: list[RowAware], drop: bool) -> bool:
    """Take out the rows that have ended; whether all have."""
    for criterion in criteria:
        live.ended |= criterion(live.ids, None)
    if not live.ended.any():
        return False
    ended = live.ended.tolist()
    if all(ended):
        return True
    if drop:  # without end tokens, what comes after a row's end is in the output, so it must go on
        live.drop(ended)
        for part in row_aware:
            part.select_rows(live.rows)
    return False


def _most_likely(scores: torch.Tensor) -> torch.Tensor:
    return scores.argmax(dim=-1)


def why_not_configuration(generation_config: Any) -> str | None:
    """Why a generation configuration asks for another loop than sampling or greedy decoding, or `None`."""
    mode = generation_config.get_generation_mode()
    if mode not in (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH):
        return f"it would be {mode.value}, and only sampling and greedy decoding are known"
    if generation_config.cache_implementation not in (None, "dynamic"):
        return f"cache_implementation {generation_config.cache_implementation!r} lays out its memory in advance"
    if generation_config.use_cache is False:
        return "use_cache is false, so there is no cache to keep small"
    for name in OTHER_LOOPS:
        if getattr(generation_config, name, None):
            return f"{name} asks for more than the tokens of Transformers' plain loop"
    return None


def _why_not_inputs(
    model: Any,
    input_ids: torch.Tensor,
    stopping_criteria: Any,
    generation_config: Any,
    model_kwargs: dict[str, Any],
    ends: bool,
) -> str | None:
    unknown = sorted(name for name, value in model_kwargs.items() if value is not None and name not in KNOWN_INPUTS)
    if unknown:
        return f"{', '.join(unknown)} may belong to single rows"
    if input_ids.ndim != 2 or input_ids.size(1) == 0 or input_ids.device != model.device:
        return "the prompts are not token ids on the model's device"
    limit = stopping_criteria.max_length
    if limit is None or limit <= input_ids.size(1):
        return "no max_length limits the completions"
    if ends and generation_config._pad_token_tensor is None:
        return "there is no pad token"
    if not model_kwargs.get("use_cache") or not holds_plain_layers(model_kwargs.get("cache")):
        return "the model's cache is not one of plain attention layers, so rows cannot be taken out of it"
    if generation_config.do_sample and not draws_as_multinomial(input_ids.device):
        return f"torch.multinomial on {input_ids.device} draws in a way that is not known"
    positions, mask = model_kwargs.get("position_ids"), model_kwargs.get("attention_mask")
    if positions is None or positions.shape != input_ids.shape:
        return "the model takes no position of each token"
    if mask is not None and not ((mask[:, 1:] >= mask[:, :-1]).all() and (mask[:, -1] == 1).all()):
        return "prompts are not padded on the left"
    return why_not_model(model) or _why_not_dropout(model)


def why_not_model(model: Any) -> str | None:
    """Why rows of this model's batch are not independent of one another, or are handled in its own way, or `None`."""
    for name in ("prepare_inputs_for_generation", "_update_model_kwargs_for_generation", "_prefill"):
        if name in vars(model) or getattr(type(model), name) is not getattr(GenerationMixin, name):
            return f"{type(model).__name__} has its own {name}"
    if model.config.is_encoder_decoder:
        return f"{type(model).__name__} is an encoder with a decoder"
    if model.is_remote_code():
        return f"{type(model).__name__} is remote code"
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        for kind in kinds.values() if isinstance(kinds, dict) else [kinds]:
            if isinstance(kind, str) and ("dynamic" in kind or kind == "longrope"):
                return f"rope_type {kind!r} takes its frequencies from the longest row of the batch"
    return None


def _why_not_dropout(model: Any) -> str | None:
    for module in model.modules():
        if not module.training:
            continue
        is_dropout = isinstance(module, torch.nn.modules.dropout._DropoutNd)
        for name, value in vars(module).items():
            draws = "drop" in name or "jitter" in name or (is_dropout and name == "p")
            if draws and isinstance(value, float) and value > 0:
                return f"{type(module).__name__} draws random numbers for every row in training mode ({name} {value})"
    return None


def _read_prompts(
    model: Any, input_ids: torch.Tensor, generation_config: Any, max_length: int, model_kwargs: dict[str, Any]
) -> tuple[LiveRows, torch.Tensor]:
    """Read each distinct prompt once; the rows with their prompts in the cache, and logits of their first tokens."""
    mask, positions, cache = (model_kwargs.get(name) for name in ("attention_mask", "position_ids", "cache"))
    assert positions is not None
    assert cache is not None
    count = len(input_ids)
    parts = [input_ids, positions] if mask is None else [input_ids, positions, mask.to(input_ids.dtype)]
    distinct, prompt_of_row = torch.unique(torch.cat(parts, dim=1), dim=0, return_inverse=True)
    order = torch.arange(count, device=input_ids.device)
    first = order.new_full((len(distinct),), count).scatter_reduce(0, prompt_of_row, order, "amin")
    cache.layers = [GrowingLayer() for _ in cache.layers]
    inputs = {
        **model_kwargs,
        "position_ids": positions[first],
        "attention_mask": None if mask is None else mask[first],
    }
    outputs = model._prefill(input_ids[first], generation_config, inputs)
    logits = outputs.logits[:, -1][prompt_of_row]
    pad = generation_config._pad_token_tensor
    live = LiveRows(
        model, input_ids, mask, positions, prompt_of_row, cache, max_length, 0 if pad is None else int(pad)
    )
    return live, logits
