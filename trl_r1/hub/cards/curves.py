"""A stage's training curves as one picture for its card, drawn from the record's history."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.hub.cards.text import write_whole


if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_NAME: Final = "training_curves.png"
COLUMNS: Final = 3
PANEL_INCHES: Final = (4.0, 3.1)  # at 100 dots an inch: 1200 px for a full row, as wide as the Hub shows a card
LONGEST_LABEL: Final = 28
# Okabe and Ito's palette, told apart by colour-blind readers; dashes repeat it for grey print
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: Final = ("-", "--", "-.", ":")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart: its title, the unit of its values, and the logged columns it shows, by label."""

    title: str
    unit: str
    columns: dict[str, str]


PANELS: Final = (
    Panel("Loss", "training loss", {"training": "loss", "held out": "eval_loss"}),
    Panel("Completion length", "tokens", {"mean": "completions/mean_length"}),
    Panel("Length by verdict", "tokens", {"right": "signals/length_correct", "wrong": "signals/length_wrong"}),
    Panel("Groups that teach", "share of groups", {"rewards differ": "signals/with_signal"}),
    Panel("Cut off at the limit", "share of completions", {"cut off": "completions/clipped_ratio"}),
    Panel("KL to the reference", "nats a token", {"KL": "kl"}),
    Panel("Entropy", "nats a token", {"all": "entropy", "rows with signal": "entropy_of_rows_with_signal"}),
    Panel("Next tokens predicted", "share of tokens", {"predicted": "mean_token_accuracy"}),
    Panel("Pairs in the right order", "share of pairs", {"right": "accuracy"}),
    Panel("Margin", "chosen less rejected", {"margin": "margin"}),
)
_REWARDS: Final = "Reward by function"
_NO_USE_IN_GRPO: Final = frozenset({"Loss"})  # near 0 whatever is learnt: it would only mislead
_NOTHING_IF_ZERO: Final = frozenset({"Cut off at the limit"})


def draw_curves(history: Sequence[Mapping[str, Any]]) -> bytes | None:
    """
    Draw the curves a history holds.

    The same history gives the same bytes with the same version of matplotlib.

    Args:
        history (`Sequence[Mapping[str, Any]]`):
            Log rows with `step`, as a [`~trl_r1.stage_record.StageRecord`] keeps them.

    Returns:
        `bytes` or `None`: a PNG at most 1200 pixels wide; `None` where fewer than two rows hold something to draw, or
        matplotlib is not installed.
    """
    panels = [(panel, curves) for panel in _panels(history) if (curves := _curves(panel, history))]
    if not panels:
        return None
    if find_spec("matplotlib") is None:
        logger.warning("no training curves on the card: matplotlib is missing; pip install trl_r1[report]")
        return None
    import matplotlib
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    with style.context("default"), matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 11}):
        size = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows)
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        cells = figure.subplots(rows, columns, squeeze=False).flat
        for axes, (panel, curves) in zip(cells, panels, strict=False):
            _draw_panel(axes, panel, curves)
        for axes in list(figure.axes)[len(panels) :]:
            axes.set_axis_off()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def write_curves(folder: Path, picture: bytes | None) -> None:
    """Write `training_curves.png` beside a card, or remove one that no record backs."""
    path = folder / CURVES_NAME
    if picture is None:
        path.unlink(missing_ok=True)
        return
    write_whole(path, picture)


def _panels(history: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    """The panels that fit a history; rewards get theirs from the functions it names."""
    names = dict.fromkeys(name for row in history for name in row)
    rewards = [name for name in names if name.startswith("rewards/") and name.endswith("/mean")]
    if rewards:
        shown = {name.removeprefix("rewards/").removesuffix("/mean"): name for name in rewards[: len(COLOURS)]}
        title = _REWARDS if len(shown) == len(rewards) else f"{_REWARDS} (first {len(shown)} of {len(rewards)})"
        yield Panel(title, "mean, unweighted", shown)
        yield Panel("Total reward", "weighted sum", {"mean": "reward"})
    for panel in PANELS:
        if not (rewards and panel.title in _NO_USE_IN_GRPO):
            yield panel


def _curves(panel: Panel, history: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and values of a panel's columns, those with at least two numbers."""
    found = {}
    for label, column in panel.columns.items():
        points = [(row["step"], row[column]) for row in history if _is_number(row.get(column)) and "step" in row]
        if len(points) > 1:
            found[label] = ([float(step) for step, _ in points], [float(value) for _, value in points])
    if panel.title in _NOTHING_IF_ZERO and not any(any(values) for _, values in found.values()):
        return {}
    return found


def _draw_panel(axes: Axes, panel: Panel, curves: Mapping[str, tuple[list[float], list[float]]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for index, (label, (steps, values)) in enumerate(curves.items()):
        shown = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 2] + ".."
        axes.plot(
            steps,
            values,
            label=_literal(shown),
            color=COLOURS[index % len(COLOURS)],
            linestyle=DASHES[index % len(DASHES)],
            linewidth=2.0,
        )
    axes.set_title(panel.title, fontsize=12, loc="left")
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(panel.unit)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = [value for _, values in curves.values() for value in values]
    if min(drawn) >= 0 < max(drawn):
        axes.set_ylim(0, 1.08 * max(drawn))  # a scale that starts elsewhere makes noise look like learning
    if panel.title.startswith(_REWARDS) or list(curves) != list(panel.columns)[:1]:
        axes.legend(fontsize=10 if len(curves) < 5 else 8, framealpha=0.7, edgecolor="none")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _literal(text: str) -> str:
    """A name that matplotlib has the letters for, and takes neither for mathematics nor for a curve to leave out."""
    text = text.encode("ascii", "backslashreplace").decode("ascii")
    text = "".join(letter for letter in text if letter.isprintable()).replace("$", r"\$")
    return text.lstrip("_") or "?"
