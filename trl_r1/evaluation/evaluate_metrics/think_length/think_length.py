"""How long the policy thinks, and how much longer where questions are hard for it."""

from __future__ import annotations

from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.ratios import DIFFICULTIES, difficulties
from trl_r1.evaluation.uncertainty import ScoreEstimate


class ThinkLength(AnswerMetric):
    """
    Tokens of the chain of thought: of all questions, and of those that are hard, middle and easy for this very policy
    (solved in less than 1/3, up to 2/3, and more of its answers, at least two). The paper reports longer chains on
    harder problems (DeepSeek-R1, figure 7 of its supplement).
    """

    columns = ("questions", "correct", "think_tokens")

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """`think_length`, and the same of each difficulty; `None` where no question has it."""
        lengths = given.columns["think_tokens"]
        of_question = difficulties(given.rights)
        own = [of_question.get(name) for name in given.questions]
        return {
            "think_length": given.mean(lengths, share=False),
            **{
                f"think_length_{difficulty}": given.mean(
                    [length if each == difficulty else None for each, length in zip(own, lengths, strict=True)],
                    share=False,
                )
                for difficulty in DIFFICULTIES
            },
        }
