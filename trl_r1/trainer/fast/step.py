"""`fast: true`: which exact speed-ups are on in a run, and where in TRL's step each of them acts.

"Exact" is defined in `docs/trainer.md`: the same tokens, and the same gradient up to the order of float sums. Each
speed-up is a module of its own; this one asks whether it may run and says once when it may not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import DistributedType

from trl_r1.generation.compaction import compact_generation, why_not_compact
from trl_r1.trainer.fast.gates import MEANS_OVER_ROWS, why_not_move_rows, why_not_skip_rows
from trl_r1.trainer.fast.micro_batch_plan import plan_micro_batches, row_sizes
from trl_r1.trainer.fast.micro_batches import ROW_SHARE, Regrouping, regroup
from trl_r1.trainer.fast.packed_forward import PackedForward
from trl_r1.trainer.fast.padded_forward import PaddedForward
from trl_r1.trainer.fast.window_metrics import WindowMetrics


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer

logger = logging.getLogger(__name__)

MicroBatch = dict[str, Any]


class FastStep:
    """
    The speed-ups of one trainer.

    Args:
        trainer ([`R1GRPOTrainer`]):
            After its construction; `args.fast` is true.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        self._trainer = trainer
        args: Any = trainer.args
        self.refusals: dict[str, str] = {}
        move = self._allowed("fast_micro_batches", lambda: why_not_move_rows(trainer))
        skip = self._allowed("fast_skip_zero_advantage", lambda: why_not_skip_rows(trainer))
        packed = self._allowed("fast_packed_forward", lambda: PackedForward.why_not(trainer))
        self._forward = PackedForward(trainer) if packed else self._padded_forward()
        steps, accumulation = args.steps_per_generation or 1, args.gradient_accumulation_steps
        sharded = trainer.accelerator.distributed_type not in (
            DistributedType.NO,
            DistributedType.MULTI_CPU,
            DistributedType.MULTI_GPU,
        )
        self._regrouping = Regrouping(
            window=min(steps, accumulation) if move else 1,
            move_rows=move,
            skip_zero_advantage=skip,
            packed=packed,
            trim=self._forward is not None,
            capacity=args.micro_batch_tokens,
            may_be_empty=not sharded,  # FSDP and ZeRO gather weights in each pass, so each rank needs as many
        )
        self._compact = self._allowed(
            "fast_generation", lambda: why_not_compact(trainer.model, _generation_config(trainer))
        )
        self._metrics = WindowMetrics(trainer, rows_left_out=skip)
        self._say_what_is_off()

    @contextmanager
    def generation(self) -> Iterator[None]:
        """Within it, `generate` of the policy drops completions that have ended and reads each prompt once."""
        if not self._compact:
            yield
            return
        with compact_generation(self._trainer.accelerator.unwrap_model(self._trainer.model_wrapped)):
            yield

    def regroup(self, batches: list[MicroBatch]) -> list[MicroBatch]:
        """Deal out the rows of a fresh rollout anew, inside each accumulation window."""
        if not (self._regrouping.move_rows or self._regrouping.skip_zero_advantage):
            return batches
        return regroup(batches, self._regrouping, self._trainer.accelerator)

    def log_probs(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None,
        compute_entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """
        Log-probabilities and entropies of completion tokens, shape `(rows, logits_to_keep)`, or `None` to let TRL.

        A pass over a whole rollout (`batch_size` given: reference, old policy) is cut into chunks that need no more
        memory than TRL's.
        """
        if self._forward is None:
            return None
        rows = input_ids.size(0)
        if batch_size is None or batch_size >= rows:
            return self._forward(model, input_ids, attention_mask, logits_to_keep, compute_entropy)
        sizes = row_sizes(input_ids, attention_mask, logits_to_keep)
        capacity = batch_size * input_ids.size(1)
        chunks = plan_micro_batches(sizes, -(-rows // batch_size), capacity, packed=self._regrouping.packed)
        indices = [torch.tensor(chunk, device=input_ids.device) for chunk in chunks if chunk]
        parts = [
            self._forward(model, input_ids[index], attention_mask[index], logits_to_keep, compute_entropy)
            for index in indices
        ]
        back = torch.cat(indices).argsort()
        entropies = [entropy for _, entropy in parts if entropy is not None]
        return torch.cat([logps for logps, _ in parts])[back], torch.cat(entropies)[back] if entropies else None

    def loss(self, compute: Callable[[Any, MicroBatch], torch.Tensor], model: Any, inputs: MicroBatch) -> torch.Tensor:
        """TRL's loss of a regrouped micro-batch, at the weight its rows have in the accumulation window."""
        share = inputs.get(ROW_SHARE)
        if share is None:
            return compute(model, inputs)
        if share == 0.0:  # its rows are in other micro-batches of the window
            return torch.zeros((), device=self._trainer.accelerator.device, requires_grad=True)
        with self._metrics.weigh(inputs):
            loss = compute(model, inputs)
        return loss * share if self._trainer.loss_type in MEANS_OVER_ROWS else loss

    def _say_what_is_off(self) -> None:
        """One line a reason: active dropout, say, forbids several parts at once."""
        if not self._trainer.accelerator.is_main_process:
            return
        for reason in dict.fromkeys(self.refusals.values()):
            names = [name for name, own in self.refusals.items() if own == reason]
            logger.warning("%s %s off: %s", ", ".join(names), "is" if len(names) == 1 else "are", reason)

    def _allowed(self, name: str, why_not: Callable[[], str | None]) -> bool:
        if not getattr(self._trainer.args, name):
            return False
        reason = why_not()
        if reason is not None:
            self.refusals[name] = reason
        return reason is None

    def _padded_forward(self) -> PaddedForward | None:
        """Rows without the padding TRL adds beyond them, `None` where that is not wanted or not exact."""
        args: Any = self._trainer.args
        if not args.fast_micro_batches:
            return None
        reason = PaddedForward.why_not(self._trainer)
        if reason is None:
            return PaddedForward(self._trainer)
        logger.warning("micro-batches keep all of their padding: %s", reason)
        return None


def _generation_config(trainer: R1GRPOTrainer) -> Any:
    """The generation configuration of a rollout, `None` where another engine generates."""
    elsewhere = trainer.use_vllm or trainer.use_transformers_continuous_batching or trainer.rollout_func is not None
    return None if elsewhere else trainer.generation_config
