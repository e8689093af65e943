"""Log-probabilities of completions that are there already: one pass over prompt and completion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final


TOKENS_AT_ONCE: Final = 2048  # rows x columns of a pass: 1.2 GB of float32 logits at a vocabulary of 150,000


def token_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], pad_id: int
) -> list[tuple[float, ...]]:
    """
    Log-probability of each token of each completion under the policy itself: before temperature and nucleus.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Policy, in evaluation mode.
        prompts (`Sequence[Sequence[int]]`):
            Tokens of each prompt, at least one.
        completions (`Sequence[Sequence[int]]`):
            Tokens of each completion, the end token included.
        pad_id (`int`):
            Fills rows up, on the right, where no token looks.

    Returns:
        `list[tuple[float, ...]]`: natural logarithms, computed in float32 from the model's logits.
    """
    found: list[tuple[float, ...]] = [()] * len(prompts)
    for rows in _portions([len(prompt) + len(ids) for prompt, ids in zip(prompts, completions, strict=True)]):
        values = _one_pass(model, [prompts[row] for row in rows], [completions[row] for row in rows], pad_id)
        for row, value in zip(rows, values, strict=True):
            found[row] = value
    return found


def _portions(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of like length, as many as `TOKENS_AT_ONCE` allows and at least one."""
    portion: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if portion and (len(portion) + 1) * lengths[row] > TOKENS_AT_ONCE:
            yield portion
            portion = []
        portion.append(row)
    if portion:
        yield portion


def _one_pass(
    model: Any, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], pad_id: int
) -> list[tuple[float, ...]]:
    import torch
    from trl.trainer.utils import selective_log_softmax

    rows = [[*prompt, *ids] for prompt, ids in zip(prompts, completions, strict=True)]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    kept = width - min(map(len, prompts)) + 1  # from the last token of the shortest prompt on
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=mask, logits_to_keep=kept, use_cache=False).logits
        values = selective_log_softmax(logits[:, -kept:-1].float(), tokens[:, -kept + 1 :])
    first = width - kept + 1  # the place of the first value's token
    return [
        tuple(row[len(prompt) - first : len(prompt) - first + len(ids)])
        for row, prompt, ids in zip(values.tolist(), prompts, completions, strict=True)
    ]
