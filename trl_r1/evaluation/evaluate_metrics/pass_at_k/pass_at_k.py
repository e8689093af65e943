"""pass@k: is one of k answers right? Without bias, from at least as many."""

from __future__ import annotations

from trl_r1.errors import R1Error
from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.uncertainty import ScoreEstimate, estimate_pass_at_k


class PassAtK(AnswerMetric):
    """
    Probability that at least one of k answers to a question is right, estimated without bias from n >= k answers:
    1 - C(n - c, k) / C(n, k), averaged over questions (Chen et al., 2021, equation 1). A question with fewer than k
    decided answers is an error.
    """

    columns = ("questions", "correct")
    options = ("pass_at",)
    reference = "https://arxiv.org/abs/2107.03374"
    citation_text = """\
@article{chen2021evaluating,
  title = {Evaluating Large Language Models Trained on Code},
  author = {Chen, Mark and others},
  journal = {arXiv preprint arXiv:2107.03374},
  year = {2021},
}"""

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """`pass@k` of each k."""
        given.check_decided()
        if not given.numbers("pass_at"):
            raise R1Error("pass_at: missing; give k, such as pass_at=8")
        counts = {name: (len(own), sum(own)) for name, own in given.rights.items()}
        return {f"pass@{k}": estimate_pass_at_k(counts, k, clusters=given.clusters) for k in given.numbers("pass_at")}
