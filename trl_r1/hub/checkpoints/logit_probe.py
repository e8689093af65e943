"""Logits of a model on a few fixed prompts, to tell whether two models are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_TEXTS: Final = (
    "What is 12 plus 30? Think first, then answer.",
    "def add(a, b):\n    return a + b",
    "证明根号二是无理数。",
    "The quick brown fox jumps over the lazy dog: 1, 2, 3 ...",
)
_RANDOM_ROWS: Final = 4
_LENGTH: Final = 32  # tokens a row at most


def probe_rows(
    tokenizer: PreTrainedTokenizerBase, model: Any, trained: Mapping[str, Sequence[int]] | Sequence[int] | None = None
) -> list[list[int]]:
    """
    Token ids to compare models on: sentences, tokens from the whole vocabulary, and those that were trained.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Tokenizer of the models.
        model ([`~transformers.PreTrainedModel`]):
            One of them, for its number of embeddings.
        trained (`Mapping[str, Sequence[int]]` or `Sequence[int]`, *optional*):
            Ids whose embeddings an adapter trained, as PEFT's `trainable_token_indices` has them.

    Returns:
        `list[list[int]]`: the same every time.
    """
    import torch

    size = model.get_input_embeddings().weight.shape[0]
    rows: list[list[int]] = [tokenizer(text)["input_ids"][:_LENGTH] for text in _TEXTS]
    generator = torch.Generator().manual_seed(0)
    rows += torch.randint(size, (_RANDOM_ROWS, _LENGTH), generator=generator).tolist()
    rows.append(list(range(max(0, size - _LENGTH), size)))  # where added tokens are
    if trained:
        ids = trained if isinstance(trained, Sequence) else [i for group in trained.values() for i in group]
        rows.append(list(dict.fromkeys(ids))[:_LENGTH])
    return [row for row in rows if row]


def probe_logits(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Logits of each row, float32 on the CPU, shape (tokens, vocabulary), or (1, labels) of a classifier."""
    import torch

    with torch.no_grad():
        outputs = [model(input_ids=torch.tensor([row], device=model.device)).logits[0] for row in rows]
    return [torch.atleast_2d(logits.float().cpu()) for logits in outputs]


def difference(reference: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Relative l2 distance between the logits of one prompt; of the worst prompt, and `nan` where one is."""
    import torch

    worst = torch.zeros(())
    for left, right in zip(reference, other, strict=True):
        distance = (left - right).norm() / left.norm().clamp_min(torch.finfo(torch.float32).tiny)
        worst = torch.maximum(worst, distance)  # keeps nan
    return float(worst)
