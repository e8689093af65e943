"""What the bench found out about a reward, and how it is shown."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trl_r1.bench.case import Case, Problem


if TYPE_CHECKING:
    from rich.table import Table

LONGEST_SHOWN = 60  # characters of a completion
MOST_SHOWN = 40  # failures in a table; after those it is clear


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with the score of one completion."""

    row: int
    problem: Problem
    score: float | None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """
    What a reward did with a case.

    Args:
        case ([`~trl_r1.bench.Case`]):
            The case.
        scores (`tuple[float | None, ...]` or `None`):
            One a completion; `None` when there are none.
        problems (`tuple[RowProblem, ...]`):
            Scores that are not as wanted.
        fault (`str`):
            Why there are no scores, or what was wrong with the call; empty when all is well.
        seconds (`float`):
            Time the call took.
        said (`Mapping[str, Sequence[str]]`):
            Columns the reward logged, such as its verdict in words.
    """

    case: Case
    scores: tuple[float | None, ...] | None
    problems: tuple[RowProblem, ...] = ()
    fault: str = ""
    seconds: float = 0.0
    said: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every completion got what it must get."""
        return not self.fault and not self.problems

    @property
    def kinds_of_problem(self) -> set[Problem]:
        """What kinds of problem there are."""
        return ({Problem.BROKEN} if self.fault else set()) | {problem.problem for problem in self.problems}


@dataclass(frozen=True, slots=True)
class BenchReport:
    """
    All that the bench found out about one reward.

    Args:
        reward (`str`):
            Its name.
        kind (`str`):
            What it was taken for.
        results (`tuple[CaseResult, ...]`):
            One a case, in the order of the corpus.
        left_out (`Mapping[str, str]`):
            Cases that were not run, and why.
    """

    reward: str
    kind: str
    results: tuple[CaseResult, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> list[CaseResult]:
        """Cases that did not go as they must."""
        return [result for result in self.results if not result.passed]

    @property
    def passed(self) -> bool:
        """Whether all cases went as they must; not so when there was none."""
        return bool(self.results) and not self.failures

    @property
    def counts(self) -> dict[str, int]:
        """Number of cases with each kind of problem, by [`Problem`]."""
        found = Counter(problem for result in self.results for problem in result.kinds_of_problem)
        return {problem.value: found[problem] for problem in Problem if found[problem]}

    @property
    def summary(self) -> str:
        """One line, for example `"accuracy_reward (accuracy): 79 of 80 cases as wanted; 1 false positive"`."""
        good = len(self.results) - len(self.failures)
        text = f"{self.reward} ({self.kind}): {good} of {len(self.results)} cases as wanted"
        if self.counts:
            text += "; " + ", ".join(f"{count} {name}" for name, count in self.counts.items())
        if self.left_out:
            text += f"; {len(self.left_out)} not run ({', '.join(dict.fromkeys(self.left_out.values()))})"
        return text

    def table(self, all_cases: bool = False) -> Table:
        """The failures, or all cases, as a rich table: case, what is wrong, wanted, got, completion, why."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.summary, title_justify="left", header_style="bold", expand=False)
        for heading in ("case", "", "wanted", "got"):
            table.add_column(heading, overflow="fold")
        table.add_column("completion", overflow="fold", ratio=2)
        table.add_column("why", overflow="fold", ratio=2)
        shown = self.results if all_cases else self.failures[:MOST_SHOWN]
        for result in shown:
            for cells, style in _lines(result):
                table.add_row(*(Text(cell) for cell in cells), style=style)
        if not all_cases and len(self.failures) > MOST_SHOWN:
            table.caption = f"{len(self.failures) - MOST_SHOWN} more failures"
        return table

    def to_text(self, width: int = 160, all_cases: bool = False) -> str:
        """The table as plain text, the summary alone when there is nothing to show."""
        from rich.console import Console

        if self.passed and not all_cases:
            return self.summary
        stream = io.StringIO()
        Console(file=stream, width=width, color_system=None, emoji=False).print(self.table(all_cases))
        return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines())


def _lines(result: CaseResult) -> list[tuple[tuple[str, ...], str | None]]:
    """Cells and style of a result: a line for each completion that went wrong, or one for all."""
    case = result.case
    if result.fault:
        wanted = ", ".join(dict.fromkeys(str(row.want) for row in case.rows))
        shown = shorten(_text_of(case, 0))
        return [((case.name, Problem.BROKEN.value, wanted, result.fault, shown, case.why), "red")]
    if not result.problems:
        scores = ", ".join(_number(score) for score in result.scores or ())
        wanted = ", ".join(str(row.want) for row in case.rows)
        return [((case.name, "as wanted", wanted, scores, shorten(_text_of(case, 0)), case.why), None)]
    lines: list[tuple[tuple[str, ...], str | None]] = []
    for found in result.problems:
        number = f" #{found.row}" if len(case.rows) > 1 else ""
        got = _number(found.score)
        said = "; ".join(
            value for values in result.said.values() for value in values[found.row : found.row + 1] if value
        )
        lines.append(
            (
                (
                    case.name + number,
                    found.problem.value,
                    str(case.rows[found.row].want),
                    f"{got} ({shorten(said)})" if said else got,
                    shorten(_text_of(case, found.row)),
                    case.why,
                ),
                "red" if found.problem is Problem.FALSE_POSITIVE else "yellow",
            )
        )
    return lines


def _text_of(case: Case, row: int) -> str:
    completion = case.rows[row].completion
    return completion if isinstance(completion, str) else str(list(completion))


def _number(score: float | None) -> str:
    return "None" if score is None else f"{score:.3g}"


def shorten(text: str, limit: int = LONGEST_SHOWN) -> str:
    """A text on one line, its middle left out where it is long; only printable characters."""
    shown = text if len(text) <= 4 * limit else text[: 2 * limit] + text[-2 * limit :]
    plain = (
        character if character.isprintable() else " " for character in shown if not unicodedata.combining(character)
    )
    text = " ".join("".join(plain).split())
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]} … {text[-(limit - head - 3) :]}"
