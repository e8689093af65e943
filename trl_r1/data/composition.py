"""One data set of several: without repetitions, balanced by domain, and a table of what it is made of.

Source: DeepSeek-R1, arXiv v2, section B.3.3 and table 5, the 800 thousand samples of the second fine-tuning.
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, overload

from trl_r1.data.conversations import CONTENT_COLUMNS, Conversation, read_conversation
from trl_r1.data.domain_targets import draw_domains
from trl_r1.data.mixture import PLACE, RawSource
from trl_r1.data.paper_composition import TOTAL
from trl_r1.errors import DataError
from trl_r1.stage_record import DataSource


if TYPE_CHECKING:
    from datasets import Features

OTHER: Final = "other"  # rows of no named domain
READ_AT_ONCE: Final = 1000  # rows
SOURCE_COLUMN: Final = "composed_from"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositionOptions:
    """
    How data sets are made one.

    Args:
        problem_column (`str`, *optional*, defaults to `"problem"`):
            Column with the question, of rows that are no chats yet.
        domain_column (`str`, *optional*, defaults to `"domain"`):
            Column with a row's domain.
        source_domains (`Mapping[str, str]`, *optional*):
            By source, the domain of its rows that name none; the others are `"other"`.
        domain_targets (`Mapping[str, int | float]`, *optional*):
            By domain, rows (a whole number) or share of the result (a number up to 1.0), see
            [`~trl_r1.data.domain_targets.plan_domains`].
        max_rows (`int`, *optional*):
            Rows in all.
        near_duplicate_threshold (`float`, *optional*):
            Rows as similar as this to an earlier one are left out; without it only equal ones.
        columns (`Sequence[str]`, *optional*):
            The sources' own columns to keep, all by default.
        seed (`int`, *optional*, defaults to `42`):
            Chooses the rows of a domain that has more than asked for.
    """

    problem_column: str = "problem"
    domain_column: str = "domain"
    source_domains: Mapping[str, str] = field(default_factory=dict)
    domain_targets: Mapping[str, int | float] = field(default_factory=dict)
    max_rows: int | None = None
    near_duplicate_threshold: float | None = None
    columns: Sequence[str] | None = None
    seed: int = 42


@dataclass(slots=True)
class DomainCount:
    """Rows of a domain, with sums of their rounds and, where a tokenizer counted them, of their tokens."""

    samples: int = 0
    rounds: int = 0
    tokens: int | None = None

    def add(self, rounds: int, tokens: int | None) -> None:
        """Count a row."""
        self.samples += 1
        self.rounds += rounds
        if tokens is not None:
            self.tokens = (self.tokens or 0) + tokens

    @property
    def mean_rounds(self) -> float:
        """Answers a row."""
        return self.rounds / self.samples if self.samples else 0.0

    @property
    def mean_tokens(self) -> float | None:
        """Tokens a row: all turns, chat marks left out."""
        return None if self.tokens is None or not self.samples else self.tokens / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """
    What [`compose`] left, to be read row by row.

    Args:
        sources (`list[RawSource]`):
            What was read.
        kept (`list[array]`):
            By source, the rows that are left, in order.
        dropped (`list[dict[str, int]]`):
            By source, the others by reason.
        table (`dict[str, DomainCount]`):
            By domain, the largest first.
        options ([`CompositionOptions`]):
            As given.
        is_chat (`bool`):
            Whether rows are chats.
    """

    sources: list[RawSource]
    kept: list[array[int]]
    dropped: list[dict[str, int]]
    table: dict[str, DomainCount]
    options: CompositionOptions
    is_chat: bool

    def __len__(self) -> int:
        return sum(map(len, self.kept))

    @property
    def total(self) -> DomainCount:
        """All domains together."""
        counts = list(self.table.values())
        tokens = [count.tokens for count in counts if count.tokens is not None]
        return DomainCount(
            sum(count.samples for count in counts),
            sum(count.rounds for count in counts),
            sum(tokens) if tokens else None,
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows, source after source: the conversation, its domain and source, and the row's own columns."""
        own = [name for name in self.features() if name not in (*CONTENT_COLUMNS, SOURCE_COLUMN)]
        for source, kept in zip(self.sources, self.kept, strict=True):
            for start in range(0, len(kept), READ_AT_ONCE):
                for row in source.dataset.select(kept[start : start + READ_AT_ONCE]):
                    content = read_conversation(row, self.options.problem_column)
                    assert isinstance(content, Conversation)
                    kept_columns = {name: row.get(name) for name in own}
                    domain = {self.options.domain_column: domain_of(row, source.name, self.options)}
                    yield content.columns() | kept_columns | domain | {SOURCE_COLUMN: source.name}

    def features(self) -> Features:
        """
        Columns of the rows and their types.

        Raises:
            [`DataError`]: when two sources give a column different types.
        """
        from datasets import Features, Value

        turns: Any = [{"role": Value("string"), "content": Value("string")}]
        text: Any = Value("string")
        content = {"messages": turns} if self.is_chat else {"prompt": text, "completion": text}
        own = _own_features(self.sources, self.options)
        return Features(content | own | {self.options.domain_column: text, SOURCE_COLUMN: text})

    def describe(self) -> list[DataSource]:
        """The entries of `stage.json`."""
        return [
            source.describe(len(kept), dropped)
            for source, kept, dropped in zip(self.sources, self.kept, self.dropped, strict=True)
        ]


