"""One `generate(prompts, params, engine)` for every engine."""

from trl_r1.generation.calls import generate
from trl_r1.generation.transformers_engine import TransformersEngine
from trl_r1.generation.types import (
    Completion,
    GenerationEngine,
    GenerationSummary,
    SamplingParameters,
)


__all__ = [
    "Completion",
    "GenerationEngine",
    "GenerationSummary",
    "SamplingParameters",
    "TransformersEngine",
    "generate",
]
