"""How many responses are well formed."""

from __future__ import annotations

from trl_r1.chat_template import Defect
from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.uncertainty import ScoreEstimate


class ResponseFormat(AnswerMetric):
    """
    Share of responses that have the format asked for: thoughts in their tags, then an answer (DeepSeek-R1, section
    2.2, the format reward), and of those that have each defect.
    """

    columns = ("questions", "predictions")
    options = ("prompt_tail", "response_format")

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """`well_formed`, and `format/<defect>` of each defect."""
        parsed = given.parsed()
        return {
            "well_formed": given.mean([float(read.well_formed) for read in parsed], share=True),
            **{f"format/{defect}": sum(defect in read.defects for read in parsed) / len(parsed) for defect in Defect},
        }
