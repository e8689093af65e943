"""Which prompts come when, by their pass rate: easy ones first, or only those in a band.

The order of an epoch is fixed when the epoch begins, from what was known then, so that a resumed run, which walks the
sampler again from the epoch's beginning, meets the same prompts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch.utils.data import IterableDataset, Sampler
from trl.trainer.utils import RepeatSampler

from trl_r1.data.difficulty import (
    PASS_RATE_COLUMN,
    PassCount,
    PassRates,
    count_passes,
    in_band,
    judging_reward,
    prompt_key,
    read_pass_rates,
)
from trl_r1.errors import RecipeError
from trl_r1.trainer.rollout import Rollout


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer

logger = logging.getLogger(__name__)

UNKNOWN_RATE = 0.5  # where a prompt of unknown pass rate stands among the others in `easy_first`


class Curriculum:
    """
    Orders or chooses prompts by their pass rate.

    A rate that training has seen (the prompt's latest rollout, all processes) wins over the data column `pass_rate`.

    Args:
        trainer ([`R1GRPOTrainer`]):
            After its construction; `args.curriculum` is not `"none"`.

    Raises:
        [`RecipeError`]: for a streamed dataset.
        [`DataError`]: when `pass_rate` holds something else than shares.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        args: Any = trainer.args
        self._trainer = trainer
        dataset: Any = trainer.train_dataset
        self._dataset = dataset
        if self._dataset is None or isinstance(self._dataset, IterableDataset):
            reason = "reorders prompts, which a streamed train_dataset forbids; load it whole"
            raise RecipeError([f"curriculum: {args.curriculum} {reason}"])
        if "prompt" not in self._dataset.column_names:
            raise RecipeError([f"curriculum: {args.curriculum} knows prompts by the column `prompt`; add it"])
        band = args.pass_rate_band if args.curriculum == "pass_rate_band" else None
        self._band: tuple[float, float] | None = None if band is None else (float(band[0]), float(band[1]))
        has_column = PASS_RATE_COLUMN in self._dataset.column_names
        self._column = read_pass_rates(self._dataset[PASS_RATE_COLUMN]) if has_column else None
        self._seen = PassRates()
        self._at_epoch_start = PassRates()
        self._epoch = 0  # the one under way, or the first one before training
        self._begun = False
        trainer._stateful["curriculum"] = self

    def observe(self, rollout: Rollout) -> None:
        """Take note of how often the prompts of a rollout were solved; every process calls it."""
        judge = judging_reward(rollout.reward_names)
        keys = [prompt_key(row["prompt"]) for row in rollout.rows]
        own = count_passes(keys, rollout.local_rewards[:, judge].tolist())
        counts: dict[str, PassCount] = {}
        for key, correct, samples in gather_object(
            [(key, count.num_correct, count.num_samples) for key, count in own.items()]
        ):
            counts[key] = counts.get(key, PassCount(0, 0)) + PassCount(correct, samples)
        self._seen.record(counts.items())

    def sampler(self, sampler: Sampler[int]) -> Sampler[int]:
        """TRL's sampler with the same repetitions, in the order of the curriculum; a training run begins with it."""
        assert isinstance(sampler, RepeatSampler)
        self._epoch, self._begun, self._at_epoch_start = 0, False, self._seen.copy()
        return CurriculumSampler(sampler, self)

    def order(self, permutation: list[int], rates: PassRates | None = None) -> list[int]:
        """
        Arrange one epoch.

        Args:
            permutation (`list[int]`):
                Rows of the dataset in the epoch's random order, which decides among equals.
            rates ([`PassRates`], *optional*):
                What was seen; by default all that has been seen so far.

        Returns:
            `list[int]`: all rows (`easy_first`), or those in the band and those of unknown rate; never fewer than one
            rollout needs.
        """
        seen = self._seen if rates is None else rates
        known = {row: self._rate(row, seen) for row in permutation}
        if self._band is None:
            return sorted(permutation, key=lambda row: -_or(known[row], UNKNOWN_RATE))
        low, high = self._band
        inside = [row for row in permutation if (rate := known[row]) is None or in_band(rate, low, high)]
        needed = min(self._prompts_of_a_rollout, len(permutation))
        if len(inside) >= needed:
            return inside
        outside = [row for row in permutation if (rate := known[row]) is not None and not in_band(rate, low, high)]
        outside.sort(key=lambda row: max(low - _or(known[row], low), _or(known[row], high) - high))
        logger.warning(
            "pass_rate_band: only %d of %d prompts are in [%g, %g] or of unknown pass rate, and a rollout needs %d; "
            "the nearest %d are taken with them. Widen pass_rate_band, or give more prompts",
            *(len(inside), len(permutation), low, high, needed, needed - len(inside)),
        )
        return [*inside, *outside[: needed - len(inside)]]

    def begin_epoch(self) -> PassRates:
        """What is known at the beginning of an epoch; in a resumed one, what was known then."""
        if self._begun:
            self._epoch += 1
            self._at_epoch_start = self._seen.copy()
        self._begun = True
        return self._at_epoch_start

    def state_dict(self) -> dict[str, Any]:
        """What was seen, and what had been seen when the epoch began."""
        return {
            "epoch": self._epoch,
            "seen": self._seen.to_dict(),
            "at_epoch_start": self._at_epoch_start.to_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; at the very end of an epoch, the next one begins with all that was seen."""
        self._seen = PassRates.from_dict(state["seen"])
        self._epoch = int(self._trainer.state.epoch or 0)  # as `restore_epoch` counts them
        under_way = state["epoch"] == self._epoch
        self._at_epoch_start = PassRates.from_dict(state["at_epoch_start"]) if under_way else self._seen.copy()
        self._begun = False

    @cached_property
    def _keys(self) -> list[str]:
        return [prompt_key(prompt) for prompt in self._dataset["prompt"]]

    @property
    def _prompts_of_a_rollout(self) -> int:
        args: Any = self._trainer.args
        return int(args.generation_batch_size // self._trainer.num_generations)

    def _rate(self, row: int, seen: PassRates) -> float | None:
        rate = seen.rate(self._keys[row]) if len(seen) else None
        if rate is None and self._column is not None:
            rate = self._column[row]
        return rate


class CurriculumSampler(RepeatSampler):
    """
    TRL's sampler, in the order of a curriculum.

    An epoch keeps its length: where a band leaves fewer prompts, they come again until it is full, so the number of
    steps and the learning rate's course stay as planned.

    Args:
        sampler (`RepeatSampler`):
            TRL's own, before its first use.
        curriculum ([`Curriculum`]):
            Arranges each epoch.
    """

    def __init__(self, sampler: RepeatSampler, curriculum: Curriculum) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            sampler.data_source,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            shuffle=sampler.shuffle,
            seed=sampler.seed,
        )
        self._curriculum = curriculum

    def __iter__(self) -> Iterator[int]:
        # One permutation an epoch, as TRL draws: `restore_epoch` counts on it
        rows = torch.randperm(self.num_samples, generator=self.generator) if self.shuffle else None
        permutation = list(range(self.num_samples)) if rows is None else rows.tolist()
        order = self._curriculum.order(permutation, self._curriculum.begin_epoch())
        places = RepeatSampler(  # type: ignore[no-untyped-call]
            permutation,
            mini_repeat_count=self.mini_repeat_count,
            batch_size=self.batch_size,
            repeat_count=self.repeat_count,
            shuffle=False,
        )
        for place in places:  # type: ignore[no-untyped-call]
            yield order[place % len(order)]


def _or(rate: float | None, otherwise: float) -> float:
    return otherwise if rate is None else rate
