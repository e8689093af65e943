"""Generation without waste: each prompt is read once, and completions that have ended leave the batch.

The tokens are those of Transformers' `generate` from the same random state. It prepares everything as always; only its
decoding loop is replaced (`decoding.py`), and only where the result is known to be the same.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import DynamicCache, GenerationMixin
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.integrations.fsdp import is_fsdp_managed_module

from trl_r1.generation.decoding import NotCompactError, decode, why_not_configuration, why_not_model
from trl_r1.generation.growing_cache import holds_plain_layers


logger = logging.getLogger(__name__)

# Arguments of `generate` that its hook for other loops does not pass on, or that belong to single rows.
NOT_PASSED_ON = ("streamer", "assistant_model", "assistant_tokenizer", "tokenizer", "custom_generate", "adapter_names")


def why_not_compact(model: Any, generation_config: Any) -> str | None:
    """
    Why generation must be left as it is, as far as is known before it starts.

    Args:
        model ([`~transformers.PreTrainedModel`] or [`~peft.PeftModel`]):
            Policy, not wrapped for several processes.
        generation_config ([`~transformers.GenerationConfig`] or `None`):
            How completions are drawn; `None` when another engine generates.

    Returns:
        `str` or `None`: the reason, or `None`. A call of `generate` may still be left to Transformers for what only
        it shows (dropout in training mode, unknown logits processors, images); that is logged once.
    """
    if generation_config is None:
        return "another engine generates"
    if "cache" not in inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters:
        return "this release of Transformers keeps its cache under another name"
    reason = _why_not_adapters(model)
    if reason is not None:
        return reason
    base: Any = _base_model(model)
    if not isinstance(base, GenerationMixin):
        return f"{type(base).__name__} does not generate with Transformers"
    reason = why_not_configuration(generation_config) or why_not_model(base)
    if reason is None and not holds_plain_layers(_new_cache(base)):
        reason = f"{type(base).__name__} has attention layers whose cache is not plain (sliding window or recurrent)"
    return reason


@contextmanager
def compact_generation(model: Any) -> Iterator[None]:
    """
    Within it, `model.generate` reads each distinct prompt once and takes completions that have ended out of the batch.

    Returns what it would return outside, and leaves the same random state; where that is not certain, a call goes to
    Transformers' own loop, and a line of the log says why (once for each reason). May be nested.

    Args:
        model ([`~transformers.PreTrainedModel`] or [`~peft.PeftModel`]):
            Policy, not wrapped for several processes. Its `generate` is as before on leaving.

    Example:

    ```python
    with compact_generation(model):
        sequences = model.generate(**inputs, max_new_tokens=256, do_sample=True)
    ```
    """
    if "generate" in vars(model):
        if not isinstance(model.generate, _CompactGenerate):
            _log_once(f"generate of {type(model).__name__} was replaced by other code")
        yield
        return
    model.generate = _CompactGenerate(model)
    try:
        yield
    finally:
        vars(model).pop("generate", None)


class _CompactGenerate:
    """Stands for `model.generate`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._stock = model.generate

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        reason = _why_not_adapters(self._model) or self._why_not(kwargs)
        if reason is None:
            try:
                return self._stock(*args, custom_generate=decode, **kwargs)
            except NotCompactError as declined:
                reason = str(declined)
        _log_once(reason)
        return self._stock(*args, **kwargs)

    def _why_not(self, kwargs: dict[str, Any]) -> str | None:
        for name in NOT_PASSED_ON:
            if kwargs.get(name) is not None:
                return f"generate was called with {name}"
        synced = kwargs.get("synced_gpus")
        if synced is None and torch.distributed.is_available() and torch.distributed.is_initialized():
            sharded = is_deepspeed_zero3_enabled() or is_fsdp_managed_module(_base_model(self._model))
            synced = sharded and torch.distributed.get_world_size() > 1
        return "weights are sharded, so every process must make the same number of steps" if synced else None


def _why_not_adapters(model: Any) -> str | None:
    for adapter in getattr(model, "peft_config", {}).values():
        if getattr(adapter, "is_prompt_learning", False) or getattr(adapter, "alora_invocation_tokens", None):
            return f"the {adapter.peft_type} adapter adds to each prompt"
    return None


def _new_cache(model: Any) -> DynamicCache:
    return DynamicCache(config=model.config.get_text_config(decoder=True))


def _base_model(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


_logged: set[str] = set()


def _log_once(reason: str) -> None:
    if reason not in _logged:
        _logged.add(reason)
        logger.warning("generation is left to Transformers: %s", reason)
