"""Charts of the report, as HTML that needs nothing from the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trl_r1.run_records import LOSS_NOTE, FinishedStage, RunRecords
from trl_r1.stage_record import Measurement


if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe and Ito's colours: told apart by colour-blind readers, on a light ground and on a dark one.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c8c00", "#8a6fdf")
NEUTRAL = "#808a98"
CHART_HEIGHT, LEGEND_ROW = 260, 20  # pixels
LEGEND_COLUMNS = 2  # names that fit beside each other


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a training curve: a title and the logged values it draws, by their label."""

    title: str
    series: dict[str, str]  # key in the history -> label


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart."""

    title: str
    html: str
    note: str | None = None


REWARD_PREFIX, REWARD_SUFFIX = "rewards/", "/mean"
LOSS = "Loss"
PANELS = (
    Panel("Length", {"completions/mean_length": "mean", "completions/min_length": "shortest",
                     "completions/max_length": "longest"}),
    Panel("Length by correctness", {"signals/length_correct": "right", "signals/length_wrong": "wrong",
                                    "signals/think_tokens": "chain of thought"}),
    Panel("Groups that teach", {"signals/with_signal": "with signal", "signals/all_right": "all right",
                                "signals/all_wrong": "all wrong", "signals/cancelled": "rewards cancel out"}),
    Panel("Second opinion", {"signals/canary_reward_right": "right by the reward",
                             "signals/canary_right": "right by the canary"}),
    Panel("Reflective words", {"signals/reflective_per_100_words": "in 100 words of thoughts"}),
    Panel(LOSS, {"loss": "loss"}),
    Panel("Entropy and divergence", {"entropy": "entropy", "entropy_of_rows_with_signal": "entropy, rows with signal",
                                     "kl": "divergence from the reference"}),
    Panel("Truncated and clipped", {"completions/clipped_ratio": "completions cut at the limit",
                                    "clip_ratio/region_mean": "tokens whose ratio is clipped"}),
    Panel("Token accuracy", {"mean_token_accuracy": "token accuracy"}),
    Panel("Pairs ranked right", {"accuracy": "share of pairs"}),
)  # fmt: skip


def plotly_source() -> str:
    """The JavaScript all charts share, to stand in the page once."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def training_charts(stage: FinishedStage) -> list[Chart]:
    """The training curves of a stage: reward parts first, then what else it logged. Empty without a history."""
    history = stage.record.history
    logged = {key for entry in history for key in entry}
    rewards = {
        key: key[len(REWARD_PREFIX) : -len(REWARD_SUFFIX)]
        for key in sorted(logged)
        if key.startswith(REWARD_PREFIX) and key.endswith(REWARD_SUFFIX)
    }
    panels = [Panel("Rewards", {"reward": "sum", **rewards} if len(rewards) != 1 else rewards), *PANELS]
    loss_note = next((note for note in stage.record.notes if note.startswith(LOSS_NOTE)), None)
    charts = []
    for panel in panels:
        series = {label: _curve(history, key) for key, label in panel.series.items() if key in logged}
        if any(len(points) > 1 for points in series.values()):
            chart = _draw(f"{stage.name}: {panel.title.lower()}", series, "step")
            charts.append(replace(chart, note=loss_note) if panel.title == LOSS else chart)
    return charts


def difficulty_charts(records: RunRecords, metrics: Mapping[str, str]) -> list[Chart]:
    """
    A metric against the difficulty of the questions, one line a checkpoint, for every suite with groups.

    Args:
        records ([`~trl_r1.run_records.RunRecords`]):
            The pipeline.
        metrics (`Mapping[str, str]`):
            Metric name to what the chart calls it.
    """
    charts: list[Chart] = []
    drawn: set[tuple[str, str]] = set()
    grouped = [(stage, evaluation) for stage, evaluation in records.evaluations() if evaluation.groups]
    for suite, mode in dict.fromkeys((evaluation.suite, evaluation.mode) for _, evaluation in grouped):
        own = {
            stage.name: evaluation
            for stage, evaluation in grouped
            if (evaluation.suite, evaluation.mode) == (suite, mode)
        }
        for metric, label in metrics.items():
            if metric != "accuracy" and (suite, metric) in drawn:
                continue  # one mode is enough
            drawn.add((suite, metric))
            series = {name: evaluation.groups for name, evaluation in own.items() if metric in evaluation.metrics}
            if series:
                group = next(iter(own.values())).group_by or "group"
                charts.append(_draw_groups(f"{label} ({suite}, {mode})", series, metric, group.replace("_", " ")))
    return charts


def _curve(history: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    """Step and value of every entry that logged `key`."""
    return [(entry["step"], entry[key]) for entry in history if key in entry and "step" in entry]


def _draw(title: str, series: Mapping[str, Sequence[tuple[float, float]]], x_title: str) -> Chart:
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (label, points) in enumerate(series.items()):
        xs, ys = zip(*points, strict=True) if points else ((), ())
        figure.add_scatter(x=xs, y=ys, name=label, mode="lines", line={"color": COLOURS[index % len(COLOURS)]})
    return _finish(title, figure, x_title)


def _draw_groups(
    title: str, series: Mapping[str, Mapping[str, Mapping[str, Measurement]]], metric: str, x_title: str
) -> Chart:
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (name, groups) in enumerate(series.items()):
        points = [(value, metrics[metric]) for value, metrics in groups.items() if metric in metrics]
        measured = [measurement for _, measurement in points]
        figure.add_scatter(
            x=[value for value, _ in points],
            y=[measurement.value for measurement in measured],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [_above(measurement) for measurement in measured],
                "arrayminus": [_below(measurement) for measurement in measured],
                "thickness": 1,
                "width": 2,
            },
            name=name,
            mode="lines+markers",
            line={"color": COLOURS[index % len(COLOURS)], "dash": "dot" if index >= len(COLOURS) else "solid"},
        )
    figure.update_xaxes(type="category")
    return _finish(title, figure, x_title)


def _above(measured: Measurement) -> float:
    return 0.0 if measured.high is None else measured.high - measured.value


def _below(measured: Measurement) -> float:
    return 0.0 if measured.low is None else measured.value - measured.low


def _finish(title: str, figure: Figure, x_title: str) -> Chart:
    """Layout that reads on a light page and on a dark one, and the HTML."""
    legend = LEGEND_ROW * math.ceil(len(figure.data) / LEGEND_COLUMNS) if len(figure.data) > 1 else 0
    figure.update_layout(
        height=CHART_HEIGHT + legend,
        margin={"l": 48, "r": 12, "t": 8, "b": 44 + legend},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": NEUTRAL, "size": 12},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0},
        showlegend=len(figure.data) > 1,
        hovermode="x unified",
        hoverlabel={"font": {"color": "#111111"}, "bgcolor": "#f4f4f4"},
    )
    lines = {"gridcolor": "rgba(128,138,152,0.25)", "zerolinecolor": "rgba(128,138,152,0.4)"}
    figure.update_xaxes(title_text=x_title, **lines)
    figure.update_yaxes(**lines)
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={"displaylogo": False, "responsive": True, "displayModeBar": False},
    )
    return Chart(title, str(html))
