"""Completions of the model that is being trained, drawn by all processes together, with training left as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trl_r1.generation import Completion, SamplingParameters, TransformersEngine
from trl_r1.generation.calls import plan_generation
from trl_r1.generation.types import Prompt


if TYPE_CHECKING:
    import torch
    from transformers import Trainer


def ask_policy(
    trainer: Trainer, tokenizer: Any, prompts: Sequence[Prompt], params: SamplingParameters
) -> list[list[Completion]]:
    """
    Sample the policy under training. To be called by every process; each draws its share.

    Weights are unwrapped or gathered as TRL does for its rollouts. Random states, the model's mode and its
    configuration are as before afterwards, so training goes on as if nobody had asked. Greedy completions do not
    depend on the number of processes; sampled ones do, since each process draws its share from its own seeds.

    Args:
        trainer ([`~transformers.Trainer`]):
            Its model, prepared.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's.
        prompts (`Sequence[Prompt]`):
            Texts or chats, the same on every process.
        params ([`SamplingParameters`]):
            How to sample.

    Returns:
        `list[list[Completion]]`: on every process, those of all prompts in order.

    Raises:
        [`R1Error`]: when a prompt does not fit the model's context; on every process, before anything is drawn.
    """
    from accelerate.utils import gather_object

    accelerator = trainer.accelerator
    plan_generation(TransformersEngine(accelerator.unwrap_model(trainer.model), tokenizer), prompts, params)
    share = share_of(len(prompts), accelerator.process_index, accelerator.num_processes)
    with kept_random_state(accelerator.device), _whole_model(trainer) as model:
        own = TransformersEngine(model, tokenizer).generate([prompts[index] for index in share], params)
    drawn: dict[int, list[Completion]] = dict(gather_object(list(zip(share, own, strict=True))))
    return [drawn[index] for index in range(len(prompts))]


def share_of(count: int, rank: int, world_size: int) -> list[int]:
    """
    The prompts that a process draws: every `world_size`-th.

    All shares are of one size, for under FSDP the processes gather weights in step; where the prompts do not divide, a
    few are drawn by two processes.
    """
    size = -(-count // world_size)
    return [(rank + position * world_size) % count for position in range(size)]


@contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """Put Python's, numpy's and torch's random states back afterwards, that of this process's accelerator too."""
    import numpy as np
    import torch

    python, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)


@contextmanager
def _whole_model(trainer: Trainer) -> Iterator[Any]:
    from trl.distributed import DistributedBackend
    from trl.models.utils import unwrap_model_for_generation

    args: Any = trainer.args
    training = trainer.model_wrapped.training
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=getattr(args, "ds3_gather_for_generation", True),
            gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
        ) as model,
        DistributedBackend(trainer.accelerator).summon_full_params(trainer.model_wrapped, recurse=False),
    ):
        yield model
    trainer.model_wrapped.train(training)
