"""What a right answer costs in tokens."""

from __future__ import annotations

from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.ratios import estimate_tokens_per_correct
from trl_r1.evaluation.uncertainty import ScoreEstimate


class TokensPerCorrect(AnswerMetric):
    """
    Tokens written for each right answer, those of wrong answers included: the questions' mean tokens over their mean
    pass rate, with intervals by the delta method on the logarithm. None where no answer is right.
    """

    columns = ("questions", "correct", "completion_tokens")

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """The ratio of the means."""
        given.check_decided()
        tokens = given.by_question("completion_tokens")
        spent = {name: (tokens[name], rights) for name, rights in given.rights.items()}
        return {"tokens_per_correct": estimate_tokens_per_correct(spent, clusters=given.clusters)}
