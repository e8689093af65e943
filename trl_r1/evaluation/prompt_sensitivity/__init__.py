"""How much a score hangs on the words around the question."""

from trl_r1.evaluation.prompt_sensitivity.comparison import SensitivityComparison, compare_sensitivity
from trl_r1.evaluation.prompt_sensitivity.estimation import (
    PromptSensitivity,
    QuestionFlip,
    VariantScore,
    measure_sensitivity,
)
from trl_r1.evaluation.prompt_sensitivity.measured import AskedInManyWays, asked_in_many_ways
from trl_r1.evaluation.prompt_sensitivity.reports import summary_table, write_sensitivity


__all__ = [
    "AskedInManyWays",
    "PromptSensitivity",
    "QuestionFlip",
    "SensitivityComparison",
    "VariantScore",
    "asked_in_many_ways",
    "compare_sensitivity",
    "measure_sensitivity",
    "summary_table",
    "write_sensitivity",
]
