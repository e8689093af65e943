"""The draws of `torch.multinomial` for a whole batch, of which only the rows that are left are computed."""

from __future__ import annotations

from functools import cache
from itertools import groupby

import torch


class Sampler:
    """
    Draws what `torch.multinomial` would draw for the whole batch, and gives the rows that are left their share.

    `torch.multinomial(probs, 1)` is `(probs / noise).argmax()` with exponential noise of the shape of `probs`
    (`tests/compat/test_generation_hooks.py` holds this). The random state moves on as if all rows had been drawn.

    Args:
        rows (`int`):
            Rows of the whole batch.
        vocabulary (`int`):
            Columns of the logits.
        device (`torch.device`):
            Where the logits are.
    """

    def __init__(self, rows: int, vocabulary: int, device: torch.device) -> None:
        self._noise = torch.empty((rows, vocabulary), device=device)
        self._unused = torch.empty(vocabulary, dtype=torch.long) if _can_pass_over(device) else None
        self._rows: torch.Tensor | None = None  # those that are left, in the order of the scores; `None` for all
        self._runs = [(True, 0, rows)]  # stretches of rows that are left, or not: from, to

    def select_rows(self, index: torch.Tensor) -> None:
        """Learn which rows of the batch the next scores belong to, in their order; shape `(rows left,)`."""
        self._rows = index
        if self._unused is None:
            return
        left = set(index.tolist())
        self._runs = []
        for alive, group in groupby(range(len(self._noise)), left.__contains__):
            places = list(group)
            self._runs.append((alive, places[0], places[-1] + 1))

    def __call__(self, scores: torch.Tensor) -> torch.Tensor:
        """
        Choose a token a row.

        Args:
            scores (`torch.Tensor`):
                Logits of shape `(rows left, vocabulary)`, float32.

        Returns:
            `torch.Tensor`: token ids, shape `(rows left,)`.

        Raises:
            `RuntimeError`: `torch.multinomial`'s own, when a logit is not a number.
        """
        probs = torch.nn.functional.softmax(scores, dim=-1)
        self._draw()
        ratios = probs / (self._noise if self._rows is None else self._noise.index_select(0, self._rows))
        tokens = ratios.argmax(dim=-1, keepdim=True)
        if ratios.gather(1, tokens).isnan().any():
            torch.multinomial(probs, num_samples=1)
        return tokens.squeeze(1)

    def _draw(self) -> None:
        for alive, start, stop in self._runs:
            if alive:
                self._noise[start:stop].exponential_(1)
                continue
            assert self._unused is not None
            for _ in range(stop - start):
                self._unused.random_()


@cache
def draws_as_multinomial(device: torch.device) -> bool:
    """Whether `torch.multinomial` on a device is what [`Sampler`] computes; no random state is touched."""
    first, second = (torch.Generator(device).manual_seed(1) for _ in range(2))
    probs = torch.linspace(0.1, 1.0, 12 * 131, device=device).view(12, 131)
    expected = torch.multinomial(probs, num_samples=1, generator=first).squeeze(1)
    drawn = (probs / torch.empty_like(probs).exponential_(1, generator=second)).argmax(dim=-1)
    return torch.equal(drawn, expected) and torch.equal(first.get_state(), second.get_state())


def _can_pass_over(device: torch.device) -> bool:
    return device.type == "cpu" and _integers_pass_over_noise()


@cache
def _integers_pass_over_noise() -> bool:
    """Whether drawing integers moves the CPU's random state on as exponential noise does, at a sixth of its cost."""
    whole, parts = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    expected = torch.empty(4, 67).exponential_(1, generator=whole)
    first = torch.empty(67).exponential_(1, generator=parts)
    for _ in range(2):
        torch.empty(67, dtype=torch.long).random_(generator=parts)
    last = torch.empty(67).exponential_(1, generator=parts)
    same = torch.equal(first, expected[0]) and torch.equal(last, expected[3])
    return same and torch.equal(whole.get_state(), parts.get_state())
