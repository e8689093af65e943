"""Every error that trl_r1 raises on purpose, as one small tree.

    R1Error (ValueError)
    ├── RecipeError      a YAML file or a command line is wrong; carries all problems of the file at once
    ├── DataError        a dataset lacks a column, is empty, or holds rows that cannot be used
    ├── RewardError      a reward function cannot be built or used, or failed too often
    │   └── RewardFaultError   it raised, or returned something that is not one number or `None` a completion
    ├── TemplateError    a prompt or chat template does not do what training needs
    ├── RecordError      a `stage.json` is missing, damaged or of another schema
    ├── PipelineError    a pipeline cannot be ordered, or one of its stages failed
    ├── GenerationError  samples are missing; carries how many, and why
    ├── CheckpointError  a checkpoint's folder would not load elsewhere, or is not what was trained
    └── PublishError     the Hub refuses, cannot be reached, or holds other bytes than were sent

Command-line entry points turn an `R1Error` into its message and exit code 2, without a traceback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final


MOST_REASONS: Final = 5  # told in one message


class R1Error(ValueError):
    """Base of all errors a user can mend. The message names the field, its value and the fix."""


class RecipeError(R1Error):
    """
    One or more problems in a recipe.

    Args:
        problems (`Sequence[str]`):
            One line a problem, each naming the field, the value and the fix.
        source (`str`, *optional*):
            File or command line the problems were found in.
    """

    def __init__(self, problems: Sequence[str], source: str | None = None) -> None:
        self.problems = list(problems)
        self.source = source
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(prefix + problem for problem in self.problems))


class DataError(R1Error):
    """A dataset cannot be used as it is."""


class RewardError(R1Error):
    """A reward function cannot be built or used, broke its contract, or failed too often."""


class RewardFaultError(RewardError):
    """A reward function raised, or broke its contract, on some batch: what an error budget may tolerate."""


class TemplateError(R1Error):
    """A template would lose what training needs, such as the reasoning."""


class RecordError(R1Error):
    """A stage record is missing, damaged or written by another schema version."""


class PipelineError(R1Error):
    """A pipeline cannot be ordered or run."""


class GenerationError(R1Error):
    """
    An engine could not draw every sample it was asked for. Fewer samples, or empty ones, would be a wrong answer.

    Args:
        count (`int`):
            Samples that are missing.
        reasons (`Sequence[str]`):
            Why, a line each; equal ones are told once, with how often.
        total (`int`, *optional*):
            Samples that were asked for.
    """

    def __init__(self, count: int, reasons: Sequence[str], total: int | None = None) -> None:
        self.count = count
        self.reasons = list(reasons)
        self.total = total
        told = [f"{line} ({times} times)" if times > 1 else line for line, times in Counter(self.reasons).items()]
        more = f"; and {len(told) - MOST_REASONS} more reasons" if len(told) > MOST_REASONS else ""
        asked = f" of {total}" if total is not None else ""
        super().__init__(f"samples: {count}{asked} could not be had: {'; '.join(told[:MOST_REASONS])}{more}")


class CheckpointError(R1Error):
    """A checkpoint's folder would not load elsewhere, or a merged adapter is not the adapter."""


class PublishError(R1Error):
    """Nothing was lost on disk, but the Hub refuses, cannot be reached, or holds other bytes than were sent."""
