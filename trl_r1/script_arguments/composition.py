"""Arguments of `trl-r1 compose`."""

from __future__ import annotations

from dataclasses import dataclass

from trl_r1.script_arguments.sampling import DatasetOutputArguments


@dataclass
class CompositionArguments(DatasetOutputArguments):
    """Arguments of `trl-r1 compose`, which joins data sets into one and tells what it is made of."""
