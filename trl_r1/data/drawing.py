"""Which rows of a mixture's sources are trained on, in which order, and which are set aside to test on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trl_r1.errors import DataError


TEST_SEED = 42  # of a test part without `dataset_mixture_seed`; TRL draws another one at each start


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """
    The rows drawn of one source.

    Args:
        rows (`NDArray[np.int64]`):
            Rows to train on, in the order of the mixture.
        places (`NDArray[np.int64]`):
            Where each of them stands in the mixture, counted over all sources.
        test_rows (`NDArray[np.int64]`):
            Rows set aside to test on.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    test_rows: NDArray[np.int64]


def draw_mixture(
    sizes: Sequence[int],
    *,
    fractions: Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
    seed: int | None = None,
    test_size: float | None = None,
) -> list[Draw]:
    """
    Draw a mixture as TRL or open-r1 would, but source by source, so that each can be counted on its own.

    Args:
        sizes (`Sequence[int]`):
            Rows of each source.
        fractions (`Sequence[float]`, *optional*):
            TRL's: target share of each source in the mixture. Its first rows are taken, as many as the source that
            runs out first allows.
        weights (`Sequence[float]`, *optional*):
            open-r1's: share of each source's rows, after it was shuffled with the seed.
        seed (`int`, *optional*):
            Shuffles the whole mixture. Without it sources follow each other.
        test_size (`float`, *optional*):
            Share of the mixture to set aside.

    Returns:
        `list[Draw]`: one a source.

    Raises:
        [`DataError`]: when no row is drawn, or the test part would leave none to train on.
    """
    taken = [np.arange(size) for size in sizes]
    if fractions:
        shares = [fraction / sum(fractions) for fraction in fractions]
        total = min(size / share for size, share in zip(sizes, shares, strict=True))
        taken = [rows[: round(share * total)] for rows, share in zip(taken, shares, strict=True)]
    if weights and seed is not None:
        taken = [_shuffled(rows, seed)[: int(len(rows) * weight)] for rows, weight in zip(taken, weights, strict=True)]
    if not any(map(len, taken)):
        raise DataError("datasets: the mixture draws none of their rows; give them larger shares")
    starts = np.cumsum([0, *(len(rows) for rows in taken)])
    order, test = np.arange(starts[-1]), np.arange(0)
    if seed is not None:
        order = _shuffled(order, seed)
    if test_size is not None:
        order, test = _split(order, test_size, TEST_SEED if seed is None else seed)
    return [_draw(rows, start, order, test) for rows, start in zip(taken, starts[:-1], strict=True)]


def _draw(rows: NDArray[np.int64], start: int, order: NDArray[np.int64], test: NDArray[np.int64]) -> Draw:
    """The part of a mixture that one source, whose rows begin at `start`, has in it."""
    places = np.flatnonzero((order >= start) & (order < start + len(rows)))
    inside = test[(test >= start) & (test < start + len(rows))]
    return Draw(rows=rows[order[places] - start], places=places, test_rows=rows[inside - start])


def _shuffled(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows in the order that `datasets` shuffles a data set of that many into."""
    return rows[np.random.default_rng(seed).permutation(len(rows))]


def _split(rows: NDArray[np.int64], test_size: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and to test on, as `datasets` splits them."""
    from datasets import Dataset

    try:
        parts = Dataset.from_dict({"row": rows}).train_test_split(test_size=test_size, seed=seed)
    except ValueError as error:
        raise DataError(
            f"test_split_size: {test_size} of {len(rows)} rows leaves none to train on; draw more, or leave it out"
        ) from error
    return np.asarray(parts["train"]["row"][:]), np.asarray(parts["test"]["row"][:])
