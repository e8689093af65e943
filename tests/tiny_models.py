"""
A tokenizer and models of a few thousand weights, made in memory.

Apart from `conftest.py`, as the processes that tests start need them without pytest's fixtures and paths.
"""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trl_r1.chat_template import load_template


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


def make_model(tokenizer, seed=0, layers=2, hidden=32, tied=True):
    """A random Llama policy with the tokenizer's vocabulary, float32, two heads."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)
