"""Arguments of `trl-r1 decontaminate`."""

from __future__ import annotations

from dataclasses import dataclass

from trl_r1.script_arguments.sampling import DatasetOutputArguments


@dataclass
class DecontaminationArguments(DatasetOutputArguments):
    """Arguments of `trl-r1 decontaminate`, which takes out of a data set what benchmarks ask."""
