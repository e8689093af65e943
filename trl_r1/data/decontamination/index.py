"""A benchmark's questions, ready to be found in any text: by word n-grams, whole texts, and MinHash."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trl_r1.data.decontamination.benchmarks import Benchmark
from trl_r1.data.decontamination.ngrams import NgramIndex, Shared
from trl_r1.data.decontamination.texts import Field
from trl_r1.data.near_duplicates import SignatureIndex, jaccard, shingles
from trl_r1.data.normalised_text import is_number, mask_numbers, numbers, words
from trl_r1.errors import DataError


Kind = Literal["verbatim", "short", "ngram", "near_duplicate", "renumbered"]
KINDS: Final[tuple[Kind, ...]] = ("verbatim", "short", "ngram", "near_duplicate", "renumbered")  # the surest first
RENUMBERED_COVERAGE: Final = 0.9  # of a question's n-grams with its numbers masked
RENUMBERED_LENGTH: Final = 2  # times the question's words, at most: a longer problem asks more than that
NEAR_SHINGLE: Final = 3  # words; a question of 30 with one word changed then has a similarity of .8
# What a question is wrapped in, whatever it asks. Without them "Compute 17+25." is "What is 17+25?".
_ASKING_WORDS: Final = """
what is the value of find compute calculate evaluate determine solve simplify for how much equal equals to question
problem answer q please express give us result expression following
"""
_ASKING: Final = frozenset(_ASKING_WORDS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """
    What counts as found.

    Args:
        ngram_size (`int`, *optional*, defaults to `10`):
            Words an n-gram (the paper's). A question of fewer is short: it is compared as a whole.
        min_coverage (`float`, *optional*, defaults to `0.5`):
            Least share that a text must hold of the n-grams that only one question has. At 0 any n-gram of any is
            enough, as in the paper; questions of competitions share longer phrases than that ("where m and n are
            relatively prime positive integers").
        near_duplicate_threshold (`float`, *optional*, defaults to `0.7`):
            Least Jaccard similarity of two problems, in runs of three words. At 1 none is looked for.

    Raises:
        [`DataError`]: when a value is out of range.
    """

    ngram_size: int = 10
    min_coverage: float = 0.5
    near_duplicate_threshold: float = 0.7

    def __post_init__(self) -> None:
        if self.ngram_size < 2:
            raise DataError(f"ngram_size: {self.ngram_size} must be at least 2 words")
        if not 0 <= self.min_coverage <= 1:
            raise DataError(f"min_coverage: {self.min_coverage} is no share; give a number from 0 to 1")
        if not 0 < self.near_duplicate_threshold <= 1:
            raise DataError(f"near_duplicate_threshold: {self.near_duplicate_threshold} must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Match:
    """A question found in a text."""

    benchmark: int
    question: int  # within the benchmark
    kind: Kind
    field: Field
    coverage: float  # share of n-grams, or similarity
    place: float  # where in the text, as a share of it


@dataclass(frozen=True, slots=True)
class _Entry:
    """A question as it is compared."""

    benchmark: int
    question: int
    words: list[str]
    numbers: Counter[str]
    answer: str | None
    plain_words: int  # that are no numbers


class BenchmarkIndex:
    """
    Finds the questions of benchmarks in texts.

    Args:
        benchmarks (`Sequence[Benchmark]`):
            What to look for.
        settings ([`SearchSettings`], *optional*):
            What counts as found.

    Raises:
        [`DataError`]: when there is no question, or near-duplicates are asked for without `rensa`.
    """

    def __init__(self, benchmarks: Sequence[Benchmark], settings: SearchSettings | None = None) -> None:
        self.benchmarks, self.settings = list(benchmarks), settings or SearchSettings()
        self.questions = [entry for number, each in enumerate(benchmarks) for entry in _entries(number, each)]
        if not self.questions:
            raise DataError("benchmarks: they hold no question; name at least one benchmark with questions")
        size = self.settings.ngram_size
        long = [key for key, entry in enumerate(self.questions) if len(entry.words) >= size]
        self._equal = _groups(long, lambda key: " ".join(self.questions[key].words))
        self._ngrams = NgramIndex(
            {key: self.questions[key].words for key in self._equal}, size, count_common=self.settings.min_coverage == 0
        )
        self._benchmarks_of = {
            value: {self.questions[key].benchmark for first in firsts for key in self._equal[first]}
            for value, firsts in self._ngrams.keys_by_ngram().items()
        }
        # Of questions that differ by their numbers alone one stands for all: a template may have made thousands.
        masked = {key: mask_numbers(self.questions[key].words) for key in self._equal}
        self._alike = _groups(self._equal, lambda key: " ".join(masked[key]))
        self._by_numbers = {
            (first, _listed(self.questions[key].numbers)): key for first, keys in self._alike.items() for key in keys
        }
        self._masked = NgramIndex({key: masked[key] for key in self._alike if self._can_be_renumbered(key)}, size)
        self._near = self._signatures(masked)
        self._short_texts: dict[str, list[int]] = defaultdict(list)
        self._short_formulas: dict[tuple[str, str], list[int]] = defaultdict(list)
        for key, entry in enumerate(self.questions):
            if len(entry.words) < size:
                self._add_short(key, entry)

    def search(self, field: Field, answer: str | None = None) -> tuple[list[Match], set[int]]:
        """
        The questions found in a text.

        Args:
            field ([`Field`]):
                The text.
            answer (`str`, *optional*):
                The answer of the row, as [`answer_key`] spells it.

        Returns:
            `tuple[list[Match], set[int]]`: the questions, each once, and the numbers of the benchmarks with which
            the text shares at least one n-gram, which in the paper is enough to drop it.
        """
        own = words(field.text)
        shared, ngrams = self._ngrams.find(own)
        found: dict[int, Match] = {}
        for first, each in shared.items():
            if kind := self._kind_of(self.questions[first], each, own):
                for key in self._equal[first]:
                    found[key] = self._match(key, kind, field, each.coverage, each.place)
        if field.is_problem:
            for key in self._same_short(own, field.text, answer):
                found.setdefault(key, self._match(key, "short", field, 1.0, 0.0))
            for key, (kind, similarity) in self._similar(own, found):
                found.setdefault(key, self._match(key, kind, field, similarity, 0.0))
        return list(found.values()), set().union(*(self._benchmarks_of[value] for value in ngrams))

    def _kind_of(self, entry: _Entry, shared: Shared, own: Sequence[str]) -> Kind | None:
        """What the n-grams a text shares with a question amount to."""
        if shared.whole:
            return "verbatim"
        if shared.coverage < self.settings.min_coverage:
            return None
        if not entry.numbers - numbers(own):
            return "ngram"
        if entry.plain_words >= self.settings.ngram_size and self._masked_coverage(entry, own) >= RENUMBERED_COVERAGE:
            return "renumbered"
        # Of a question of few n-grams, those found may be all before its numbers: "find the value of x such that".
        scarce = len(entry.words) < 2 * self.settings.ngram_size and self.settings.min_coverage > 0
        return None if scarce else "ngram"

    def _masked_coverage(self, entry: _Entry, own: Sequence[str]) -> float:
        size = self.settings.ngram_size
        wanted = shingles(mask_numbers(entry.words), size)
        return len(wanted & shingles(mask_numbers(own), size)) / len(wanted)

    def _similar(self, own: Sequence[str], found: dict[int, Match]) -> Iterator[tuple[int, tuple[Kind, float]]]:
        """Questions that differ from a whole problem by their numbers, or by a few words."""
        if len(own) < self.settings.ngram_size:
            return
        masked, counted = mask_numbers(own), numbers(own)
        for key in self._masked.find(masked)[0]:
            entry = self.questions[key]
            if len(own) > RENUMBERED_LENGTH * len(entry.words) or not entry.numbers - counted:
                continue
            if (coverage := self._masked_coverage(entry, own)) >= RENUMBERED_COVERAGE:
                yield key, ("renumbered", coverage)
        if self._near is None or found:
            return
        mine = shingles(masked, NEAR_SHINGLE)
        for first in self._near.candidates(mine):
            theirs = shingles(mask_numbers(self.questions[first].words), NEAR_SHINGLE)
            similarity = jaccard(mine, theirs)
            if similarity < self.settings.near_duplicate_threshold:
                continue
            same = self._by_numbers.get((first, _listed(counted)))
            if same is not None:
                yield from ((key, ("near_duplicate", similarity)) for key in self._equal[same])
            elif similarity >= RENUMBERED_COVERAGE and self._can_be_renumbered(first):
                yield first, ("renumbered", similarity)

    def _can_be_renumbered(self, key: int) -> bool:
        """Whether a question has numbers, and words enough beside them to be known without."""
        entry = self.questions[key]
        return bool(entry.numbers) and entry.plain_words >= self.settings.ngram_size

    def _same_short(self, own: Sequence[str], text: str, answer: str | None) -> Iterator[int]:
        """Short questions that a problem is, or holds on a line of its own with the same answer."""
        for key in self._short_texts.get(" ".join(own), ()):
            known = self.questions[key].answer
            if answer is None or known is None or answer == known:
                yield key
        if answer is None or not (self._short_texts or self._short_formulas):
            return
        unnumbered = own[1:] if own and is_number(own[0]) else own  # "1. Compute ..."
        lines = [own, unnumbered, *(words(line) for line in text.splitlines() if len(line) <= _longest(self.settings))]
        for line in lines:
            if (formula := _formula(line)) is not None:
                yield from self._short_formulas.get((formula, answer), ())
            yield from (
                key for key in self._short_texts.get(" ".join(line), ()) if self.questions[key].answer == answer
            )

    def _add_short(self, key: int, entry: _Entry) -> None:
        if not entry.words:
            return
        self._short_texts[" ".join(entry.words)].append(key)
        if entry.answer is not None and (formula := _formula(entry.words)) is not None:
            self._short_formulas[formula, entry.answer].append(key)

    def _signatures(self, masked: Mapping[int, Sequence[str]]) -> SignatureIndex | None:
        if self.settings.near_duplicate_threshold == 1 or not self._alike:
            return None
        index = SignatureIndex(self.settings.near_duplicate_threshold, NEAR_SHINGLE)
        for key in self._alike:
            index.add(key, shingles(masked[key], NEAR_SHINGLE))
        return index

    def _match(self, key: int, kind: Kind, field: Field, coverage: float, place: float) -> Match:
        entry = self.questions[key]
        return Match(entry.benchmark, entry.question, kind, field, coverage, place)


def _entries(number: int, benchmark: Benchmark) -> Iterator[_Entry]:
    for position, question in enumerate(benchmark.questions):
        own = words(question.text)
        plain = sum(not is_number(word) for word in own)
        yield _Entry(number, position, own, numbers(own), question.answer, plain)


def _formula(own: Iterable[str]) -> str | None:
    """What a short problem is about, without the words that ask; `None` where no number or too little is left."""
    left = [word for word in own if word not in _ASKING]
    return " ".join(left) if len(left) > 1 and any(map(is_number, left)) else None


def _groups(keys: Iterable[int], text_of: Callable[[int], str]) -> dict[int, list[int]]:
    """Keys whose texts are equal, by the first of them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for key in keys:
        groups[text_of(key)].append(key)
    return {group[0]: group for group in groups.values()}


def _listed(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counted.elements()))


def _longest(settings: SearchSettings) -> int:
    """Characters a line with a short question may have; words are seldom longer."""
    return 30 * settings.ngram_size


def surest(kinds: Iterable[Kind]) -> Kind | None:
    """The kind that leaves least doubt, of those found; `None` of none."""
    return min(kinds, key=KINDS.index, default=None)
