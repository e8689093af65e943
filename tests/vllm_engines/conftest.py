"""Tiny policies that vLLM takes, and engines of both kinds on them."""

import os

import pytest
from tiny_models import make_model, make_tokenizer
from transformers import GenerationConfig

from trl_r1.generation import TransformersEngine, VLLMEngine


os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
HEAD_SIZED = 64  # two heads of 32 dimensions; vLLM on the CPU refuses 16
OTHER_END = "away"  # a word that also ends a completion


def save_checkpoint(folder, tied):
    """A policy whose own generation configuration names a second end token, and sampling that must not be used."""
    tokenizer = make_tokenizer()
    model = make_model(tokenizer, hidden=HEAD_SIZED, tied=tied)
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(OTHER_END)]
    model.generation_config = GenerationConfig(
        eos_token_id=ends, do_sample=True, top_k=1, temperature=0.3, repetition_penalty=5.0, max_new_tokens=3
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session", params=["tied", "untied"])
def policy(request, tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp(request.param), request.param == "tied")


@pytest.fixture(scope="session")
def engine(policy):
    loaded = VLLMEngine.from_pretrained(policy)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def reference(policy):
    return TransformersEngine.from_pretrained(policy, device="cpu")
