"""Every launch configuration is one that accelerate reads, and says how to launch it."""

import re

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from launching import ROOT

from trl_r1.recipe import load_yaml


FILES = sorted((ROOT / "recipes" / "accelerate_configs").glob("*.yaml"))
KINDS = {
    "cpu": ("NO", 1),
    "fsdp2": ("FSDP", 8),
    "multi_gpu": ("MULTI_GPU", 8),
    "single_gpu": ("NO", 1),
    "two_cpu": ("MULTI_GPU", 2),
    "vllm_server": ("MULTI_GPU", 4),
    "zero2": ("DEEPSPEED", 8),
    "zero3": ("DEEPSPEED", 8),
}


def test_the_configurations_are_the_documented_ones():
    assert [path.stem for path in FILES] == sorted(KINDS)
    readme = (FILES[0].parent / "README.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in readme for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_accelerate_reads_it(path):
    config = load_config_from_file(str(path))
    assert (config.distributed_type, config.num_processes) == KINDS[path.stem]
    assert config.use_cpu is (path.stem == "cpu")
    if path.stem.startswith("zero"):
        assert config.deepspeed_config["zero_stage"] == int(path.stem[-1])
        assert config.deepspeed_config.get("zero3_save_16bit_model", False) is (path.stem == "zero3")
    if path.stem == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
        assert config.fsdp_config["fsdp_state_dict_type"] == "FULL_STATE_DICT"  # else no loader reads what is saved
    if config.gpu_ids is not None:
        assert len(str(config.gpu_ids).split(",")) == config.num_processes


def test_the_gpus_of_the_vllm_server_are_not_those_that_train():
    path = next(path for path in FILES if path.stem == "vllm_server")
    served = re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", path.read_text(encoding="utf-8"))[1]
    assert not set(served.split(",")) & set(str(load_config_from_file(str(path)).gpu_ids).split(","))


def test_trl_reads_the_line_that_starts_the_vllm_server():
    from trl.scripts.vllm_serve import make_parser

    text = (ROOT / "recipes" / "accelerate_configs" / "vllm_server.yaml").read_text(encoding="utf-8")
    gpus, words = re.search(r"CUDA_VISIBLE_DEVICES=(\S+) trl vllm-serve (.*)", text).groups()
    arguments = make_parser().parse_args(words.split())
    assert arguments.data_parallel_size * arguments.tensor_parallel_size == len(gpus.split(","))
    lengths = {
        load_yaml(path).get("vllm_max_model_length") for path in (ROOT / "recipes" / "qwen2.5-1.5b").glob("*.yaml")
    }
    assert lengths == {None, arguments.max_model_len}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header_holds_its_launch_line(path):
    start = f"# accelerate launch --config_file {path.relative_to(ROOT)} -m trl_r1.scripts.grpo"
    assert any(line.startswith(start) for line in path.read_text(encoding="utf-8").splitlines())
