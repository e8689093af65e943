"""Folders of tiny random models of real architectures, as `save_pretrained` leaves them."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM


ARCHITECTURES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}


def save_policy(
    folder, tokenizer, *, architecture="llama", tied=True, dtype=torch.float32, seed=0, save_tokenizer=True
):
    """A random policy with the tokenizer's vocabulary. Returns the folder."""
    torch.manual_seed(seed)
    config_class, model_class = ARCHITECTURES[architecture]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model_class(config).to(dtype).save_pretrained(folder)
    if save_tokenizer:
        tokenizer.save_pretrained(folder)
    return folder
