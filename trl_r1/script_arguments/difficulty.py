"""Arguments of `trl-r1 estimate_difficulty`."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.sampling import SamplingArguments


@dataclass
class DifficultyArguments(SamplingArguments):
    """
    Arguments of `trl-r1 estimate_difficulty`, which measures how often a model solves each problem.

    Args:
        min_pass_rate, max_pass_rate (`float`, *optional*):
            Keep only rows with a pass rate from one to the other, both ends included. By default all rows are kept.
        difficulty_cache (`str`, *optional*):
            Folder where verdicts are kept, by model, question and sampling, for this and other runs. By default
            `.difficulty_cache` in the output folder, which serves the same stage with more questions or samples.
    """

    min_pass_rate: float | None = field(default=None, metadata={"help": "Lowest pass rate to keep."})
    max_pass_rate: float | None = field(default=None, metadata={"help": "Highest pass rate to keep."})
    difficulty_cache: str | None = field(
        default=None, metadata={"help": "Folder of verdicts. By default .difficulty_cache in the output folder."}
    )
