"""What is wrong with the values of a generation engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final


LOWEST_VLLM_TEMPERATURE: Final = 0.01  # vLLM would draw at this instead


def engine_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with how an engine is to be used, a line each."""
    for name in ("max_completion_length", "generation_batch_size", "vllm_tensor_parallel_size"):
        if values[name] < 1:
            yield f"{name}: {values[name]} must be at least 1"
    if values["engine"] == "vllm":
        yield from _vllm_problems(values)


def _vllm_problems(values: Mapping[str, Any]) -> Iterator[str]:
    share, room = values["vllm_gpu_memory_utilization"], values["vllm_max_model_length"]
    if not 0 < share <= 1:
        yield f"vllm_gpu_memory_utilization: {share} must be above 0 and at most 1"
    if room is not None and room <= values["max_completion_length"]:
        yield (
            f"vllm_max_model_length: {room} leaves no room for a prompt beside max_completion_length "
            f"{values['max_completion_length']}; raise it"
        )
    if 0 < values["temperature"] < LOWEST_VLLM_TEMPERATURE:
        yield (
            f"temperature: {values['temperature']} is below {LOWEST_VLLM_TEMPERATURE}, which vLLM would take instead; "
            "set 0 for greedy decoding"
        )
