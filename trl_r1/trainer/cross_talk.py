"""
Whether rows that share one packed sequence read each other.

TRL packs rows into one sequence without padding and without an attention mask: where a row begins is told by the
position ids alone. Of what transformers and TRL offer in the versions tested, `eager`, `sdpa` and `flex_attention`
build a mask of blocks from them, and flash attention its sequence lengths; a model that brings code of its own may
ignore them, and no loss tells. So the model itself is asked: does changing one row change what it says of the next?
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import TemplateError


if TYPE_CHECKING:
    import torch
    from trl import SFTTrainer

logger = logging.getLogger(__name__)

PROBED_TOKENS: Final = 64  # of each of two rows
TOLERANCE: Final = 1e-3  # of the change in the row that is changed; kernels that split work may round otherwise


def check_no_cross_talk(trainer: SFTTrainer) -> None:
    """
    Check, where a trainer packs, that a row's logits do not depend on the row before it.

    Two rows of the data set are packed by the trainer's collator, once as they are and once with the first one's
    tokens replaced. Weights split over processes cannot be asked, and are not.

    Args:
        trainer ([`~trl.SFTTrainer`]):
            Built, not yet trained.

    Raises:
        [`TemplateError`]: when they do, with what to set.
    """
    if not trainer.padding_free:
        return
    model: Any = trainer.model
    parameter = next(iter(model.parameters()))
    if parameter.device != trainer.args.device or getattr(parameter, "ds_id", None) is not None:
        logger.warning("the weights are split over processes, so that packed rows could not be checked for cross-talk")
        return
    changed, followed = cross_talk(trainer)
    if followed > TOLERANCE * changed:
        raise TemplateError(
            f"packing: the rows of a packed sequence read each other under attn_implementation "
            f"{model.config._attn_implementation!r} (changing one moved the logits of the next by "
            f"{followed:.2g}, its own by {changed:.2g}); set `packing: false`, or attn_implementation to sdpa or "
            "flash_attention_2 where the model is transformers' own"
        )


def cross_talk(trainer: SFTTrainer) -> tuple[float, float]:
    """
    Largest change of the logits when the first of two packed rows is replaced.

    Returns:
        `tuple[float, float]`: within the row that is replaced, and within the row that follows it.
    """
    import torch

    model: Any = trainer.model
    first, second = _two_rows(trainer.train_dataset)
    size: int = model.get_input_embeddings().weight.shape[0]
    other = [(7 * token + 3) % size for token in first]
    with _evaluating(model), torch.no_grad(), trainer.accelerator.autocast():
        before, after = (_logits(trainer, [row, second]) for row in (first, other))
    change = (before.float() - after.float()).abs().amax(-1)[0]
    return float(change[: len(first)].max()), float(change[len(first) :].max())


def _two_rows(dataset: Any) -> tuple[list[int], list[int]]:
    rows = [dataset[0]["input_ids"], dataset[min(1, len(dataset) - 1)]["input_ids"]]
    first, second = ([int(token) for token in row[:PROBED_TOKENS]] for row in rows)
    return first, second


def _logits(trainer: SFTTrainer, rows: list[list[int]]) -> torch.Tensor:
    batch = trainer.data_collator([{"input_ids": row, "labels": row, "seq_lengths": [len(row)]} for row in rows])
    given = {name: trainer._prepare_input(value) for name, value in batch.items() if name != "labels"}
    model: Any = trainer.model
    logits: torch.Tensor = model(**given, use_cache=False).logits
    return logits


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
