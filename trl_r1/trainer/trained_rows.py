"""
What an SFT trainer really trains on: its own rows and batches, not a copy of how they should be made.

Four faults of SFT leave the training loss healthy and show only at inference: a row whose loss holds no end token,
thoughts outside the loss, a sequence that begins twice, and rows of one packed batch that read each other. They are
looked for here in the trainer's data set and in what its collator makes of it, just before the first step.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trl_r1.chat_template import THINK_CLOSE
from trl_r1.errors import DataError
from trl_r1.stage_record import Measurement
from trl_r1.trainer.cross_talk import check_no_cross_talk


if TYPE_CHECKING:
    from trl import SFTTrainer

logger = logging.getLogger(__name__)

IGNORED: Final = -100  # label of a token outside the loss
DECODED_ROWS: Final = 256  # whose thoughts are looked for; the loader has looked at every row
ROWS_AT_ONCE: Final = 1_000

_ADVICE: Final[Mapping[str, str]] = {
    "no_end_token": "a turn in the loss does not close with {end!r}, so the model would never stop: set eos_token to "
    "the one the chat template ends a turn with, and raise max_length above the longest row",
    "begins_twice": "a sequence begins with {bos!r} twice, which the model is never shown at inference: take it out "
    "of the chat template or of the text of the prompts",
    "thoughts_not_in_loss": "the thoughts of the last turn are not in the loss: set `chat_template: r1`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRows:
    """Rows an SFT trainer holds, its tokens, and how many of them the loss counts."""

    rows: int  # of the data, packed or not
    sequences: int  # what the trainer's sampler draws: packed rows count once
    tokens: int
    in_loss: int

    @property
    def share(self) -> float:
        """Share of tokens in the loss."""
        return self.in_loss / self.tokens if self.tokens else 0.0

    def measurements(self) -> dict[str, Measurement]:
        """As `stage.json` keeps them."""
        return {
            "trained_rows": Measurement(value=float(self.rows)),
            "trained_tokens": Measurement(value=float(self.tokens)),
            "share_in_loss": Measurement(value=self.share, n=self.tokens),
        }


def check_trained_rows(trainer: SFTTrainer) -> TrainedRows:
    """
    Check every row of a trainer, then what its collator and its model make of the first batch.

    Nothing is drawn, so that training goes on as if this had not run.

    Args:
        trainer ([`~trl.SFTTrainer`]):
            Built, not yet trained.

    Returns:
        [`TrainedRows`]: counts over all rows.

    Raises:
        [`DataError`]: when a row has no end token in its loss, begins twice, or keeps its thoughts out of the loss; or
            when the collator leaves more or fewer tokens in the loss than the rows have.
        [`TemplateError`]: when rows packed together read each other.
    """
    tokenizer: Any = trainer.processing_class
    faults: Counter[str] = Counter()
    rows = tokens = in_loss = 0
    blank = functools.cache(lambda token: not tokenizer.decode([token]).strip())
    dataset: Any = trainer.train_dataset
    for ids, labels in _rows(dataset):
        counted = labels != IGNORED
        rows, tokens, in_loss = rows + 1, tokens + len(ids), in_loss + int(counted.sum())
        faults.update(_row_faults(ids, counted, tokenizer, blank, decode=rows <= DECODED_ROWS))
    if faults:
        raise DataError(_explain(faults, rows, tokenizer))
    found = TrainedRows(rows=rows, sequences=len(dataset), tokens=tokens, in_loss=in_loss)
    _check_collator(trainer)
    check_no_cross_talk(trainer)
    logger.info("%.1f %% of %d tokens in %d rows are in the loss", 100 * found.share, tokens, rows)
    return found


def _rows(dataset: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Token ids and labels of every row; packed rows one by one."""
    packed = "seq_lengths" in dataset.column_names
    for batch in dataset.with_format("numpy").iter(ROWS_AT_ONCE):
        for index, (ids, labels) in enumerate(zip(batch["input_ids"], batch["labels"], strict=True)):
            lengths = batch["seq_lengths"][index] if packed else [len(ids)]
            ends = np.cumsum(lengths)
            for end, length in zip(ends, lengths, strict=True):
                yield ids[end - length : end], labels[end - length : end]


def _row_faults(
    ids: np.ndarray, counted: np.ndarray, tokenizer: Any, blank: Callable[[int], bool], decode: bool
) -> Iterator[str]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], counted, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2)  # where a part in the loss begins, and where what follows it does
    if not _ends_every_turn(ids, runs, tokenizer.eos_token_id, blank):
        yield "no_end_token"
    bos = tokenizer.bos_token_id
    if bos is not None and len(ids) > 1 and ids[0] == ids[1] == bos:
        yield "begins_twice"
    if decode and _masks_thoughts(ids, runs, tokenizer):
        yield "thoughts_not_in_loss"


def _ends_every_turn(ids: np.ndarray, runs: np.ndarray, end_id: int, blank: Callable[[int], bool]) -> bool:
    """Whether each run of tokens in the loss closes with the end token; templates may put a line break after it."""
    for start, stop in runs:
        last = stop - 1
        while last > start and ids[last] != end_id and blank(int(ids[last])):
            last -= 1
        if ids[last] != end_id:
            return False
    return len(runs) > 0


def _masks_thoughts(ids: np.ndarray, runs: np.ndarray, tokenizer: Any) -> bool:
    """Whether the last turn's thoughts stand before the part of it that is in the loss."""
    start, stop = runs[-1] if len(runs) else (len(ids), len(ids))
    earlier_ends = np.flatnonzero(ids[:start] == tokenizer.eos_token_id)
    # A plain-text prompt has no turns, and may itself speak of the tags.
    if not len(earlier_ends) or THINK_CLOSE in tokenizer.decode(ids[start:stop]):
        return False
    return THINK_CLOSE in tokenizer.decode(ids[earlier_ends[-1] + 1 : start])


def _explain(faults: Mapping[str, int], rows: int, tokenizer: Any) -> str:
    marks = {"end": tokenizer.eos_token, "bos": tokenizer.bos_token}
    return "\n".join(
        f"dataset: {count} of {rows} rows as they are trained on: {_ADVICE[fault].format(**marks)}"
        for fault, count in faults.items()
    )


def _check_collator(trainer: SFTTrainer) -> None:
    """Whether the first batch has in its loss what its rows have: a collator may mask end tokens as padding."""
    dataset: Any = trainer.train_dataset
    features = [dataset[index] for index in range(min(len(dataset), trainer.args.per_device_train_batch_size))]
    batch = trainer.data_collator(features)
    expected = sum(_labels_kept(feature, trainer.padding_free) for feature in features)
    found = int((batch["labels"] != IGNORED).sum())
    if found != expected:
        raise DataError(
            f"dataset: the first batch has {found} tokens in its loss and its rows have {expected}; the collator "
            f"{type(trainer.data_collator).__name__} masks what should be trained on, or the reverse"
        )


def _labels_kept(feature: Mapping[str, Any], padding_free: bool) -> int:
    """Tokens of a row in the loss. Without padding, the first of a sequence has none before it that predicts it."""
    labels = np.asarray(feature["labels"])
    kept = labels != IGNORED
    if padding_free:
        lengths: Sequence[int] = feature.get("seq_lengths") or [len(labels)]
        kept[np.cumsum([0, *lengths[:-1]])] = False
    return int(kept.sum())
