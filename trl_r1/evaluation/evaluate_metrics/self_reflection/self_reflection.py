"""How often the policy turns back on its own thoughts."""

from __future__ import annotations

from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.uncertainty import ScoreEstimate
from trl_r1.rewards.reflection import count_reflective


class SelfReflection(AnswerMetric):
    """
    Reflective words in a chain of thought (wait, mistake, however, but, retry, error, verify, wrong, evaluate, check),
    as the paper counts them (DeepSeek-R1, arXiv v2, C.2): how many a response, how many a hundred words of thought,
    and the share of responses with any.
    """

    columns = ("questions", "predictions")
    options = ("prompt_tail", "response_format")

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """`reflections`, `reflections_per_100_words` and `reflective`."""
        counts = [count_reflective(read.reasoning) for read in given.parsed()]
        found = [float(reflective) for reflective, _ in counts]
        rates = [100 * reflective / words if words else None for reflective, words in counts]
        return {
            "reflections": given.mean(found, share=False),
            "reflections_per_100_words": given.mean(rates, share=False),
            "reflective": given.mean([float(count > 0) for count in found], share=True),
        }
