import dataclasses

import pytest

from trl_r1.recipe.data_checks import sampling_problems
from trl_r1.script_arguments import SamplingArguments


def problems(**changes):
    return list(sampling_problems(dataclasses.asdict(SamplingArguments(**changes))))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_completion_length": 0}, "max_completion_length"),
        ({"generation_batch_size": 0}, "generation_batch_size"),
        ({"vllm_tensor_parallel_size": 0}, "vllm_tensor_parallel_size"),
        ({"engine": "vllm", "vllm_gpu_memory_utilization": 0.0}, "vllm_gpu_memory_utilization"),
        ({"engine": "vllm", "vllm_gpu_memory_utilization": 1.5}, "vllm_gpu_memory_utilization"),
        ({"engine": "vllm", "vllm_max_model_length": 256}, "vllm_max_model_length"),
        ({"engine": "vllm", "temperature": 0.001}, "temperature"),
        ({"engine": "server"}, "server_base_url"),
    ],
)
def test_a_value_out_of_range_is_named(changes, field):
    [problem] = problems(**changes)
    assert problem.startswith(f"{field}: ")


def test_another_engines_values_do_not_matter():
    assert problems(vllm_max_model_length=1, vllm_gpu_memory_utilization=9.0, temperature=0.001) == []
    assert problems(engine="vllm", vllm_max_model_length=300, num_generations=1, temperature=0.0) == []
