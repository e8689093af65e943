"""cons@k: is the answer that most of k samples give right?"""

from __future__ import annotations

from trl_r1.errors import R1Error
from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.uncertainty import ScoreEstimate, estimate_cons_at_k
from trl_r1.evaluation.votes import vote_of


class ConsAtK(AnswerMetric):
    """
    Whether the majority of k answers to a question is right, averaged over questions: the paper's cons@64
    (DeepSeek-R1, section 4.1). Right answers are one value, since all equal the reference answer; a None never wins;
    a tie counts as a fair draw among the values that tie. With k below the number of answers it is the expectation
    over their subsets.
    """

    columns = ("questions", "correct", "answers")
    options = ("cons_at",)

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """`cons@k` of each k; `cons` of all answers where none is named."""
        given.check_decided()
        answers = given.by_question("answers")
        right = any(map(any, given.rights.values()))
        if right and all(answer is None for own in answers.values() for answer in own):
            raise R1Error("answers: right ones have no value, as programs have none; a majority needs values")
        votes = {
            name: ([vote_of(*each) for each in zip(answers[name], rights, strict=True)], rights)
            for name, rights in given.rights.items()
        }
        named: dict[str, int | None] = {f"cons@{k}": k for k in given.numbers("cons_at")} or {"cons": None}
        return {name: estimate_cons_at_k(votes, k, clusters=given.clusters) for name, k in named.items()}
