"""Arguments of `trl-r1 general_data`."""

from __future__ import annotations

from dataclasses import dataclass

from trl_r1.script_arguments.sampling import SamplingArguments


@dataclass
class GeneralDataArguments(SamplingArguments):
    """Arguments of `trl-r1 general_data`, which has a teacher answer what no rule verifies."""
