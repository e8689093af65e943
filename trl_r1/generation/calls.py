"""A whole generation with any engine: check the prompts, plan, draw batch after batch, group by prompt, count."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from trl_r1.errors import GenerationError, R1Error
from trl_r1.generation.plan import PlannedBatch, plan_batches
from trl_r1.generation.prompts import check_prompts
from trl_r1.generation.types import Completion, GenerationEngine, GenerationSummary, Prompt, SamplingParameters


logger = logging.getLogger(__name__)


def generate(
    prompts: Sequence[Prompt], params: SamplingParameters, engine: GenerationEngine, progress: bool = False
) -> list[list[Completion]]:
    """
    Generate with any engine and refuse an incomplete result.

    Args:
        prompts (`Sequence[str]` or sequence of chats):
            What the policy reads, chat marks included, or messages that the engine shows through its chat template.
        params ([`SamplingParameters`]):
            How to sample.
        engine ([`GenerationEngine`]):
            What to sample from.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw a progress bar.

    Returns:
        `list[list[Completion]]`: one list of `params.num_samples` completions a prompt, in prompt order.

    Raises:
        [`R1Error`]: when a prompt is neither text nor a chat, or does not fit.
        [`GenerationError`]: when completions are missing. A score over the completions that did come back would be a
            score of something else.
    """
    check_prompts(prompts)
    if not prompts:
        return []
    groups = engine.generate(list(prompts), params, progress)
    wanted, got = len(prompts) * params.num_samples, sum(len(group) for group in groups)
    if len(groups) != len(prompts) or any(len(group) != params.num_samples for group in groups):
        reason = f"{got} of {wanted} completions came back ({len(prompts)} prompts x {params.num_samples})"
        raise GenerationError(max(wanted - got, 1), [f"{reason}, generate again"], wanted)
    return groups


def generate_all(
    engine: GenerationEngine, prompts: Sequence[Prompt], params: SamplingParameters, progress: bool = False
) -> tuple[list[list[Completion]], GenerationSummary]:
    """
    Every engine's `generate`: the batches of the plan one after the other.

    Returns:
        `tuple`: the completions in prompt order, in each group in the order of their sample number; and the counts.

    Raises:
        [`R1Error`]: when a prompt is neither text nor a chat, or does not fit.
        [`GenerationError`]: as the engine's `generate_batch`.
    """
    started = time.perf_counter()
    lengths, plan = plan_generation(engine, prompts, params)
    groups: list[dict[int, Completion]] = [{} for _ in prompts]
    for batch in _track(plan, progress):
        completions = engine.generate_batch(prompts, batch.rows, params, batch.seed)
        for row, completion in zip(batch.rows, completions, strict=True):
            groups[row.prompt][row.sample] = completion
    ordered = [[group[sample] for sample in range(params.num_samples)] for group in groups]
    prompt_tokens = sum(lengths) if engine.tokenizer is not None else None
    seconds = time.perf_counter() - started
    summary = summarise(
        (completion for group in ordered for completion in group), len(prompts), prompt_tokens, seconds
    )
    log_summary(summary)
    return ordered, summary


def plan_generation(
    engine: GenerationEngine, prompts: Sequence[Prompt], params: SamplingParameters
) -> tuple[list[int], list[PlannedBatch]]:
    """
    Check the prompts and cut their generation into batches.

    Returns:
        `tuple`: length of each prompt as the engine counts it, and the batches.

    Raises:
        [`R1Error`]: when a prompt is neither text nor a chat, has no tokens, or does not fit the engine's context
            together with `max_new_tokens`.
    """
    check_prompts(prompts)
    lengths = engine.prompt_lengths(prompts)
    limit = engine.context_length
    for index, length in enumerate(lengths):
        if length == 0:
            raise R1Error(f"prompts: number {index} has no tokens; give a non-empty prompt")
        if limit is not None and length + params.max_new_tokens > limit:
            raise R1Error(
                f"max_new_tokens: {params.max_new_tokens} after prompt {index} of {length} tokens exceeds the model's "
                f"{limit} positions; lower max_new_tokens or drop long prompts"
            )
    return lengths, plan_batches(lengths, params)


def summarise(
    completions: Iterable[Completion], num_prompts: int, num_prompt_tokens: int | None, seconds: float
) -> GenerationSummary:
    """Count what was generated, in one pass."""
    number = tokens = truncated = 0
    for completion in completions:
        number += 1
        tokens += completion.num_tokens
        truncated += completion.finish_reason == "length"
    return GenerationSummary(
        num_prompts=num_prompts,
        num_completions=number,
        num_prompt_tokens=num_prompt_tokens,
        num_tokens=tokens,
        num_truncated=truncated,
        seconds=seconds,
    )


def log_summary(summary: GenerationSummary) -> None:
    """One line of what was generated, and how fast."""
    logger.info(
        "generated %d completions of %d prompts: %d tokens, %d truncated, %.0f tokens/s",
        summary.num_completions,
        summary.num_prompts,
        summary.num_tokens,
        summary.num_truncated,
        summary.tokens_per_second,
    )


def _track(batches: Sequence[PlannedBatch], progress: bool) -> Iterator[PlannedBatch]:
    if not progress:
        yield from batches
        return
    from rich.progress import track

    yield from track(batches, description="generating", transient=True)