def compose(sources: Sequence[RawSource], options: CompositionOptions, tokenizer: Any = None) -> Composition:
    """
    Make one data set of several. Rows are read as they are needed, so there may be more than fit into memory.

    Of equal conversations (spaces do not tell them apart) the first is kept, so earlier sources go before later ones.

    Args:
        sources (`Sequence[RawSource]`):
            What to join, in order.
        options ([`CompositionOptions`]):
            How.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            Counts the tokens of the table; without it there are none.

    Returns:
        [`Composition`]

    Raises:
        [`DataError`]: when chats and texts are mixed, a column has two types, a target cannot be met, or nothing is
            left.
    """
    read = _read(sources, options)
    texts = _Texts(sources, options.problem_column, read.places)
    left = list(range(len(read.places)))
    if options.near_duplicate_threshold is not None:
        from trl_r1.data.near_duplicates import near_duplicates

        repeated = {index for index, _ in near_duplicates(texts, options.near_duplicate_threshold)}
        for index in sorted(repeated):
            read.dropped[read.places[index][0]]["near_duplicate"] += 1
        left = [index for index in left if index not in repeated]
    domains = [read.names[read.domains[index]] for index in left]
    drawn = draw_domains(domains, options.domain_targets, options.max_rows, options.seed)
    chosen = [left[place] for place in drawn]
    for index in sorted(set(left) - set(chosen)):
        read.dropped[read.places[index][0]]["over_target"] += 1
    if not chosen:
        raise DataError(f"datasets: none of {sum(len(source.dataset) for source in sources)} rows is left; give more")
    result = Composition(
        sources=list(sources),
        kept=[array("q") for _ in sources],
        dropped=[dict(counts.most_common()) for counts in read.dropped],
        table=_count(read, texts, chosen, tokenizer),
        options=options,
        is_chat=read.is_chat,
    )
    for index in chosen:
        source, row = read.places[index]
        result.kept[source].append(row)
    result.features()  # refuses columns of two types before anything is written
    return result


def domain_of(row: Mapping[str, Any], source: str, options: CompositionOptions) -> str:
    """A row's domain: as it says, or as its source's is."""
    named = row.get(options.domain_column)
    return str(named) if named not in (None, "") else options.source_domains.get(source, OTHER)


@dataclass(slots=True)
class _Read:
    """What is remembered of every usable row, a few bytes each."""

    dropped: list[Counter[str]]
    is_chat: bool = True
    places: list[tuple[int, int]] = field(default_factory=list)  # source and row
    domains: array[int] = field(default_factory=lambda: array("l"))  # places in names
    rounds: array[int] = field(default_factory=lambda: array("l"))
    names: list[str] = field(default_factory=list)


