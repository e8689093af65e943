"""pass@1: the share of right answers, averaged over several to each question."""

from __future__ import annotations

from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.uncertainty import ScoreEstimate


class Accuracy(AnswerMetric):
    """
    Mean over questions of the share of right answers to each: the paper's pass@1 (DeepSeek-R1, section 4.1), which it
    averages over 4 to 64 answers a question. Answers that could not be decided are left out and counted.
    """

    columns = ("questions", "correct")

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """The share of right answers."""
        given.check_decided()
        return {"accuracy": given.mean(given.columns["correct"], share=True)}
