"""What vLLM finds in the environment of a process that other processes were started with, and must not.

Each process of a launcher runs an engine of its own: its share of the prompts, its own GPUs, no group with the others.
Nothing here imports vLLM: it reads these variables while it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from trl_r1.errors import R1Error


# vLLM would take the launcher's group for its own; PyTorch, told of an agent's store, would wait for that of rank 0.
LAUNCHER: Final = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_"),
    *("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_", "VLLM_DP_"),
)
RESTORED: Final = (
    *LAUNCHER,
    "LD_PRELOAD",
)  # vLLM sets the last for its workers; verifiers' processes shall not have it
DEFAULTS: Final = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}  # a user's own setting stays


@contextmanager
def vllm_environment(tensor_parallel_size: int = 1) -> Iterator[None]:
    """
    Within it, vLLM may be imported and an engine started: it sees this process alone, and its GPUs.

    Args:
        tensor_parallel_size (`int`, *optional*, defaults to `1`):
            GPUs an engine is split over.

    Raises:
        [`R1Error`]: as [`own_gpus`], or when this process has begun to use a GPU, whose choice is then too late.
    """
    gpus = own_gpus(os.environ, tensor_parallel_size, _count_gpus())
    if gpus is not None:
        _check_none_is_in_use()
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    before = {name: value for name, value in os.environ.items() if name.startswith(RESTORED)}
    _forget(LAUNCHER)
    # In this process: one that is killed leaves no engine behind that holds the GPU.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        _forget(RESTORED)
        os.environ.update(before)


def own_gpus(environment: Mapping[str, str], tensor_parallel_size: int, num_visible: int) -> str | None:
    """
    The GPUs of this process among those of all processes on this machine, in the form of `CUDA_VISIBLE_DEVICES`.

    Args:
        environment (`Mapping[str, str]`):
            Of the process, with what a launcher says of it.
        tensor_parallel_size (`int`):
            GPUs each process takes.
        num_visible (`int`):
            GPUs all of them see.

    Returns:
        `str` or `None`: identifiers separated by commas; `None` when there is nothing to share out, because there is
        no GPU or only one process.

    Raises:
        [`R1Error`]: when there are not enough.
    """
    processes = int(environment.get("LOCAL_WORLD_SIZE", 1))
    needed = processes * tensor_parallel_size
    if num_visible == 0:
        return None
    if needed > num_visible:
        raise R1Error(
            f"vllm_tensor_parallel_size: {processes} processes of {tensor_parallel_size} GPUs each need {needed}, and "
            f"{num_visible} are visible; start fewer processes or lower it"
        )
    if processes == 1:
        return None
    named = environment.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(index) for index in range(num_visible)]
    first = int(environment["LOCAL_RANK"]) * tensor_parallel_size
    return ",".join(visible[first : first + tensor_parallel_size])


def _forget(beginnings: tuple[str, ...]) -> None:
    for name in [name for name in os.environ if name.startswith(beginnings)]:
        del os.environ[name]


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _check_none_is_in_use() -> None:
    import torch

    if torch.cuda.is_initialized():
        raise R1Error(
            "engine: 'vllm' cannot choose this process's GPUs, as it has begun to use one; start the engine first"
        )
