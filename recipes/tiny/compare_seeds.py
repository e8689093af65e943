"""
Hold what the tiny pipeline claims against what several seeds measured, as Markdown tables.

    python recipes/tiny/compare_seeds.py outputs/tiny-seed0 outputs/tiny-seed1 outputs/tiny-seed2

Reads `stage.json` records and nothing else; a seed that has not run a stage has an empty cell. The first table has a
row a claim, with its bound and how many seeds keep it; the second has a row a checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trl_r1.run_records import RunRecords
from trl_r1.stage_record import Measurement


TRAINED, SHORT, HARDER, SLIPS, GREETINGS = "2 to 5 operations", "questions", "6 and 7 operations", "slips", "greetings"

LENGTH = "completions/mean_length"


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the pipeline should show.

    Args:
        text (`str`): The claim with its bound.
        find (`Callable`): From a seed's records to the measurement, `None` where it was not made.
        holds (`Callable`): Whether a measurement keeps the claim.
    """

    text: str
    find: Callable[[RunRecords], Measurement | None]
    holds: Callable[[Measurement], bool]


def measured(stage: str, suite: str, mode: str, metric: str) -> Callable[[RunRecords], Measurement | None]:
    """Finds a metric of a checkpoint that applies to more than a few stray answers."""

    def find(records: RunRecords) -> Measurement | None:
        evaluations = records.stages[stage].evaluations if stage in records.stages else ()
        wanted = [item for item in evaluations if (item.suite, item.mode) == (suite, mode)]
        return wanted[0].telling_metrics.get(metric) if wanted else None

    return find


def difference(after: str, before: str, suite: str, mode: str) -> Callable[[RunRecords], Measurement | None]:
    """Finds a paired difference of accuracies."""
    label = f"{after} - {before} ({suite}, {mode}, accuracy)"

    def find(records: RunRecords) -> Measurement | None:
        found = [stage.record.metrics[label] for stage in records.stages.values() if label in stage.record.metrics]
        return found[0] if found else None

    return find


def history(stage: str, metric: str, first: bool) -> Callable[[RunRecords], Measurement | None]:
    """Finds the first or the last logged value of a training curve."""

    def find(records: RunRecords) -> Measurement | None:
        rows = records.stages[stage].record.history if stage in records.stages else []
        values = [row[metric] for row in rows if metric in row]
        return Measurement(value=values[0 if first else -1]) if values else None

    return find


def at_least(bound: float) -> Callable[[Measurement], bool]:
    """The value itself reaches the bound."""
    return lambda measurement: measurement.value >= bound


def at_most(bound: float) -> Callable[[Measurement], bool]:
    """The value itself stays within the bound."""
    return lambda measurement: measurement.value <= bound


def excludes_zero(measurement: Measurement) -> bool:
    """The whole interval is above zero."""
    return measurement.low is not None and measurement.low > 0


CLAIMS = (
    Claim("base: greedy accuracy at most .25", measured("base", SHORT, "greedy", "accuracy"), at_most(0.25)),
    Claim("R1-Zero: greedy accuracy at least .75", measured("r1_zero", SHORT, "greedy", "accuracy"), at_least(0.75)),
    Claim("R1-Zero: accuracy at T=1 at least .75", measured("r1_zero", SHORT, "sampled", "accuracy"), at_least(0.75)),
    Claim("R1-Zero: format at T=1 at least .95", measured("r1_zero", SHORT, "sampled", "well_formed"), at_least(0.95)),
    Claim(
        "R1-Zero: first logged length of completions, tokens",
        history("r1_zero", "completions/mean_length", True),
        at_most(16),
    ),
    Claim(
        "R1-Zero: last logged length of completions, tokens",
        history("r1_zero", "completions/mean_length", False),
        at_least(18),
    ),
    Claim(
        "language reward: mixed chains at most .05",
        measured("language_reward", SHORT, "sampled", "mixed"),
        at_most(0.05),
    ),
    Claim("control: mixed chains above .2", measured("language_control", SHORT, "sampled", "mixed"), at_least(0.2)),
    Claim(
        "reasoning RL over cold start at T=1: gain above 0",
        difference("reasoning_rl", "cold_start", TRAINED, "sampled"),
        excludes_zero,
    ),
    Claim(
        "reasoning RL over cold start, greedy: gain above 0",
        difference("reasoning_rl", "cold_start", TRAINED, "greedy"),
        excludes_zero,
    ),
    Claim("SFT: rude replies at least .4", measured("sft", GREETINGS, "sampled", "is_rude"), at_least(0.4)),
    Claim("R1: rude replies at most .1", measured("r1", GREETINGS, "sampled", "is_rude"), at_most(0.1)),
    Claim(
        "R1: replies that are sentences of the world, at least .9",
        measured("r1", GREETINGS, "sampled", "is_sentence_of_world"),
        at_least(0.9),
    ),
    Claim(
        "R1 - SFT: accuracy at T=1 falls by at most .03", difference("r1", "sft", SHORT, "sampled"), at_least(-0.03)
    ),
    Claim("R1 - SFT: greedy accuracy falls by at most .03", difference("r1", "sft", SHORT, "greedy"), at_least(-0.03)),
    Claim(
        "distilled student - RL student at T=1: at least .1",
        difference("student_distilled", "student_rl", SHORT, "sampled"),
        at_least(0.1),
    ),
    Claim(
        "distilled student - RL student, greedy: at least .1",
        difference("student_distilled", "student_rl", SHORT, "greedy"),
        at_least(0.1),
    ),
    Claim(
        "R1 - R1-Zero, 2 to 5 operations at T=1: above 0",
        difference("r1", "r1_zero", TRAINED, "sampled"),
        excludes_zero,
    ),
)