def _read(sources: Sequence[RawSource], options: CompositionOptions) -> _Read:
    """Look at every row once: can it be used, is it new, of which domain."""
    read = _Read(dropped=[Counter() for _ in sources])
    seen: set[bytes] = set()
    kinds: dict[bool, str] = {}
    numbers: dict[str, int] = {}
    for number, source in enumerate(sources):
        for index, row in enumerate(source.dataset):
            content = read_conversation(row, options.problem_column)
            if isinstance(content, str):
                read.dropped[number][content] += 1
                continue
            kinds.setdefault(content.messages is not None, source.name)
            digest = _digest(content)
            if digest in seen:
                read.dropped[number]["duplicate"] += 1
                continue
            seen.add(digest)
            read.places.append((number, index))
            domain = domain_of(row, source.name, options)
            read.domains.append(numbers.setdefault(domain, len(numbers)))
            read.rounds.append(content.rounds)
    if len(kinds) > 1:
        raise DataError(
            f"datasets: {kinds[True]!r} holds chats and {kinds[False]!r} texts with a continuation; a data set is one "
            "or the other: sample both with the same output_format"
        )
    if TOTAL in numbers:
        raise DataError(f"{options.domain_column}: a domain is called {TOTAL!r}, as the table's sum is; rename it")
    read.names, read.is_chat = list(numbers), kinds.get(True) is not None
    return read


def _digest(content: Conversation) -> bytes:
    """The same for conversations that differ in spaces alone."""
    turns = content.messages or [{"role": "", "content": content.prompt or ""}, {"role": "", "content": content.text}]
    digest = hashlib.blake2b(digest_size=16)
    for turn in turns:
        words = " ".join(turn["content"].split())
        digest.update(f"{turn['role']}\x1f{words}\x1e".encode("utf-8", "surrogatepass"))
    return digest.digest()


class _Texts(Sequence[str]):
    """The conversations as texts, each read from disk when it is looked at."""

    def __init__(self, sources: Sequence[RawSource], column: str, places: Sequence[tuple[int, int]]) -> None:
        self._sources, self._column, self._places = sources, column, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        source, row = self._places[index]
        content = read_conversation(self._sources[source].dataset[row], self._column)
        assert isinstance(content, Conversation)
        return content.text


def _count(read: _Read, texts: Sequence[str], chosen: Sequence[int], tokenizer: Any) -> dict[str, DomainCount]:
    """The table, largest domain first."""
    table: dict[str, DomainCount] = {}
    for start in range(0, len(chosen), READ_AT_ONCE):
        indices = chosen[start : start + READ_AT_ONCE]
        tokens: Sequence[int | None] = [None] * len(indices)
        if tokenizer is not None:
            encoded = tokenizer([texts[index] for index in indices], add_special_tokens=False)["input_ids"]
            tokens = [len(ids) for ids in encoded]
        for index, number in zip(indices, tokens, strict=True):
            domain = read.names[read.domains[index]]
            table.setdefault(domain, DomainCount()).add(read.rounds[index], number)
    return dict(sorted(table.items(), key=lambda item: (-item[1].samples, item[0])))


def _own_features(sources: Sequence[RawSource], options: CompositionOptions) -> dict[str, Any]:
    """The sources' own columns with their types; one that is empty in a source has no type there."""
    known: dict[str, tuple[Any, str]] = {}
    for source in sources:
        for name, feature in source.dataset.features.items():
            if name in (*CONTENT_COLUMNS, SOURCE_COLUMN, PLACE, options.domain_column):
                continue
            if options.columns is not None and name not in options.columns:
                continue
            before, home = known.get(name, (feature, source.name))
            if _is_empty(before):
                known[name] = feature, source.name
            elif _is_empty(feature) or before == feature:
                known[name] = before, home
            else:
                raise DataError(
                    f"columns: {name!r} is {before} in {home!r} and {feature} in {source.name!r}; name the columns to "
                    "keep in `columns`, or give it one type"
                )
    missing = [name for name in options.columns or () if name not in (*known, *CONTENT_COLUMNS, options.domain_column)]
    if missing:
        raise DataError(
            f"columns: no data set has {missing[0]!r}; they have {', '.join(known) or 'none of their own'}"
        )
    return {name: feature for name, (feature, _) in known.items()}


def _is_empty(feature: Any) -> bool:
    return getattr(feature, "dtype", None) == "null"
