"""Whether another shape of a micro-batch gives TRL's numbers: reasons known beforehand, and a trial of a few tokens.

No list of architectures could be complete. So the model itself is asked: the same rows go through TRL's function and
through ours, and a difference beyond rounding turns ours off. Absolute positions under left padding, states that run
through padding, scores changed in the model's own attention: whatever it is shows here, before the first step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import AutocastKwargs, broadcast_object_list
from peft import PeftModel
from trl import GRPOTrainer  # type: ignore[attr-defined]  # exported lazily


logger = logging.getLogger(__name__)

Forward = Callable[[Any, torch.Tensor, torch.Tensor, int, bool], tuple[torch.Tensor, torch.Tensor | None]]

# Largest relative l2 difference of log-probabilities that rounding explains, by the type that is computed in.
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 3e-2}
TF32_TOLERANCE = 5e-3

# Prompt and completion tokens of the rows of a trial. Rows 0 and 1 share their prompt; row 3, the longest, has no
# completion, so that a pass which leaves it out has to move the others.
TRIAL_ROWS = ((6, 7), (6, 3), (3, 5), (9, 0), (1, 2))
EXTRA_COLUMNS = 2  # of padding, on both sides


def models_of(trainer: Any) -> list[Any]:
    """The policy, and the reference model if there is one, without the wrappers of distributed training."""
    models = (trainer.model, trainer.ref_model)
    return [trainer.accelerator.unwrap_model(model) for model in models if model is not None]


def text_config(model: Any) -> Any:
    """Configuration of the language model inside a model."""
    return model.config.get_text_config()


def why_not_reshape(trainer: Any) -> str | None:
    """Why rows may not be computed in another shape than TRL's: what is known without a trial."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    config = text_config(model)
    if trainer._is_vlm:
        return "images travel with padded rows"
    if getattr(model.config, "is_encoder_decoder", False):
        return "the model is an encoder with a decoder"
    if isinstance(model, PeftModel) and any(adapter.is_prompt_learning for adapter in model.peft_config.values()):
        return "the adapter puts virtual tokens before each row"
    dropout = find_dropout(model)
    if dropout is not None:
        return f"dropout is active ({dropout}) and would fall on other elements; set disable_dropout: true"
    ropes = {"dynamic", "longrope"} & set(_rope_types(getattr(config, "rope_parameters", None)))
    if ropes:
        return f"rope_type {', '.join(sorted(ropes))} depends on the longest row of a micro-batch"
    if (getattr(config, "rope_parameters", None) or {}).get("llama_4_scaling_beta"):
        return "llama_4_scaling_beta scales by positions that count the padding, in rows longer than those of a trial"
    if "chunked_attention" in (getattr(config, "layer_types", None) or []):
        return "chunked attention counts its chunks from the padding on"
    return _why_not_split(trainer, model)


def find_difference(trainer: Any, forward: Forward) -> str | None:
    """
    Run a few random rows through TRL's function and through another one, and compare.

    Where training autocasts, the first trial is without it, because rounding to 16 bits could hide a small difference
    (flash attention knows 16 bits only); the second is as training computes. The random state and the modes of the
    modules stay as they are. All processes run it, and the main process decides for all.

    Args:
        trainer ([`~trl.GRPOTrainer`]):
            After its construction.
        forward (`Callable`):
            With the arguments of [`PackedForward`].

    Returns:
        `str` or `None`: the difference in words, if there is one.
    """
    accelerator = trainer.accelerator
    model = accelerator.unwrap_model(trainer.model)
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _as_evaluated(model), torch.no_grad():
        reason = None
        if accelerator.native_amp and "flash" not in text_config(model)._attn_implementation:
            with _without_autocast(accelerator):
                reason = _compare(trainer, model, forward)
        reason = reason or _compare(trainer, model, forward)
    if accelerator.num_processes > 1:
        (reason,) = broadcast_object_list([reason])
    return reason


