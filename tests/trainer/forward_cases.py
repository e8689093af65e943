"""Small models and padded rows on which TRL's forward pass is compared with another one."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from tiny_run import make_grpo, make_tokenizer
from trl import GRPOConfig, GRPOTrainer


ROUNDING = 2e-6  # relative l2 of gradients in float32
COMMON = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
    "bos_token_id": None,
}
# name: class of transformers, fields of its configuration
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"tie_word_embeddings": True}),
    "llama, one key head": ("Llama", {"num_key_value_heads": 1}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": False}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "mistral": ("Mistral", {"sliding_window": None, "num_key_value_heads": 4}),
    "gemma": ("Gemma", {"head_dim": 16}),
    "granite": ("Granite", {"attention_multiplier": 0.3, "logits_scaling": 2.0}),
    "mixture of experts": (
        "Qwen3Moe",
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8},
    ),
}

# Prompt and completion tokens of each row, and which rows share a prompt
SHAPES: dict[str, list[tuple[int, int, int]]] = {
    "groups": [(5, 7, 0), (5, 1, 0), (5, 4, 0), (9, 3, 1), (9, 8, 1), (2, 6, 2)],
    "groups torn apart": [(5, 7, 0), (9, 3, 1), (5, 1, 0), (9, 8, 1)],
    "no shared prompt": [(4, 5, 0), (6, 2, 1), (3, 7, 2)],
    "prompts of one token": [(1, 4, 0), (1, 2, 0), (1, 3, 1), (4, 2, 2)],
    "one row": [(6, 5, 0)],
    "rows without completion": [(3, 4, 0), (9, 0, 1), (3, 0, 0), (4, 2, 2)],
    "all alike": [(4, 3, 0)] * 4,
}


def make_family(name: str, **changes: Any) -> Any:
    """A model of some hundred thousand random weights."""
    kind, fields = FAMILIES[name]
    tokenizer = make_tokenizer()
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": tokenizer.eos_token_id}
    config = getattr(transformers, f"{kind}Config")(**{**COMMON, **ids, **fields, **changes})
    torch.manual_seed(1)
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def make_trainer(folder: Any, model: Any, **options: Any) -> Any:
    """TRL's trainer around a model; it is not run."""
    run = options.pop("run", {})
    return make_grpo(GRPOTrainer, GRPOConfig, str(folder / "out"), run={"model": model, **run}, **options)


def make_rows(
    shape: list[tuple[int, int, int]], vocabulary: int = 48, extra: int = 2, seed: int = 3
) -> tuple[Any, Any, int]:
    """Ids, mask and completion columns, padded by `extra` columns more than needed."""
    generator = torch.Generator().manual_seed(seed)
    left = max(prompt for prompt, _, _ in shape) + extra
    right = max(completion for _, completion, _ in shape) + extra
    ids = torch.randint(4, vocabulary, (len(shape), left + right), generator=generator)
    prompts = torch.randint(4, vocabulary, (len(shape), left), generator=generator)
    mask = torch.zeros_like(ids)
    for row, (prompt, completion, group) in enumerate(shape):
        ids[row, :left] = prompts[group]
        mask[row, left - prompt : left + completion] = 1
    return ids.masked_fill(mask == 0, 0), mask, right


def stock(trainer: Any) -> Any:
    """TRL's pass, with the signature of ours."""

    def forward(model: Any, ids: Any, mask: Any, columns: int, compute_entropy: bool) -> Any:
        found = GRPOTrainer._get_per_token_logps_and_entropies(
            trainer, model, ids, mask, columns, compute_entropy=compute_entropy
        )
        return found[:2]

    return forward


def values_and_gradient(forward: Any, model: Any, rows: tuple[Any, Any, int]) -> tuple[Any, Any, Any]:
    """Log-probabilities, entropies and the gradient of a weighted sum of both, all weights in one vector."""
    model.zero_grad()
    logps, entropies = forward(model, *rows, True)
    weights = torch.linspace(-1, 1, logps.numel()).view_as(logps) * rows[1][:, -rows[2] :]
    (logps * weights + 0.1 * entropies * weights.flip(0)).sum().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradient = [torch.zeros_like(part) if part.grad is None else part.grad for part in trained]
    return logps.detach(), entropies.detach(), torch.cat([part.flatten() for part in gradient]).double()


def distance(found: Any, expected: Any) -> float:
    """Relative l2."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())
