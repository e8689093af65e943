"""A random reward model of a few thousand weights, in a folder that goes with the process."""

import functools
import tempfile

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForSequenceClassification


WORDS = ["<pad>", "<unk>", "<think>", "</think>", "hello", "friend", "go", "away", "so", "?", "user", "assistant", ":"]
FOLDER = tempfile.TemporaryDirectory(prefix="reward_model_")


@functools.cache
def reward_model():
    """Its folder."""
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
        num_labels=1,
        pad_token_id=0,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(FOLDER.name)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(FOLDER.name)
    return FOLDER.name
