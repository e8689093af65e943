"""A policy of a few thousand weights that mostly says a digit, and a benchmark whose answers are digits."""

from tiny_models import make_model, make_tokenizer
from transformers import GenerationConfig


DIGITS = 4
CHAT = (
    "{% for message in messages %}user : {{ message.content }} {% endfor %}{% if add_generation_prompt %}so{% endif %}"
)
BENCHMARK = r"""
name: digits
title: Digits
reader: gsm8k
instruction: "{problem} go"
num_samples: 16
max_completion_length: 1
pass_at: [1, 4]
cons_at: [16]
source: made up
"""


def save_policy(folder, chat_template=CHAT):
    """Mostly it says one of four digits. Lighteval samples only where a checkpoint's own configuration says so."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = chat_template
    model = make_model(tokenizer, tied=False)
    digits = tokenizer.convert_tokens_to_ids([str(digit) for digit in range(DIGITS)])
    model.lm_head.weight.data[digits] *= 6
    model.generation_config = GenerationConfig(do_sample=True, eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
