"""The steps of a merge: load base and adapter, put one into the other, keep what they tie and what they do not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import CheckpointError
from trl_r1.hub.checkpoints.checks import ADAPTER_CONFIG, stored_tensors
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    import torch
    from peft import PeftModel

_MODELS: Final = {"CAUSAL_LM": "AutoModelForCausalLM", "SEQ_CLS": "AutoModelForSequenceClassification"}


def auto_class(config: Any) -> Any:
    """The class of transformers that loads the model of an adapter's configuration."""
    import transformers

    task = str(getattr(config.task_type, "value", config.task_type) or "CAUSAL_LM")
    if task not in _MODELS:
        raise CheckpointError(
            f"{ADAPTER_CONFIG}: task_type: {task!r} cannot be merged here; use one of {list(_MODELS)}"
        )
    return getattr(transformers, _MODELS[task])


def load_base(config: Any, folder: Path) -> tuple[Any, torch.dtype]:
    """
    The unquantised base in float32, with as many embeddings as the adapter was trained with, and its type on disk.

    Raises:
        [`CheckpointError`]: when it is gone, or stored quantised.
    """
    import torch
    from transformers import AutoConfig

    name, revision = config.base_model_name_or_path, config.revision or "main"
    options: dict[str, Any] = {"revision": revision}
    shapes = {key: shape for key, (_, shape) in stored_tensors(folder).items()}
    try:
        base_config = AutoConfig.from_pretrained(name, **options)
        if getattr(base_config, "quantization_config", None):
            raise CheckpointError(
                f"{folder}: its base {name!r} is stored quantised, and merging into rounded weights changes the "
                "model; train on the unquantised model with load_in_4bit, or use the adapter as it is"
            )
        if score := next((shape for key, shape in shapes.items() if key.endswith("score.weight")), None):
            options["num_labels"] = score[0]
        base = auto_class(config).from_pretrained(name, dtype=torch.float32, **options)
    except CheckpointError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: base_model_name_or_path: {name!r} (revision {revision}) does not load ({first_line(error)}); "
            "bring it back, or run from the folder its path is relative to"
        ) from error
    _resize(base, shapes)
    return base.eval(), base_config.dtype or torch.float32


def _resize(base: Any, shapes: Mapping[str, Sequence[int]]) -> None:
    """As many embeddings as an adapter holds whole, where it was trained with added tokens."""
    modules = [base.get_input_embeddings(), base.get_output_embeddings()]
    names = [f".{name}." for name, module in base.named_modules() if any(module is one for one in modules)]
    sizes = {
        shape[0]
        for key, shape in shapes.items()
        if key.endswith(".weight") and "lora_" not in key and any(name in key for name in names)
    }
    if sizes and max(sizes) != modules[0].weight.shape[0]:
        base.resize_token_embeddings(max(sizes))


def load_adapter(base: Any, folder: Path) -> PeftModel:
    """
    The adapter on its base. The base is changed in place.

    Raises:
        [`CheckpointError`]: when they do not fit, or the adapter is of a kind that cannot be merged.
    """
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            wrapped = PeftModel.from_pretrained(base, str(folder)).eval()
    except (UserWarning, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: the adapter does not fit its base ({first_line(error)}); it belongs to another model"
        ) from error
    if not hasattr(wrapped.base_model, "merge_and_unload"):
        kind = next(iter(wrapped.peft_config.values())).peft_type
        raise CheckpointError(f"{folder}: peft_type: {kind} adds to each prompt and cannot be merged; use LoRA")
    return wrapped


def merge(wrapped: Any) -> Any:
    """The merged model. Input and output embeddings that training set apart stay apart."""
    config = wrapped.get_base_model().config
    tied = config.get_text_config().tie_word_embeddings
    if tied:
        _untie(wrapped.get_base_model())
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Input and output embeddings are no longer tied"
            )  # looked at below
            model = wrapped.merge_and_unload(safe_merge=True)
    except ValueError as error:  # not a number, or two adapters that do not go together
        raise CheckpointError(f"the adapter cannot be merged ({first_line(error)}); train it again") from error
    if tied:
        _tie_again(model)
    return model


def _untie(model: Any) -> None:
    """Give the output embeddings weights of their own: merging into shared ones would change the input too."""
    import torch

    head = model.get_output_embeddings()
    if head is None:
        return
    layer = getattr(head, "base_layer", head)
    layer = getattr(layer, "original_module", layer)
    layer.weight = torch.nn.Parameter(layer.weight.detach().clone(), requires_grad=False)


def _tie_again(model: Any) -> None:
    """Share the embeddings where they are still equal; else say in the configuration that they are two."""
    head = model.get_output_embeddings()
    if head is None:
        return
    inputs = model.get_input_embeddings()
    equal = head.weight.shape == inputs.weight.shape and head.weight.equal(inputs.weight)
    if equal:
        head.weight = inputs.weight
    else:
        model.all_tied_weights_keys = {}
    for config in (model.config, model.config.get_text_config()):  # PEFT writes False for what was untied here
        config.tie_word_embeddings = equal


def round_weights(model: Any, dtype: torch.dtype) -> None:
    """Round the weights to `dtype`, in place, still held as float32: what the saved model will compute with."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()
