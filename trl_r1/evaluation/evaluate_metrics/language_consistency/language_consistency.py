"""How much of the thinking is in the language of the question."""

from __future__ import annotations

from trl_r1.data.filters import language_of
from trl_r1.evaluation.evaluate_metrics.base import AnswerMetric, Given
from trl_r1.evaluation.uncertainty import ScoreEstimate
from trl_r1.rewards.words import count_words


class LanguageConsistency(AnswerMetric):
    """
    Share of the words in the chain of thought that are in the language of the question (DeepSeek-R1, equation 7), by
    the rules of the language reward: formulas, code and names of quantities are no words. Responses without a word of
    thought have none, and are left out. `mixed` is the share of chains with words of more than one language.
    """

    columns = ("questions", "problems", "predictions")
    options = ("language", "ignored_tokens", "prompt_tail", "response_format")

    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """`language_consistency` and `mixed`."""
        ignored = tuple(given.options.get("ignored_tokens", ()))
        shares: list[float | None] = []
        mixed: list[float | None] = []
        for problem, read in zip(given.columns["problems"], given.parsed(), strict=True):
            target = given.options.get("language") or language_of({"problem": problem}, ignored)
            counts = count_words(read.reasoning or "", target, ignored_tokens=ignored)
            total = sum(counts.values())
            shares.append(counts.get(target, 0.0) / total if total else None)
            mixed.append(float(len(counts) > 1) if counts else None)
        return {"language_consistency": given.mean(shares, share=True), "mixed": given.mean(mixed, share=True)}
