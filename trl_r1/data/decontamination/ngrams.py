"""Which of some texts' word n-grams occur in another text: hashed, so that a long text is looked up in one go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED: Final = 10


@dataclass(frozen=True, slots=True)
class Shared:
    """What a text shares with one of the texts of an index."""

    whole: bool  # every n-gram of it
    coverage: float  # share of the n-grams it is known by: those of no other text; where all are common, all
    place: float  # of the first shared one, as a share of the searched text


class NgramIndex:
    """
    The n-grams of some texts.

    Each word of the texts has a random number of 64 bits, an n-gram the sum of its words' numbers times those of their
    places. Two n-grams out of 10^12 pairs have the same sum with a chance of one in ten million.

    What a text shares with many is not counted for each of them: the texts a template made would be found in each
    other's place, and looking one up would take as long as there are texts.

    Args:
        texts (`Mapping[int, Sequence[str]]`):
            Words of each text, by a key. No two should be equal.
        size (`int`):
            Words an n-gram. Shorter texts are not found.
        count_common (`bool`, *optional*, defaults to `False`):
            Whether a text is known by what it shares with others, too, however long that takes.
    """

    def __init__(self, texts: Mapping[int, Sequence[str]], size: int, *, count_common: bool = False) -> None:
        self.size = size
        self._ids = {
            word: number for number, word in enumerate({word: 0 for own in texts.values() for word in own}, 1)
        }
        draw = np.random.default_rng(_SEED)
        self._values = draw.integers(2**64 - 1, size=len(self._ids) + 1, dtype=np.uint64)
        self._places = draw.integers(2**64 - 1, size=size, dtype=np.uint64) | np.uint64(1)
        self._hashes_of = {key: frozenset(self._hashes(own).tolist()) for key, own in texts.items()}
        owned = Counter(value for own in self._hashes_of.values() for value in own)
        self._telling: dict[int, int] = {}  # how many n-grams a text is known by
        self._owners: dict[int, list[int]] = {value: [] for value in owned}
        for key, own in self._hashes_of.items():
            known_by = [value for value in own if count_common or owned[value] == 1] or list(own)
            self._telling[key] = len(known_by)
            for value in known_by:
                self._owners[value].append(key)
        self._known = np.array(sorted(owned), dtype=np.uint64)

    def find(self, own: Sequence[str]) -> tuple[dict[int, Shared], set[int]]:
        """
        What a text shares with those of the index.

        Args:
            own (`Sequence[str]`):
                Its words.

        Returns:
            `tuple[dict[int, Shared], set[int]]`: by key what it shares with texts it has a telling n-gram of, and
            every n-gram it shares with any.
        """
        if len(own) < self.size or not len(self._known):
            return {}, set()
        hashes = self._hashes(own)
        nearest = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        firsts: dict[int, int] = {}
        for place in np.flatnonzero(self._known[nearest] == hashes).tolist():
            firsts.setdefault(int(hashes[place]), place)
        counts: dict[int, int] = defaultdict(int)
        starts: dict[int, int] = {}
        for value, place in firsts.items():
            for key in self._owners[value]:
                counts[key] += 1
                starts.setdefault(key, place)
        found = {
            key: Shared(
                whole=count == self._telling[key] and self._hashes_of[key] <= firsts.keys(),
                coverage=count / self._telling[key],
                place=starts[key] / len(own),
            )
            for key, count in counts.items()
        }
        return found, set(firsts)

    def keys_by_ngram(self) -> dict[int, list[int]]:
        """Every n-gram with the texts that hold it."""
        keys: dict[int, list[int]] = defaultdict(list)
        for key, own in self._hashes_of.items():
            for value in own:
                keys[value].append(key)
        return keys

    def _hashes(self, own: Sequence[str]) -> NDArray[np.uint64]:
        """One number for each n-gram in order; sums wrap around on purpose."""
        known = self._ids.get
        values = self._values[np.fromiter((known(word, 0) for word in own), dtype=np.int64, count=len(own))]
        total = np.zeros(max(len(own) - self.size + 1, 0), dtype=np.uint64)
        for place, factor in enumerate(self._places):
            total += values[place : place + len(total)] * factor
        return total
