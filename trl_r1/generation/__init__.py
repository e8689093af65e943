"""One `generate(prompts, params, engine)` for every engine."""

from trl_r1.generation.calls import generate
from trl_r1.generation.engine_loading import load_engine
from trl_r1.generation.server import ServerEngine
from trl_r1.generation.transformers_engine import TransformersEngine
from trl_r1.generation.types import (
    Completion,
    GenerationEngine,
    GenerationSummary,
    SamplingParameters,
)
from trl_r1.generation.vllm_engine import VLLMEngine


__all__ = [
    "Completion",
    "GenerationEngine",
    "GenerationSummary",
    "SamplingParameters",
    "ServerEngine",
    "TransformersEngine",
    "VLLMEngine",
    "generate",
    "load_engine",
]
