"""Whether a checkpoint can be asked a suite, found out with its tokenizer and its configuration alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trl_r1.data.judging import route_of
from trl_r1.evaluation.asking import ways_to_measure
from trl_r1.evaluation.metrics import MetricContext, resolve_metrics
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite
from trl_r1.generation.prompts import encode_prompt
from trl_r1.generation.types import Prompt
from trl_r1.verifiers.sandbox import shared_sandbox


class Reader:
    """
    What of an engine reads prompts.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The checkpoint's.
        context_length (`int`, *optional*):
            Most tokens of a prompt with its answer; `None` where it is not known.
    """

    def __init__(self, tokenizer: Any, context_length: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, tokenizer: Any, longest: int | None = None) -> Reader:
        """
        Of a checkpoint, whose configuration says how long its context is.

        Args:
            checkpoint ([`Checkpoint`]):
                The checkpoint.
            tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
                Its own.
            longest (`int`, *optional*):
                What the engine is limited to, instead.
        """
        from transformers import AutoConfig

        if longest is not None:
            return cls(tokenizer, longest)
        try:
            config = AutoConfig.from_pretrained(checkpoint.path, revision=checkpoint.revision).get_text_config()
        except (OSError, ValueError):  # an adapter's folder has none: the engine finds out
            return cls(tokenizer)
        return cls(tokenizer, getattr(config, "max_position_embeddings", None))

    def prompt_lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""
        return [len(encode_prompt(prompt, self.tokenizer)) for prompt in prompts]


def check_suite(
    reader: Reader,
    suite: EvaluationSuite,
    checkpoint: Checkpoint,
    *,
    seed: int = 42,
    max_completion_length: int = 256,
    batch_size: int = 256,
) -> None:
    """
    Check that a suite can be asked, before a model is loaded.

    Raises:
        [`DataError`], [`TemplateError`], [`RecipeError`] or [`R1Error`]: as
            [`~trl_r1.evaluation.harness.evaluate_policy`], when questions cannot be read or shown, are too long, or a
            metric is unknown; and when their answers are programs that cannot be isolated on this machine.
    """
    resolve_metrics(suite.metrics, MetricContext(tokenizer=reader.tokenizer))
    common = {"max_completion_length": max_completion_length, "seed": seed, "batch_size": batch_size}
    for asked in ways_to_measure(reader, suite, checkpoint, common):
        rows = asked.questions.rows
    if suite.verifier == "repair" or (suite.verifier == "auto" and {"code", "repair"} & set(map(route_of, rows))):
        with shared_sandbox().session():  # refused where what a policy wrote cannot be isolated
            pass
