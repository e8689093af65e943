"""How a generation is cut into batches: from prompts and parameters alone, whoever does the work and in what order.

A batch draws from its own seed. So it can be done again without those before it, by another process, after a kill,
and the samples are those of one undisturbed run in one process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trl_r1.generation.types import SamplingParameters


class SampleRow(NamedTuple):
    """One completion to draw: which prompt's, and which of its samples."""

    prompt: int
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBatch:
    """
    Completions drawn together.

    Args:
        index (`int`):
            Place in the plan.
        rows (`tuple[SampleRow, ...]`):
            What to draw, by length of prompt.
        seed (`int`):
            What the batch is drawn with, by an engine that draws a batch at once.
    """

    index: int
    rows: tuple[SampleRow, ...]
    seed: int


def plan_batches(lengths: Sequence[int], params: SamplingParameters) -> list[PlannedBatch]:
    """
    Cut a generation into batches of prompts of like length.

    Args:
        lengths (`Sequence[int]`):
            Length of each prompt, in tokens or characters.
        params ([`SamplingParameters`]):
            `num_samples`, `batch_size` and `seed`.

    Returns:
        `list[PlannedBatch]`: together every sample of every prompt once; samples of a prompt follow one another.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)  # stable
    rows = [SampleRow(prompt, sample) for prompt in order for sample in range(params.num_samples)]
    return [
        PlannedBatch(
            index=index, rows=tuple(rows[start : start + params.batch_size]), seed=batch_seed(params.seed, index)
        )
        for index, start in enumerate(range(0, len(rows), params.batch_size))
    ]


def batch_seed(seed: int, batch: int) -> int:
    """The seed of a batch, below 2^63."""
    import numpy as np

    return int(np.random.SeedSequence([seed, batch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def sample_seed(seed: int, prompt: str, sample: int) -> int:
    """The seed of one sample, below 2^31 as all servers take it: of the prompt's text, not of its place."""
    digest = hashlib.sha256(f"{seed}:{sample}:{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
