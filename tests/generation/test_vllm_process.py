import os

import pytest

from trl_r1.errors import R1Error
from trl_r1.generation import vllm_process
from trl_r1.generation.vllm_process import own_gpus, vllm_environment


def launched(rank, processes, **more):
    return {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes), **more}


@pytest.mark.parametrize(
    ("environment", "size", "visible", "expected"),
    [
        ({}, 1, 0, None),
        ({}, 4, 8, None),
        (launched(0, 1), 1, 8, None),
        (launched(0, 2), 1, 0, None),
        (launched(0, 2), 1, 2, "0"),
        (launched(1, 2), 1, 2, "1"),
        (launched(1, 2), 4, 8, "4,5,6,7"),
        (launched(1, 2, CUDA_VISIBLE_DEVICES="3,5,6"), 1, 3, "5"),
        (launched(1, 2, CUDA_VISIBLE_DEVICES="GPU-a,GPU-b,GPU-c,GPU-d"), 2, 4, "GPU-c,GPU-d"),
    ],
)
def test_each_process_has_gpus_of_its_own(environment, size, visible, expected):
    assert own_gpus(environment, size, visible) == expected


@pytest.mark.parametrize(("processes", "size"), [(3, 1), (1, 4), (2, 2)])
def test_too_few_gpus_are_refused(processes, size):
    with pytest.raises(R1Error, match=rf"^vllm_tensor_parallel_size: {processes} processes .* {processes * size}, "):
        own_gpus(launched(0, processes), size, 2)


def test_the_launcher_is_hidden_and_comes_back(monkeypatch):
    told = {"RANK": "1", "MASTER_PORT": "29500", "TORCHELASTIC_USE_AGENT_STORE": "True", "LOCAL_WORLD_SIZE": "2"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "")
    with vllm_environment():
        assert not told.keys() & os.environ.keys()
        assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
        os.environ.update(LOCAL_WORLD_SIZE="1", LD_PRELOAD="/of/vllm.so")
    assert {name: os.environ.get(name) for name in told} == told
    assert "LD_PRELOAD" not in os.environ
    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"


def test_the_launcher_comes_back_after_an_error(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    with pytest.raises(ZeroDivisionError), vllm_environment():
        _ = 1 / 0
    assert os.environ["RANK"] == "1"


def test_gpus_are_chosen_before_one_is_used(monkeypatch):
    for name, value in launched(1, 2).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    monkeypatch.setattr(vllm_process, "_count_gpus", lambda: 2)
    with vllm_environment():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    with pytest.raises(R1Error, match="start the engine first"), vllm_environment():
        pytest.fail("it went on")
