"""Which of some texts' word n-grams occur in another text: hashed, so that a long text is looked up in one go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED: Final = 10


class NgramIndex:
    """
    The n-grams of some texts.

    Each word of the texts has a random number of 64 bits, an n-gram the sum of its words' numbers times those of their
    places. Two n-grams out of 10^12 pairs have the same sum with a chance of one in ten million.

    Args:
        texts (`Mapping[int, Sequence[str]]`):
            Words of each text, by a key.
        size (`int`):
            Words an n-gram. Shorter texts are not found.
    """

    def __init__(self, texts: Mapping[int, Sequence[str]], size: int) -> None:
        self.size = size
        self._ids = {
            word: number for number, word in enumerate({word: 0 for own in texts.values() for word in own}, 1)
        }
        draw = np.random.default_rng(_SEED)
        self._values = draw.integers(2**64 - 1, size=len(self._ids) + 1, dtype=np.uint64)
        self._places = draw.integers(2**64 - 1, size=size, dtype=np.uint64) | np.uint64(1)
        self._owners: dict[int, list[int]] = defaultdict(list)
        self._totals: dict[int, int] = {}
        for key, own in texts.items():
            distinct = set(self._hashes(own).tolist())
            self._totals[key] = len(distinct)
            for value in distinct:
                self._owners[value].append(key)
        self._known = np.array(sorted(self._owners), dtype=np.uint64)

    def find(self, own: Sequence[str]) -> dict[int, tuple[float, float]]:
        """
        The texts with which a text shares n-grams.

        Args:
            own (`Sequence[str]`):
                Its words.

        Returns:
            `dict[int, tuple[float, float]]`: for each such text its key, the share of its distinct n-grams that are
            found, and where the first of them is, as a share of the searched text.
        """
        if len(own) < self.size or not len(self._known):
            return {}
        hashes = self._hashes(own)
        nearest = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        places = np.flatnonzero(self._known[nearest] == hashes)
        firsts: dict[int, int] = {}
        counts: dict[int, int] = defaultdict(int)
        for value, place in {int(hashes[place]): int(place) for place in places[::-1]}.items():
            for key in self._owners[value]:
                counts[key] += 1
                firsts[key] = min(place, firsts.get(key, place))
        return {key: (count / self._totals[key], firsts[key] / len(own)) for key, count in counts.items()}

    def _hashes(self, own: Sequence[str]) -> NDArray[np.uint64]:
        """One number for each n-gram in order; sums wrap around on purpose."""
        count = len(own) - self.size + 1
        known = self._ids.get
        values = self._values[np.fromiter((known(word, 0) for word in own), dtype=np.int64, count=len(own))]
        total = np.zeros(max(count, 0), dtype=np.uint64)
        for place, factor in enumerate(self._places):
            total += values[place : place + len(total)] * factor
        return total