STAGES = (
    *("base", "r1_zero", "language_reward", "language_control", "cold_start", "reasoning_rl", "sft", "r1"),
    *("student_base", "student_distilled", "student_rl"),
)
MEASUREMENTS = {
    "accuracy T=1": (SHORT, "sampled", "accuracy"),
    "greedy": (SHORT, "greedy", "accuracy"),
    "greedy, chain forced": (SHORT, "forced_chain", "accuracy"),
    "accuracy T=1, 2 to 5": (TRAINED, "sampled", "accuracy"),
    "greedy, 6 and 7": (HARDER, "greedy", "accuracy"),
    "chain forced, 6 and 7": (HARDER, "forced_chain", "accuracy"),
    "format": (SHORT, "sampled", "well_formed"),
    "language": (SHORT, "sampled", "language_consistency"),
    "mixed chains": (SHORT, "sampled", "mixed"),
    "chain tokens": (SHORT, "sampled", "chain_tokens"),
    "right after a slip": (SLIPS, "sampled", "accuracy"),
    "rude": (GREETINGS, "sampled", "is_rude"),
}


def claims_table(seeds: list[RunRecords]) -> Iterator[str]:
    """A row a claim, a column a seed."""
    yield from _heading(["claim", *(records.folder.name for records in seeds), "holds"])
    for claim in CLAIMS:
        found = [claim.find(records) for records in seeds]
        made = [measurement for measurement in found if measurement is not None]
        kept = sum(claim.holds(measurement) for measurement in made)
        yield _row([claim.text, *(_cell(measurement) for measurement in found), f"{kept} of {len(made)}"])


def stages_table(seeds: list[RunRecords]) -> Iterator[str]:
    """A row a checkpoint, a column a measurement; the values of the seeds side by side."""
    yield from _heading(["checkpoint", *MEASUREMENTS, "CPU seconds"])
    for stage in STAGES:
        cells = [
            " / ".join(
                "" if (value := measured(stage, *where)(records)) is None else _number(value.value)
                for records in seeds
            )
            for where in MEASUREMENTS.values()
        ]
        seconds = [
            f"{records.stages[stage].record.cpu_seconds:.0f}" if stage in records.stages else "" for records in seeds
        ]
        yield _row([stage, *cells, " / ".join(seconds)])


def _heading(cells: list[str]) -> Iterator[str]:
    yield _row(cells)
    yield _row(["---"] * len(cells))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    if measurement.low is None or measurement.high is None:
        return _number(measurement.value)
    return f"{_number(measurement.value)} [{_number(measurement.low)}, {_number(measurement.high)}]"


def _number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.1f}" if value > 1 else "1.000"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="output folders of the pipeline, one a seed")
    seeds = [RunRecords.read(folder) for folder in parser.parse_args().folders]
    print("\n".join([*claims_table(seeds), "", *stages_table(seeds)]))


if __name__ == "__main__":
    main()
