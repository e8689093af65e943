"""From a recipe's lines to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl_r1.generation.transformers_engine import TransformersEngine
from trl_r1.generation.vllm_engine import VLLMEngine


if TYPE_CHECKING:
    from trl import ModelConfig

    from trl_r1.generation.types import GenerationEngine
    from trl_r1.script_arguments import EngineArguments


def load_engine(arguments: EngineArguments, model_args: ModelConfig, tokenizer: Any | None = None) -> GenerationEngine:
    """
    Load what a recipe samples with.

    Args:
        arguments ([`~trl_r1.script_arguments.EngineArguments`]):
            Which engine, and its parameters.
        model_args ([`~trl.ModelConfig`]):
            Which model, its revision and type.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            Its chat template is the engine's: the recipe's, where that names one.

    Returns:
        [`GenerationEngine`]: ready to generate.

    Raises:
        [`R1Error`]: when a library is missing, or the model or server cannot be had.
    """
    path, revision, dtype = str(model_args.model_name_or_path), model_args.model_revision, model_args.dtype or "auto"
    if arguments.engine == "server":
        from trl_r1.generation.server import ServerEngine

        return ServerEngine.from_arguments(arguments, model_args, tokenizer)
    if arguments.engine == "vllm":
        return VLLMEngine.from_pretrained(
            path,
            revision,
            str(dtype).removeprefix("torch."),
            tokenizer,
            gpu_memory_utilization=arguments.vllm_gpu_memory_utilization,
            tensor_parallel_size=arguments.vllm_tensor_parallel_size,
            max_model_length=arguments.vllm_max_model_length,
        )
    engine = TransformersEngine.from_pretrained(path, revision, dtype)
    if tokenizer is not None:
        engine.tokenizer.chat_template = tokenizer.chat_template
    return engine
