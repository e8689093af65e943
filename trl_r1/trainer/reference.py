"""The reference model: a copy of the policy that was passed, and part of every checkpoint that needs it.

TRL 1.16 loads it by the policy's name on disk, also where the policy was passed as a model: the KL of the first step
is then not 0 for weights that were changed after loading, and a model made from a configuration has no name to load.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import DistributedType
from peft import PeftModel
from safetensors.torch import load_model, save_model
from transformers import PreTrainedModel
from trl.trainer import grpo_trainer

from trl_r1.errors import RecipeError, RecordError


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer


logger = logging.getLogger(__name__)

REFERENCE_NAME = "reference_model.safetensors"

_ONE_AT_A_TIME = threading.RLock()  # the name below belongs to a module, so to every thread


@contextmanager
def reference_from(policy: Any) -> Iterator[None]:
    """
    Within it, `GRPOTrainer.__init__` copies `policy` where it would load the reference model by name.

    TRL's constructor builds the model between two steps that cannot be repeated from outside (dropout and the head
    are changed right after it), and has no argument for it; so what it calls is exchanged while it runs. Only the
    calling thread sees the exchange. It calls nothing for a policy given by name that would have to be copied, nor
    for adapters, whose reference is the policy without them: both stay TRL's.

    Args:
        policy (`str`, [`~transformers.PreTrainedModel`] or [`~peft.PeftModel`]):
            What is passed to the trainer.
    """
    if not isinstance(policy, PreTrainedModel) or isinstance(policy, PeftModel):
        yield
        return
    if _is_partitioned(policy):
        logger.warning(
            "the policy's weights are partitioned by ZeRO-3 and cannot be copied, so TRL loads the reference model "
            "from %r; pass the model by name to be sure that both are the same",
            policy.config._name_or_path,
        )
        yield
        return
    with _ONE_AT_A_TIME:
        load, thread = grpo_trainer.create_model_from_path, threading.get_ident()

        def copy_or_load(*args: Any, **kwargs: Any) -> Any:
            return frozen_copy(policy) if threading.get_ident() == thread else load(*args, **kwargs)

        grpo_trainer.create_model_from_path = copy_or_load
        try:
            yield
        finally:
            grpo_trainer.create_model_from_path = load


def frozen_copy(policy: PreTrainedModel) -> PreTrainedModel:
    """
    A copy that shares no tensor with the policy: same dtypes and attention, evaluation mode, no gradients.

    What an earlier trainer put around the policy's `forward` would call the policy itself, and is left off the copy.
    """
    reference = copy.deepcopy(policy)
    vars(reference).pop("forward", None)
    reference.eval().requires_grad_(False)
    return reference


def check_reference(trainer: R1GRPOTrainer) -> None:
    """
    Refuse, before the first step, a run whose reference model could not be saved with its checkpoints.

    Args:
        trainer ([`R1GRPOTrainer`]):
            At the end of its construction.

    Raises:
        [`RecipeError`]: when the reference changes while training and every process holds only a part of it.
    """
    args: Any = trainer.args
    resumable = args.save_strategy != "no" and not args.save_only_model
    if trainer.ref_model is None or not resumable or not _is_sharded(trainer):
        return
    if args.sync_ref_model:
        raise RecipeError(
            [
                "sync_ref_model: true with a sharded model (ZeRO-3, FSDP): the refreshed reference model cannot be "
                "saved, so no checkpoint could be resumed from; use ZeRO-2 or DDP, set `save_strategy: no` or "
                "`save_only_model: true`, or make each refresh the border between two stages"
            ]
        )
    if trainer._policy_was_passed:
        logger.warning(
            "the reference model is sharded and not saved with the checkpoints: pass the same initial policy again "
            "when the run is resumed"
        )


def save_reference(trainer: R1GRPOTrainer, folder: Path) -> None:
    """Write the reference model into a checkpoint folder, where the policy's name does not say what it is."""
    args: Any = trainer.args
    if trainer.ref_model is None or _is_sharded(trainer):
        return
    if args.should_save and (trainer._policy_was_passed or _is_refreshed(trainer)):
        save_model(trainer.accelerator.unwrap_model(trainer.ref_model), str(folder / REFERENCE_NAME))


def load_reference(trainer: R1GRPOTrainer, folder: str | Path) -> None:
    """
    Read the reference model that was in use at a checkpoint; without a file it is the initial policy.

    Raises:
        [`RecordError`]: when the checkpoint lacks it; TRL would measure the KL against the initial policy.
    """
    path = Path(folder) / REFERENCE_NAME
    if trainer.ref_model is None:
        return
    if path.is_file() and not _is_sharded(trainer):
        load_model(trainer.accelerator.unwrap_model(trainer.ref_model), str(path))
    elif _is_refreshed(trainer):
        raise RecordError(
            f"resume_from_checkpoint={folder}: sync_ref_model is on and {REFERENCE_NAME} is missing or the reference "
            "is sharded (ZeRO-3, FSDP), which is not supported; start a new run from the checkpoint's weights"
        )


def _is_refreshed(trainer: R1GRPOTrainer) -> bool:
    args: Any = trainer.args
    return bool(args.sync_ref_model and trainer.state.global_step >= args.ref_model_sync_steps)


def _is_sharded(trainer: R1GRPOTrainer) -> bool:
    """Whether every process holds only a part of each weight (FSDP, ZeRO-3)."""
    plugin = trainer.accelerator.state.deepspeed_plugin
    return trainer.accelerator.distributed_type == DistributedType.FSDP or (
        plugin is not None and plugin.zero_stage == 3
    )


def _is_partitioned(model: PreTrainedModel) -> bool:
    """Whether DeepSpeed ZeRO-3 has cut the weights up already, as it does while they are loaded."""
    return any(hasattr(parameter, "ds_id") for parameter in model.parameters())
