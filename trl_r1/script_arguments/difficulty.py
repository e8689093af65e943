"""Arguments of `trl-r1 estimate_difficulty`."""

from __future__ import annotations

from dataclasses import dataclass

from trl_r1.script_arguments.sampling import SamplingArguments


@dataclass
class DifficultyArguments(SamplingArguments):
    """Arguments of `trl-r1 estimate_difficulty`, which measures how often a model solves each problem."""
