"""A suite in each of its modes and ways to ask: prompts, checked against the model that is to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from trl_r1.errors import R1Error
from trl_r1.evaluation.questions import Questions, load_questions, prompts_of
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite, Mode
from trl_r1.generation import SamplingParameters
from trl_r1.generation.types import Prompt
from trl_r1.recipe.suite_checks import file_name_of


LONGEST_STEM: Final = 160  # bytes; a file's name may have 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A suite in one mode and one way to ask; `stem` is its part of the names of files."""

    mode_name: str
    mode: Mode
    params: SamplingParameters
    questions: Questions
    prompts: list[Prompt]
    prefills: list[str]
    stem: str


class PromptReader(Protocol):
    """What of an engine reads prompts."""

    @property
    def tokenizer(self) -> Any:
        """See [`GenerationEngine`]."""
        ...

    @property
    def context_length(self) -> int | None:
        """See [`GenerationEngine`]."""
        ...

    def prompt_lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """See [`GenerationEngine`]."""
        ...


def ways_to_measure(
    engine: PromptReader, suite: EvaluationSuite, checkpoint: Checkpoint, common: Mapping[str, int]
) -> Iterator[Asked]:
    """
    The suite in each mode and way to ask, each checked.

    Args:
        engine ([`PromptReader`]):
            Reads the prompts.
        suite ([`EvaluationSuite`]), checkpoint ([`Checkpoint`]):
            Who is asked what.
        common (`Mapping[str, int]`):
            `max_completion_length`, `seed` and `batch_size`, as of [`evaluate_policy`].

    Raises:
        [`DataError`], [`RecipeError`], [`TemplateError`] or [`R1Error`]: as [`evaluate_policy`].
    """
    settings = {name: suite.parameters(mode, **common) for name, mode in suite.modes.items()}
    _check_draws(suite)
    first = load_questions(engine.tokenizer, suite, checkpoint)
    for variant in suite.ways_to_ask:
        questions = first if variant == first.variant else first.asked_as(variant, checkpoint)
        for name, mode in suite.modes.items():
            prompts, prefills = prompts_of(questions, mode)
            check_length(engine, prompts, settings[name], f"suites.{suite.name}.modes.{name}", checkpoint.name)
            yield Asked(
                mode_name=name,
                mode=mode,
                params=settings[name],
                questions=questions,
                prompts=prompts,
                prefills=prefills,
                stem=file_stem(checkpoint.name, suite.name, name, *([variant.name] if variant.name else [])),
            )


def _check_draws(suite: EvaluationSuite) -> None:
    """Refuse a k that no mode draws enough answers for."""
    drawn = max(mode.num_samples for mode in suite.modes.values())
    for field, given in (("pass_at", suite.pass_at), ("cons_at", suite.cons_at)):
        if given and not 1 <= min(given) <= max(given) <= drawn:
            wrong = max(given) if max(given) > drawn else min(given)
            raise R1Error(
                f"suites.{suite.name}.{field}: {wrong} must lie in 1 to {drawn}, the most answers that a mode draws; "
                "change it, or raise num_samples"
            )


def check_length(
    engine: PromptReader, prompts: Sequence[Prompt], params: SamplingParameters, where: str, checkpoint: str
) -> None:
    """
    Refuse questions that leave no room for an answer.

    Raises:
        [`R1Error`]: naming how many there are, and what would fit.
    """
    limit = engine.context_length
    if limit is None:
        return
    lengths = engine.prompt_lengths(prompts)
    long = sum(length + params.max_new_tokens > limit for length in lengths)
    if long:
        room = limit - max(lengths)
        fix = f"set max_completion_length to at most {room}, or " if room > 0 else ""
        raise R1Error(
            f"{where}: {long} of {len(prompts)} questions, of up to {max(lengths)} tokens, do not fit the {limit} "
            f"positions of {checkpoint} with max_completion_length {params.max_new_tokens}; {fix}measure a model of a "
            "longer context"
        )


def file_stem(*parts: str) -> str:
    """
    A file name of a checkpoint's, suite's, mode's and variant's names.

    Example:

    ```python
    >>> file_stem("r1", "6 and 7 operations", "greedy")
    'r1-6_and_7_operations-greedy'
    ```
    """
    stem = "-".join(map(file_name_of, parts))
    if len(stem.encode()) <= LONGEST_STEM:
        return stem
    short = stem.encode()[:LONGEST_STEM].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(stem.encode()).hexdigest()[:12]}"
