"""What of which benchmark was found: counts with intervals, examples side by side, as JSON and for reading."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trl_r1.data.decontamination.benchmarks import Benchmark
from trl_r1.data.decontamination.index import KINDS, Kind, Match, SearchSettings, surest
from trl_r1.data.decontamination.scores import ScoreChange, score_change, wilson
from trl_r1.data.normalised_text import normalise
from trl_r1.errors import DataError
from trl_r1.stage_record import ContaminationCheck


EXAMPLES: Final = 3  # of each benchmark and kind
EXCERPT: Final = 300  # characters
MEANINGS: Final[Mapping[Kind, str]] = {
    "verbatim": "the whole question, whatever its typesetting",
    "short": "a question too short for n-grams, as a whole, with the same answer where both are known",
    "ngram": "a large part of the question",
    "near_duplicate": "a problem that differs by a few words",
    "renumbered": "the question with other numbers",
}


@dataclass(slots=True)
class _Found:
    """What was found of one benchmark."""

    best: dict[int, Kind] = field(default_factory=dict)  # by question
    rows: Counter[Kind] = field(default_factory=Counter)  # whose surest match is in this benchmark
    sharing: int = 0  # rows that share an n-gram with it
    examples: dict[Kind, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class ContaminationReport:
    """
    What of some benchmarks is in some data.

    Args:
        benchmarks (`Sequence[Benchmark]`):
            What was looked for.
        settings ([`SearchSettings`]):
            What counted as found.
        keep_renumbered (`bool`):
            Whether rows of the kind `renumbered` are kept.
        rows_checked (`int`):
            Rows searched so far.
        scores (`list[ScoreChange]`):
            What an evaluation scores with and without the questions found.
    """

    benchmarks: Sequence[Benchmark]
    settings: SearchSettings
    keep_renumbered: bool = False
    rows_checked: int = 0
    scores: list[ScoreChange] = field(default_factory=list)
    _found: list[_Found] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._found = [_Found() for _ in self.benchmarks]

    def add_row(self, source: str, number: int, matches: Sequence[Match], sharing: set[int]) -> None:
        """Count what was found in a row, and keep the first rows of each kind as examples."""
        self.rows_checked += 1
        for benchmark in sharing:
            self._found[benchmark].sharing += 1
        if not matches:
            return
        for match in matches:
            found = self._found[match.benchmark]
            found.best[match.question] = surest([match.kind, found.best.get(match.question, match.kind)]) or match.kind
            examples = found.examples.setdefault(match.kind, [])
            if len(examples) < EXAMPLES:
                examples.append(self._example(source, number, match))
        best = min(matches, key=lambda match: (KINDS.index(match.kind), match.benchmark))
        self._found[best.benchmark].rows[best.kind] += 1

    @property
    def rows(self) -> dict[Kind, int]:
        """Rows by the surest kind of what was found in them."""
        return {kind: count for kind in KINDS if (count := sum(found.rows[kind] for found in self._found))}

    @property
    def dropped(self) -> int:
        """Rows that are not kept."""
        return sum(count for kind, count in self.rows.items() if self._drops(kind))

    def hits(self, benchmark: int) -> dict[Kind, int]:
        """Questions of a benchmark by the surest kind they were found as."""
        counts = Counter(self._found[benchmark].best.values())
        return {kind: counts[kind] for kind in KINDS if counts[kind]}

    def contaminated(self, benchmark: int) -> set[int]:
        """Questions of a benchmark whose rows are dropped."""
        return {question for question, kind in self._found[benchmark].best.items() if self._drops(kind)}

    def add_scores(self, files: Sequence[Path]) -> None:
        """
        Score files of evaluation samples with and without the questions found; those of other questions are left out.

        Raises:
            [`DataError`]: when a file holds something else, or none holds a question of the benchmarks.
        """
        asked = {normalise(question.text) for each in self.benchmarks for question in each.questions}
        found = {
            normalise(each.questions[question].text)
            for number, each in enumerate(self.benchmarks)
            for question in self.contaminated(number)
        }
        self.scores += [change for path in files if (change := score_change(path, asked, found)) is not None]
        if files and not self.scores:
            raise DataError(f"samples: none of {len(files)} files has a question of the benchmarks; name theirs")

    def checks(self) -> list[ContaminationCheck]:
        """The entries of `stage.json`: one a benchmark and kind, those without a find included."""
        kinds = [kind for kind in KINDS if kind != "near_duplicate" or self.settings.near_duplicate_threshold < 1]
        return [
            ContaminationCheck(
                benchmark=each.name,
                method=self._method(kind),
                rows_checked=self.rows_checked,
                questions=len(each.questions),
                hits=self.hits(number).get(kind, 0),
                removed=self._found[number].rows[kind] if self._drops(kind) else 0,
                notes=self._note(number, kind),
            )
            for number, each in enumerate(self.benchmarks)
            for kind in kinds
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {
            "rows_checked": self.rows_checked,
            "rows_found": self.rows,
            "rows_dropped": self.dropped,
            "keep_renumbered": self.keep_renumbered,
            "settings": dataclasses.asdict(self.settings),
            "benchmarks": [self._benchmark(number) for number in range(len(self.benchmarks))],
            "scores": [dataclasses.asdict(score) for score in self.scores],
        }

    def _drops(self, kind: Kind) -> bool:
        return kind != "renumbered" or not self.keep_renumbered

    def _method(self, kind: Kind) -> str:
        size, coverage = self.settings.ngram_size, self.settings.min_coverage
        return {
            "verbatim": f"{size}-grams: all of them",
            "short": f"below {size} words: whole text and answer",
            "ngram": f"{size}-grams: {f'at least {coverage:.0%}' if coverage else 'any'}",
            "near_duplicate": f"MinHash: Jaccard similarity of {self.settings.near_duplicate_threshold} or more",
            "renumbered": f"{size}-grams with numbers masked",
        }[kind]

    def _note(self, number: int, kind: Kind) -> str:
        if kind == "renumbered" and self.keep_renumbered and (rows := self._found[number].rows[kind]):
            return f"{rows} rows kept: keep_renumbered"
        return ""

    def _benchmark(self, number: int) -> dict[str, Any]:
        found, each = self._found[number], self.benchmarks[number]
        hits = sum(self.hits(number).values())
        low, high = wilson(hits, len(each.questions))
        return {
            "name": each.name,
            "questions": len(each.questions),
            "questions_found": hits,
            "rate": {"value": hits / len(each.questions), "n": len(each.questions), "low": low, "high": high},
            "found_by_kind": self.hits(number),
            "rows_by_kind": dict(found.rows),
            "rows_sharing_an_ngram": found.sharing,
            "examples": {kind: found.examples[kind] for kind in KINDS if kind in found.examples},
        }

    def _example(self, source: str, number: int, match: Match) -> dict[str, Any]:
        text = match.field.text
        start = max(0, int(match.place * len(text)) - 20)
        return {
            "source": source,
            "row": number,
            "field": match.field.name,
            "coverage": round(match.coverage, 3),
            "question": self.benchmarks[match.benchmark].questions[match.question].text[:EXCERPT],
            "found": text[start : start + EXCERPT],
        }
