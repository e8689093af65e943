"""A random reward model of a few thousand weights, for whatever tokenizer it is to go with."""

import torch
from transformers import Qwen3Config, Qwen3ForSequenceClassification


def save_reward_model(tokenizer, folder):
    """Save it with its tokenizer. Returns the folder as text."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
