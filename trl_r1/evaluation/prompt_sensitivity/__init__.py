"""How much a score hangs on the words around the question."""

from trl_r1.evaluation.prompt_sensitivity.estimation import (
    PromptSensitivity,
    QuestionFlip,
    VariantScore,
    measure_sensitivity,
)


__all__ = ["PromptSensitivity", "QuestionFlip", "VariantScore", "measure_sensitivity"]
