"""Shared fixtures: a tokenizer and models of a few thousand weights, made in memory, and no network anywhere."""

import os
import sys
from pathlib import Path


TESTS = Path(__file__).parent
BLOCKER = str(TESTS / "no_network")
# Before anything is imported: subprocesses inherit these, so the block holds in them too.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    PYTHONPATH=os.pathsep.join([BLOCKER, *filter(None, [os.environ.get("PYTHONPATH")])]),
)
sys.path.insert(0, BLOCKER)
import sitecustomize  # noqa: E402  (an interpreter's own sitecustomize may have been loaded already)


if not hasattr(sitecustomize, "NetworkBlockedError"):
    import importlib.util

    _spec = importlib.util.spec_from_file_location("no_network", TESTS / "no_network" / "sitecustomize.py")
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))

import pytest  # noqa: E402
import torch  # noqa: E402
from loopback_hub import LoopbackHub  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: E402

from trl_r1.chat_template import load_template  # noqa: E402


WORDS = [
    *"0123456789abcdefgh",
    *("<think>", "</think>", "<answer>", "</answer>", r"\boxed{", "}", "plus", "minus", "加", "减", "what", "is", "?"),
    *("user", "assistant", ":", "the", "answer", "so", "hello", "friend", "go", "away", "得", "几", "答案", "是"),
]


def make_tokenizer():
    """A word-level tokenizer with ChatML marks and the package's chat template."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unk|>"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unk|>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        unk_token="<|unk|>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = load_template("r1")
    return tokenizer


def make_model(tokenizer, seed=0, layers=2, hidden=32):
    """A random Llama policy with the tokenizer's vocabulary, float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def model(tokenizer):
    return make_model(tokenizer)


@pytest.fixture(scope="session")
def checkpoint(tokenizer, tmp_path_factory):
    """Folder of a saved tiny policy with its tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    make_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def hub_server():
    """A Hub on this machine; see `loopback_hub.py`."""
    with LoopbackHub() as hub:
        yield hub
