"""Two pictures of an evaluation: score against thinking tokens, and which questions who gets right."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from trl_r1.errors import R1Error
from trl_r1.evaluation.reports.results import Result


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers; markers repeat it for grey print
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
SCORE: Final = "accuracy"
TOKENS: Final = ("chain_tokens", "completion_tokens")
LONGEST_LABEL: Final = 36
MOST_ROWS: Final = 400  # questions that a picture can show one line each; more are averaged in bands


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One checkpoint in one mode: its score and its tokens, each with the ends of its interval where known."""

    group: str  # points of a group share a colour
    kind: str  # and those of a kind a marker
    score: tuple[float, float | None, float | None]
    tokens: tuple[float, float | None, float | None]


def points_of(results: Sequence[Result], suite: str) -> tuple[list[Point], str]:
    """The points of a suite, and which tokens they count: thoughts, or all that was written where no thoughts are."""
    own = [each for each in results if each.suite == suite]
    by_key: dict[tuple[str, str, str | None], dict[str, Result]] = {}
    for each in own:
        by_key.setdefault((each.checkpoint, each.mode, each.variant), {})[each.metric] = each
    tokens = next((name for name in TOKENS if any(name in found for found in by_key.values())), TOKENS[0])
    points = [
        Point(
            group=key[0],
            kind=" / ".join(part for part in key[1:] if part),
            score=_ends(found[SCORE]),
            tokens=_ends(found[tokens]),
        )
        for key, found in by_key.items()
        if SCORE in found and tokens in found
    ]
    return points, tokens


def draw_score_against_tokens(results: Sequence[Result], suite: str) -> bytes | None:
    """
    Draw a suite's accuracy against the tokens thought, one point a checkpoint, mode and way to ask.

    Args:
        results (`Sequence[Result]`):
            Of [`read_results`].
        suite (`str`):
            The suite.

    Returns:
        `bytes` or `None`: a PNG; `None` where nothing has both numbers.

    Raises:
        [`R1Error`]: when matplotlib is missing.
    """
    points, tokens = points_of(results, suite)
    if not points:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw_points(axes, points)
        axes.set_title(f"{literal(suite)}: score against tokens", fontsize=12, loc="left")
        axes.set_xlabel("tokens of thought, mean" if tokens == TOKENS[0] else "tokens written, mean")
        axes.set_ylabel("accuracy")

    return save_picture(draw, (9.0, 4.8))


def draw_heat_map(rates: Mapping[str, Mapping[str, float]], title: str) -> bytes | None:
    """
    Draw which share of its answers to each question each column gets right, hardest questions on top.

    Args:
        rates (`Mapping[str, Mapping[str, float]]`):
            From column, a checkpoint say, to question to share. A question that a column lacks is left white.
        title (`str`):
            Above it.

    Returns:
        `bytes` or `None`: a PNG; `None` where there is no question.

    Raises:
        [`R1Error`]: when matplotlib is missing.
    """
    grid, questions = heat_grid(rates)
    if not grid:
        return None
    columns = [literal(_cut(name)) for name in rates]

    def draw(figure: Figure) -> None:
        import matplotlib
        import numpy

        axes = figure.subplots()
        colours = matplotlib.colormaps["cividis"].with_extremes(bad="white")
        image = axes.imshow(
            numpy.array(grid, dtype=float), aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor", fontsize=9)
        bands = f", in {len(grid)} bands" if questions > len(grid) else ""
        axes.set_ylabel(f"{questions} questions, hardest on top{bands}")
        axes.set_yticks([])
        axes.set_title(literal(title), fontsize=12, loc="left")
        figure.colorbar(image, ax=axes, label="share of answers right", shrink=0.8)

    return save_picture(draw, (min(16.0, max(5.0, 2.4 + 0.45 * len(columns))), 6.0))


def heat_grid(rates: Mapping[str, Mapping[str, float]]) -> tuple[list[list[float]], int]:
    """
    The rows of a heat map, hardest first, and how many questions they are of.

    Where there are more questions than a picture has lines for, neighbours in difficulty are averaged.
    """
    questions = list(dict.fromkeys(question for own in rates.values() for question in own))
    rows = {question: [own.get(question, float("nan")) for own in rates.values()] for question in questions}
    ranked = sorted(questions, key=lambda question: _mean(rows[question]))
    bands = min(len(ranked), MOST_ROWS)
    cuts = [round(place * len(ranked) / bands) for place in range(bands + 1)] if bands else []
    grid = [
        [_mean([rows[question][column] for question in ranked[first:last]]) for column in range(len(rates))]
        for first, last in itertools.pairwise(cuts)
    ]
    return grid, len(questions)


def literal(text: str) -> str:
    """A name that matplotlib has the letters for, and takes for no mathematics and no label to leave out."""
    text = text.encode("ascii", "backslashreplace").decode("ascii")
    text = "".join(letter for letter in text if letter.isprintable()).replace("$", r"\$")
    return text.lstrip("_") or "?"


def _draw_points(axes: Axes, points: Sequence[Point]) -> None:
    groups = list(dict.fromkeys(point.group for point in points))
    kinds = list(dict.fromkeys(point.kind for point in points))
    for point in points:
        axes.errorbar(
            point.tokens[0],
            point.score[0],
            xerr=_bars(point.tokens),
            yerr=_bars(point.score),
            fmt=MARKERS[kinds.index(point.kind) % len(MARKERS)],
            color=COLOURS[groups.index(point.group) % len(COLOURS)],
            markerfacecolor="none" if groups.index(point.group) >= len(COLOURS) else None,
            markersize=7,
            elinewidth=1.2,
            capsize=2,
            alpha=0.85,
        )
    axes.set_ylim(-0.03, 1.03)
    right = max(point.tokens[0] if point.tokens[2] is None else point.tokens[2] for point in points)
    axes.set_xlim(
        -0.03 * max(right, 1.0), 1.05 * max(right, 1.0)
    )  # from 0, with room for the marker of an empty chain
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, groups, kinds)


def _legend(axes: Axes, groups: Sequence[str], kinds: Sequence[str]) -> None:
    """Colours of the checkpoints and markers of the modes: fewer than their pairs."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            *([], []),
            color=COLOURS[place % len(COLOURS)],
            marker="o",
            linestyle="",
            markerfacecolor="none" if place >= len(COLOURS) else None,
            label=literal(_cut(name)),
        )
        for place, name in enumerate(groups)
    ]
    handles += [
        Line2D(
            *([], []), color="#666666", marker=MARKERS[place % len(MARKERS)], linestyle="", label=literal(_cut(name))
        )
        for place, name in enumerate(kinds)
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)


def _bars(value: tuple[float, float | None, float | None]) -> list[list[float]] | None:
    """Lengths below and above."""
    middle, low, high = value
    if low is None or high is None:
        return None
    return [[max(0.0, middle - low)], [max(0.0, high - middle)]]


def _ends(result: Result) -> tuple[float, float | None, float | None]:
    return result.value, result.low, result.high


def save_picture(draw: Callable[[Figure], None], inches: tuple[float, float]) -> bytes:
    """
    A PNG of what `draw` draws. The same content gives the same bytes with the same version of matplotlib.

    Raises:
        [`R1Error`]: when matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise R1Error("pictures: matplotlib is missing; pip install trl_r1[report]")
    import matplotlib
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"), matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=inches, dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 2] + ".."


def _mean(values: Sequence[float]) -> float:
    """Of those there are; NaN where there is none."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
