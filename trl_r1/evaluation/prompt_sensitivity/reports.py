"""Prompt sensitivity for people: a table, a picture, and the worst way to ask with a question it loses."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.evaluation.asking import file_stem
from trl_r1.evaluation.prompt_sensitivity.estimation import PromptSensitivity, VariantScore
from trl_r1.evaluation.prompt_sensitivity.measured import (
    METRIC,
    AskedInManyWays,
    compare_with_first,
    words_of,
)
from trl_r1.evaluation.reports.pictures import COLOURS, literal, save_picture
from trl_r1.evaluation.reports.text_table import TextTable, short, with_intervals
from trl_r1.generation.jobs.files import whole_file
from trl_r1.run_records import SPREAD
from trl_r1.stage_record import Measurement


if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DRAWN: Final = 40  # ways to ask in one picture: the worst and the best of more

logger = logging.getLogger(__name__)


def write_sensitivity(groups: Sequence[AskedInManyWays], folder: str | Path) -> dict[str, Measurement]:
    """
    Write the prompt sensitivity of all that was asked in several ways.

    Of each checkpoint, suite and mode: `sensitivity-<checkpoint>-<suite>-<mode>.json` with everything, `.md`, and
    `.png` where matplotlib is installed. The first checkpoint is compared with each other one.

    Args:
        groups (`Sequence[AskedInManyWays]`):
            Of [`~trl_r1.evaluation.prompt_sensitivity.asked_in_many_ways`].
        folder (`str` or `Path`):
            Where the files go.

    Returns:
        `dict[str, Measurement]`: for the stage's record, `prompt spread (<checkpoint>, <suite>, <mode>)` and
        `prompt spread: <other> - <first> (<suite>, <mode>)`; `n` is the number of ways to ask.

    Raises:
        [`DataError`]: when a file of answers cannot be read.
    """
    measured = {}
    for group in groups:
        found = group.sensitivity
        measured[f"{SPREAD} ({group.label})"] = Measurement(
            value=found.spread_sd, n=len(found.variants), low=found.low, high=found.high
        )
        _write(group, Path(folder) / f"sensitivity-{file_stem(group.checkpoint, group.suite, group.mode)}")
    for first, other, compared in compare_with_first(groups):
        label = f"{SPREAD}: {other.checkpoint} - {first.checkpoint} ({other.suite}, {other.mode})"
        measured[label] = Measurement(
            value=compared.difference, n=compared.num_variants, low=compared.low, high=compared.high
        )
    return measured


def summary_table(groups: Sequence[AskedInManyWays]) -> TextTable:
    """One row a checkpoint, suite and mode."""
    return TextTable(
        title="prompt sensitivity",
        columns=["checkpoint", "suite", "mode", "ways", "mean", "prompt spread", "p", "worst", "best"],
        rows=[
            [
                *(group.checkpoint, group.suite, group.mode, str(len(group.sensitivity.variants))),
                short(group.sensitivity.mean),
                with_intervals(
                    group.sensitivity.spread_sd, (group.sensitivity.low, group.sensitivity.high), (None, None)
                ),
                f"{group.sensitivity.p_value:.2g}",
                *(f"{each.name} {short(each.score.value)}" for each in _ends(group.sensitivity)),
            ]
            for group in groups
        ],
        caption=(
            "Spread: standard deviation of the ways' true scores, noise taken off, with its 95 % interval for these "
            "very ways and other questions; p of no difference between them. Worst and best are as measured, and in "
            "part by luck: the files sensitivity-* have unbiased ones."
        ),
        numbers_from=3,
    )


def variant_table(found: PromptSensitivity, title: str) -> TextTable:
    """One row a way to ask, the worst first."""
    return TextTable(
        title=title,
        columns=["asked as", METRIC, "less the mean of all", "p", "shrunken"],
        rows=[
            [
                each.name,
                with_intervals(each.score.value, (each.score.low, each.score.high), (None, None)),
                with_intervals(each.difference, (each.low, each.high), (None, None), sign="+"),
                "" if each.p_value is None else f"{each.p_value:.2g}",
                short(each.shrunken),
            ]
            for each in _ranked(found)
        ],
        caption=(
            "95 % intervals: of the score for other questions, of the difference paired by question. p is adjusted "
            "for the number of ways by Holm's method. Shrunken: moved towards the mean by as much as the noise makes "
            "likely."
        ),
    )


def in_words(found: PromptSensitivity) -> str:
    """A paragraph that says what was found."""
    spread = with_intervals(found.spread_sd, (found.low, found.high), (None, None))
    flips = (
        f"{found.num_flips} of {found.num_questions} questions are mostly right in one way and mostly wrong in another"
    )
    left_out = (
        f" {found.left_out} questions without a judged answer in some way are left out." if found.left_out else ""
    )
    return (
        f"Over {len(found.variants)} ways to ask, the score's spread is {spread}, after noise of "
        f"{short(found.noise_sd)} is taken off the observed {short(found.observed_sd)}; p of no difference is "
        f"{found.p_value:.2g}. Over all such ways it lies within {short(found.population_low)} to "
        f"{short(found.population_high)}, if they are normal. The worst, {found.worst!r}, is chosen for being worst; "
        f"the way that does worst on half of the questions has {short(found.worst_unbiased)} on the other half, the "
        f"best {short(found.best_unbiased)}. {flips}.{left_out}"
    )


def draw_variants(found: PromptSensitivity, title: str) -> bytes:
    """
    Draw each way's score with its interval, worst at the bottom, and the mean of all.

    Returns:
        `bytes`: a PNG.

    Raises:
        [`R1Error`]: when matplotlib is missing.
    """
    ranked = _ranked(found)
    if len(ranked) > MOST_DRAWN:
        ranked = [*ranked[: MOST_DRAWN // 2], *ranked[-MOST_DRAWN // 2 :]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(found.mean, color="#666666", linewidth=1, label=f"mean of all {short(found.mean)}")
        left, right = found.mean - found.spread_sd, found.mean + found.spread_sd
        axes.axvspan(left, right, color=COLOURS[5], alpha=0.2, linewidth=0, label=f"spread {short(found.spread_sd)}")
        for place, each in enumerate(ranked):
            ends = [[each.score.value - _or(each.score.low, each)], [_or(each.score.high, each) - each.score.value]]
            axes.errorbar(each.score.value, place, xerr=ends, fmt="o", color=COLOURS[0], capsize=2, elinewidth=1.2)
            axes.plot(each.shrunken, place, "|", color=COLOURS[1], markersize=11, markeredgewidth=2)
        axes.plot([], [], "o", color=COLOURS[0], label=f"{METRIC}, 95 % interval")
        axes.plot([], [], "|", color=COLOURS[1], markersize=11, markeredgewidth=2, label="shrunken")
        axes.set_yticks(range(len(ranked)), [_cut(each.name, 36) for each in ranked], fontsize=9)
        if all(0 <= each.score.value <= 1 for each in ranked):
            axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.7, len(ranked) - 0.3)
        axes.set_xlabel(METRIC)
        axes.set_title(_cut(title, 90), fontsize=11, loc="left")
        axes.grid(axis="x", alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)

    return save_picture(draw, (9.0, 1.6 + 0.3 * len(ranked)))


def _write(group: AskedInManyWays, path: Path) -> None:
    found, exhibit = group.sensitivity, group.exhibit()
    content = {
        "checkpoint": group.checkpoint,
        "suite": group.suite,
        "mode": group.mode,
        "metric": METRIC,
        **found.to_dict(),
        "words": {variant: words_of(record) for variant, record in group.records.items()},
        "exhibit": exhibit,
    }
    title = f"prompt sensitivity: {group.label}"
    parts = [variant_table(found, title).to_markdown(), in_words(found), *_shown(group, exhibit)]
    texts = {
        ".json": json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        ".md": "\n\n".join(part.rstrip("\n") for part in parts) + "\n",
    }
    contents = {ending: text.encode("utf-8", "backslashreplace") for ending, text in texts.items()}
    if find_spec("matplotlib") is None:
        logger.warning("no picture of prompt sensitivity: matplotlib is missing; pip install trl_r1[report]")
    else:
        contents[".png"] = draw_variants(found, title)
    for ending, written in contents.items():
        with whole_file(path.with_name(path.name + ending)) as partial:
            partial.write_bytes(written)


def _shown(group: AskedInManyWays, exhibit: Mapping[str, Any] | None) -> list[str]:
    """The worst way to ask in its own words, and a question it loses."""
    worst = group.sensitivity.worst
    record = group.records[worst]
    parts = [
        f"The words of the worst way, {worst!r}, in a {record['prompt_kind']} prompt:",
        _quoted(_plain(words_of(record))),
    ]
    if exhibit is not None:
        parts += ["A question it loses:", _quoted(f"{exhibit['problem']}\n\nsolution: {exhibit['solution']}")]
        for side in ("right", "wrong"):
            own = exhibit[side]
            parts += [f"Asked as {own['variant']!r} ({side}; score {short(own['score'])}):", _quoted(own["answer"])]
    return parts


def _plain(words: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{name}: {value}" if isinstance(value, str) else f"{name}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in words.items()
    )


def _quoted(text: str) -> str:
    """As an indented block of Markdown, which nothing in it can end."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])


def _ranked(found: PromptSensitivity) -> list[VariantScore]:
    return sorted(found.variants, key=lambda each: each.score.value)


def _ends(found: PromptSensitivity) -> tuple[VariantScore, VariantScore]:
    by_name = {each.name: each for each in found.variants}
    return by_name[found.worst], by_name[found.best]


def _cut(text: str, longest: int) -> str:
    """So that a long name leaves room for the picture."""
    return literal(text if len(literal(text)) <= longest else f"{literal(text)[: longest - 2]}..")


def _or(end: float | None, each: VariantScore) -> float:
    return each.score.value if end is None else end
