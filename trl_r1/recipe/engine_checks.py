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
    if values["engine"] == "server":
        yield from _server_problems(values)


def _server_problems(values: Mapping[str, Any]) -> Iterator[str]:
    for name in ("server_max_concurrency", "server_requests_per_minute", "server_timeout"):
        if values[name] is not None and values[name] <= 0:
            yield f"{name}: {values[name]} must be above 0"
    if values["server_max_retries"] < 0:
        yield f"server_max_retries: {values['server_max_retries']} must be at least 0"
    address = values["server_base_url"]
    if address and not address.startswith(("http://", "https://")):
        yield f"server_base_url: {address!r} is no address; write http://localhost:8000/v1, say"


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
