"""A suite ready to be asked of a policy again and again while it is trained: loaded once, judged each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trl_r1.data.judging import judge_samples
from trl_r1.errors import R1Error
from trl_r1.evaluation.asking import Asked, ways_to_measure
from trl_r1.evaluation.harness import MAX_UNDECIDABLE, score_samples
from trl_r1.evaluation.metrics import MetricContext, SampleMetric, resolve_metrics
from trl_r1.evaluation.preflight import Reader
from trl_r1.evaluation.scoring import sample_row, summarise
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite
from trl_r1.generation import Completion


POLICY = "policy"  # the name of the checkpoint that does not exist yet


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """
    A suite in one mode and one way to ask, for a policy under training. Made by [`load_held_out`].

    Args:
        suite ([`EvaluationSuite`]):
            What is measured.
        asked ([`Asked`]):
            What the policy reads, and how it is sampled.
        metrics (`list[SampleMetric]`):
            Of each answer.
    """

    suite: EvaluationSuite
    asked: Asked
    metrics: list[SampleMetric]

    @property
    def name(self) -> str:
        """Suite and mode, and the way to ask where there are several: the key in logs."""
        variant = self.asked.questions.variant.name
        return "/".join([self.suite.name, self.asked.mode_name, *([variant] if variant else [])])

    @property
    def stem(self) -> str:
        """The same, as part of a file's name."""
        return self.asked.stem.removeprefix(f"{POLICY}-")

    def measure(self, groups: Sequence[Sequence[Completion]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """
        Judge and count answers, by the parser, the verifier and the intervals of `trl-r1 evaluate`.

        Args:
            groups (`Sequence[Sequence[Completion]]`):
                Those to each prompt.

        Returns:
            `tuple[list, dict]`: rows for a file of answers, and the numbers of
            [`~trl_r1.evaluation.scoring.summarise`].

        Raises:
            [`R1Error`]: when more of the judged answers are undecidable than `trl-r1 evaluate` lets pass by itself.
        """
        suite, asked = self.suite, self.asked
        samples = judge_samples(asked.questions.rows, groups, asked.prefills, suite.verifier)
        scored = score_samples(samples, self.metrics)
        numbers = summarise(
            scored,
            self.metrics,
            suite.group_by,
            cluster_by=suite.cluster_by,
            pass_at=[k for k in suite.pass_at if k <= asked.params.num_samples],  # greedy decoding draws one
            cons_at=[k for k in suite.cons_at if k <= asked.params.num_samples],
            verifier=suite.verifier,
        )
        judged = sum(item.sample.judgement is not None for item in scored)
        if numbers["undecidable"] > MAX_UNDECIDABLE * judged:
            raise R1Error(f"{numbers['undecidable']} of {judged} answers could not be judged; the others are no score")
        columns = suite.group_by, suite.cluster_by, asked.questions.variant.name or None, suite.verifier
        return [sample_row(item, *columns) for item in scored], numbers


def load_held_out(
    suites: Sequence[EvaluationSuite],
    tokenizer: Any,
    *,
    prompt_template: str | None = None,
    response_format: str | None = None,
    context_length: int | None = None,
    seed: int = 42,
    max_completion_length: int = 256,
    batch_size: int = 32,
) -> list[HeldOut]:
    """
    Load suites for a policy that is trained in this process.

    Args:
        suites (`Sequence[EvaluationSuite]`):
            Questions, modes and metrics.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's.
        prompt_template, response_format (`str`, *optional*):
            How it is asked, as in its training.
        context_length (`int`, *optional*):
            Its positions, where questions that do not fit are to be refused.
        seed (`int`, *optional*, defaults to `42`):
            Of the sampled modes: the same each time, so that evaluations differ by the policy alone.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest answer, in tokens, where neither mode nor suite says.
        batch_size (`int`, *optional*, defaults to `32`):
            Answers that a process generates at once.

    Returns:
        `list[HeldOut]`: one for each suite, mode and way to ask.

    Raises:
        [`DataError`], [`TemplateError`], [`RecipeError`] or [`R1Error`]: as
            [`~trl_r1.evaluation.evaluate_policy`].
    """
    policy = Checkpoint(name=POLICY, path=POLICY, prompt_template=prompt_template, response_format=response_format)
    reader = Reader(tokenizer, context_length)
    common = {"max_completion_length": max_completion_length, "seed": seed, "batch_size": batch_size}
    found = []
    for suite in suites:
        context = MetricContext(tokenizer=tokenizer, language_ignored_tokens=suite.language_ignored_tokens)
        metrics = resolve_metrics(suite.metrics, context)
        found += [
            HeldOut(suite=suite, asked=asked, metrics=metrics)
            for asked in ways_to_measure(reader, suite, policy, common)
        ]
    return found
