"""Texts that say the same within one data set: equal after normalising, or nearly so by MinHash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.normalised_text import numbers, words
from trl_r1.errors import DataError


if TYPE_CHECKING:
    from rensa import RMinHash

PERMUTATIONS: Final = 128
SHINGLE: Final = 5  # words
_SEED: Final = 1
_FOUND: Final = 0.99  # least share of pairs at the threshold that the bands must find


def near_duplicates(
    texts: Sequence[str],
    threshold: float = 0.8,
    *,
    shingle: int = SHINGLE,
    same_numbers: bool = True,
) -> Iterator[tuple[int, int]]:
    """
    Find the texts that repeat an earlier one.

    A text repeats another when they are equal after normalising, or when their sets of `shingle` successive words have
    a Jaccard similarity of `threshold`. MinHash proposes the pairs; the similarity that decides is counted exactly.
    What is kept of each text in memory is its signature, so the texts may be a column of a memory-mapped dataset.

    Args:
        texts (`Sequence[str]`):
            The texts, each read once, and again for each pair proposed.
        threshold (`float`, *optional*, defaults to `0.8`):
            Least similarity, above 0 and at most 1. At 1 only equal texts are found, and no MinHash is needed.
        shingle (`int`, *optional*, defaults to `5`):
            Words a shingle. A text of fewer words is one shingle.
        same_numbers (`bool`, *optional*, defaults to `True`):
            Whether both must hold the same numbers as often: a problem with another number is another problem.

    Yields:
        `tuple[int, int]`: index of a text that repeats another, and of the first text it repeats, which is itself
        kept. In order of the first.

    Raises:
        [`DataError`]: when a value is out of range, or the package that hashes is not installed.

    Example:

    ```python
    >>> list(near_duplicates(["What is 1+1?", "Something else", "what is $1 + 1$"]))
    [(2, 0)]
    ```
    """
    if not 0 < threshold <= 1:
        raise DataError(f"threshold: {threshold} is no similarity to ask for; give a number above 0 and at most 1")
    if shingle < 1:
        raise DataError(f"shingle: {shingle} must be at least 1 word")
    seen: dict[bytes, int] = {}
    index = SignatureIndex(threshold, shingle) if threshold < 1 else None
    for position, text in enumerate(texts):
        own = words(text)
        digest = _digest(" ".join(own) or text.strip())  # signs alone are compared as they are
        original = seen.get(digest)
        if original is None and index is not None and own:
            original = index.find_or_add(position, own, lambda key: words(texts[key]), same_numbers)
        if original is None:
            seen[digest] = position
        else:
            yield position, original


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def jaccard(first: set[str], second: set[str]) -> float:
    """Shared members of two sets, as a share of all; two empty sets are alike."""
    union = len(first | second)
    return len(first & second) / union if union else 1.0


def shingles(of: Sequence[str], size: int = SHINGLE) -> set[str]:
    """Every run of `size` successive words; all of them as one where there are fewer."""
    return {" ".join(of[start : start + size]) for start in range(max(1, len(of) - size + 1))}


class SignatureIndex:
    """
    MinHash signatures of texts, by which similar ones are found.

    Args:
        threshold (`float`):
            Jaccard similarity to find, below 1.
        shingle (`int`, *optional*, defaults to `5`):
            Words a shingle.

    Raises:
        [`DataError`]: when `rensa` is not installed.
    """

    def __init__(self, threshold: float, shingle: int = SHINGLE) -> None:
        self.threshold, self.shingle = threshold, shingle
        self._hashing = _import_rensa()
        self._index = self._hashing.RMinHashLSH(threshold, PERMUTATIONS, bands_for(threshold))

    def add(self, key: int, own: set[str]) -> None:
        """Remember a text by its shingles."""
        self._index.insert(key, self._signature(own))

    def candidates(self, own: set[str]) -> list[int]:
        """Keys of texts whose signatures share a band with this one's, in order; most are similar."""
        return sorted(self._index.query(self._signature(own)))

    def find_or_add(
        self, key: int, own: Sequence[str], read: Callable[[int], Sequence[str]], same_numbers: bool
    ) -> int | None:
        """The first similar text's key; without one, `None`, and this text is remembered."""
        mine = shingles(own, self.shingle)
        signature = self._signature(mine)
        for other in sorted(self._index.query(signature)):
            theirs = read(other)
            if same_numbers and numbers(theirs) != numbers(own):
                continue
            if jaccard(mine, shingles(theirs, self.shingle)) >= self.threshold:
                return int(other)
        self._index.insert(key, signature)
        return None

    def _signature(self, own: set[str]) -> RMinHash:
        signature = self._hashing.RMinHash(PERMUTATIONS, _SEED)
        signature.update(list(own))
        return signature


def bands_for(threshold: float) -> int:
    """The fewest bands of signatures that find at least 99 % of the pairs at a threshold."""
    for bands in (16, 32, 64):
        if 1 - (1 - threshold ** (PERMUTATIONS // bands)) ** bands >= _FOUND:
            return bands
    return PERMUTATIONS


def _import_rensa() -> Any:
    try:
        import rensa
    except ImportError as error:
        raise DataError(
            "near-duplicates: the package rensa is not installed; install trl_r1[dedup], or set the threshold to 1"
        ) from error
    return rensa