def _compare(trainer: Any, model: Any, forward: Forward) -> str | None:
    rows = _trial_rows(text_config(model).vocab_size, next(model.parameters()).device)
    columns = max(completion for _, completion in TRIAL_ROWS) + EXTRA_COLUMNS
    try:
        stock: Any = GRPOTrainer._get_per_token_logps_and_entropies
        expected = stock(trainer, model, *rows, columns, compute_entropy=True)[:2]
        ours = forward(model, *rows, columns, True)
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        logger.debug("the trial forward pass failed", exc_info=error)
        return f"a trial of the model ended with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    tolerance = _tolerance(trainer.accelerator, model)
    for name, found, wanted in zip(("log-probabilities", "entropies"), ours, expected, strict=True):
        assert found is not None  # both were asked for
        difference = float((found.double() - wanted.double()).norm() / wanted.double().norm())
        if not difference <= tolerance:  # also if it is no number
            return (
                f"on a few random tokens the model's {name} differ from TRL's by {difference:.1e} (relative l2; "
                f"rounding explains {tolerance:.0e})"
            )
    return None


def _trial_rows(vocabulary: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of [`TRIAL_ROWS`], from a generator of their own."""
    generator = torch.Generator().manual_seed(0)
    left = max(prompt for prompt, _ in TRIAL_ROWS) + EXTRA_COLUMNS
    right = max(completion for _, completion in TRIAL_ROWS) + EXTRA_COLUMNS
    ids = torch.randint(vocabulary, (len(TRIAL_ROWS), left + right), generator=generator)
    ids[1, :left] = ids[0, :left]
    mask = torch.zeros_like(ids)
    for row, (prompt, completion) in enumerate(TRIAL_ROWS):
        mask[row, left - prompt : left + completion] = 1
    return ids.to(device), mask.to(device)


def _tolerance(accelerator: Any, model: Any) -> float:
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    dtype = max(kinds, key=lambda kind: torch.finfo(kind).eps)  # the head alone may be in float32
    mixed = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision)
    if accelerator.native_amp and mixed is not None and not _autocast_is_off(accelerator):
        dtype = mixed
    if dtype == torch.float32 and accelerator.device.type == "cuda":
        # Not `allow_tf32`: reading it raises once the newer setting was used, as transformers does for `tf32: true`
        return TF32_TOLERANCE if torch.backends.cuda.matmul.fp32_precision == "tf32" else TOLERANCE[dtype]
    return TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])


def _autocast_is_off(accelerator: Any) -> bool:
    return accelerator.autocast_handler is not None and not accelerator.autocast_handler.enabled


@contextmanager
def _without_autocast(accelerator: Any) -> Iterator[None]:
    handler = accelerator.autocast_handler
    accelerator.autocast_handler = AutocastKwargs(enabled=False)
    try:
        yield
    finally:
        accelerator.autocast_handler = handler


@contextmanager
def _as_evaluated(model: torch.nn.Module) -> Iterator[None]:
    """In evaluation mode; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def find_dropout(model: torch.nn.Module) -> str | None:
    """Name of the first module that drops something, with the probability."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd) and module.p > 0:
            return f"{name}: {module.p}"
        for field, value in vars(module).items():
            if "drop" in field and isinstance(value, float) and value > 0:
                return f"{name}.{field}: {value}"
    return None


def _rope_types(parameters: Any) -> Iterator[str]:
    """Types of rotary positions, of all layers."""
    if isinstance(parameters, dict):
        if isinstance(parameters.get("rope_type"), str):
            yield parameters["rope_type"]
        for value in parameters.values():
            yield from _rope_types(value)


def _why_not_split(trainer: Any, model: torch.nn.Module) -> str | None:
    """Why the model or its rows lie in pieces that a pass of ours does not see."""
    parallelism = getattr(trainer.accelerator, "parallelism_config", None)
    if parallelism is not None and (parallelism.cp_enabled or parallelism.sp_enabled):
        return "each row is split over processes (context or sequence parallelism)"
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return "ZeRO-3 holds the weights in pieces before training starts, so the pass cannot be compared with TRL's"
    return None
