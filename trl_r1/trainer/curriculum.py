"""Which prompts come when, by their pass rate: easy ones first, or only those in a band.

The order of an epoch is fixed when the epoch begins, from what was known then, so that a resumed run, which walks the
sampler again from the epoch's beginning, meets the same prompts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

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

UNKNOWN_RATE: Final = 0.5  # where a prompt of unknown pass rate stands among the others in `easy_first`

Band = tuple[float, float]


@dataclass(slots=True)
class Seen:
    """
    What training has seen of its prompts.

    A group is a small sample: of four completions of a prompt that is solved one time in four, none passes in a third
    of all groups. So a prompt found outside the band only rests, the longer the more often in a row. Time is counted
    in orders made, those of TRL's sampler and those of the stream of `dynamic_sampling`: counted in prompts, the few
    that are left would come again and again before the others may.

    Args:
        rates ([`PassRates`]):
            Of each prompt's latest rollout.
        outside (`dict[str, tuple[int, int]]`):
            By `prompt_key`: how often in a row a prompt was found outside the band, once an order at most, and
            `orders` at the last time.
        orders (`int`):
            Orders made after the first.
    """

    rates: PassRates = field(default_factory=PassRates)
    outside: dict[str, tuple[int, int]] = field(default_factory=dict)
    orders: int = 0

    def record(self, counts: Mapping[str, PassCount], band: Band | None) -> None:
        """Take note of a rollout."""
        self.rates.record(counts.items())
        for key, count in counts.items():
            if band is None or count.rate is None:
                continue
            times, since = self.outside.get(key, (0, -1))
            if in_band(count.rate, *band):
                self.outside.pop(key, None)
            elif since < self.orders:
                self.outside[key] = (times + 1, self.orders)

    def rests(self, key: str) -> bool:
        """Whether a prompt, found outside `n` times in a row, still sits out the `n * n` orders after that."""
        times, since = self.outside.get(key, (0, -1))
        return self.orders <= since + times**2

    def copy(self) -> Seen:
        """The state as it is now."""
        return Seen(self.rates.copy(), dict(self.outside), self.orders)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        outside = {key: list(pair) for key, pair in self.outside.items()}
        return {"rates": self.rates.to_dict(), "outside": outside, "orders": self.orders}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Seen:
        """Read what `to_dict` wrote."""
        outside = {key: (int(times), int(since)) for key, (times, since) in state["outside"].items()}
        return cls(PassRates.from_dict(state["rates"]), outside, int(state["orders"]))


class Curriculum:
    """
    Orders or chooses prompts by their pass rate.

    A rate that training has seen (the prompt's latest rollout, all processes) wins over the data column `pass_rate`.
    What it found outside the band rests for a while, see [`Seen`]; what the column says is outside stays outside.

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
        self._band: Band | None = None if band is None else (float(band[0]), float(band[1]))
        has_column = PASS_RATE_COLUMN in self._dataset.column_names
        self._column = read_pass_rates(self._dataset[PASS_RATE_COLUMN]) if has_column else None
        self._seen = Seen()
        self._at_epoch_start = Seen()
        self._epoch = 0  # the one under way, or the first one before training
        self._begun = False
        self._warned = False
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
        self._seen.record(counts, self._band)

    def sampler(self, sampler: Sampler[int]) -> Sampler[int]:
        """TRL's sampler with the same repetitions, in the order of the curriculum; a training run begins with it."""
        assert isinstance(sampler, RepeatSampler)
        self._epoch, self._begun, self._at_epoch_start = 0, False, self._seen.copy()
        return CurriculumSampler(sampler, self)

    def order(self, permutation: list[int], seen: Seen | None = None) -> list[int]:
        """
        Arrange one epoch.

        Args:
            permutation (`list[int]`):
                Rows of the dataset in the epoch's random order, which decides among equals.
            seen ([`Seen`], *optional*):
                By default all that has been seen so far.

        Returns:
            `list[int]`: all rows (`easy_first`), or those in the band, those of unknown rate and those that have
            rested; never fewer than one rollout needs.
        """
        seen = self._seen if seen is None else seen
        known = {row: self._rate(row, seen) for row in permutation}
        if self._band is None:
            return sorted(permutation, key=lambda row: -_or(known[row], UNKNOWN_RATE))
        low, high = self._band
        inside = [row for row in permutation if self._may_be_drawn(row, known[row], seen)]
        needed = min(self._prompts_of_a_rollout, len(permutation))
        if len(inside) >= needed:
            return inside
        outside = [row for row in permutation if not self._may_be_drawn(row, known[row], seen)]
        outside.sort(key=lambda row: max(low - _or(known[row], low), _or(known[row], high) - high))
        if not self._warned:
            logger.warning(
                "pass_rate_band: only %d of %d prompts are in [%g, %g], of unknown pass rate or rested, and a rollout "
                "needs %d; the nearest %d are taken with them, and so from now on. Widen pass_rate_band, or give more "
                "prompts",
                *(len(inside), len(permutation), low, high, needed, needed - len(inside)),
            )
        self._warned = True
        return [*inside, *outside[: needed - len(inside)]]

    def next_order(self, permutation: list[int]) -> list[int]:
        """Arrange one more pass over the prompts, beside the sampler's epochs, from all that has been seen."""
        self._seen.orders += 1
        return self.order(permutation)

    def begin_epoch(self) -> Seen:
        """What is known at the beginning of an epoch; in a resumed one, what was known then."""
        if self._begun:
            self._epoch += 1
            self._seen.orders += 1
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
        self._seen = Seen.from_dict(state["seen"])
        self._epoch = int(self._trainer.state.epoch or 0)  # as `restore_epoch` counts them
        under_way = state["epoch"] == self._epoch
        self._seen.orders += not under_way
        self._at_epoch_start = Seen.from_dict(state["at_epoch_start"]) if under_way else self._seen.copy()
        self._begun = False

    @cached_property
    def _keys(self) -> list[str]:
        return [prompt_key(prompt) for prompt in self._dataset["prompt"]]

    @property
    def _prompts_of_a_rollout(self) -> int:
        args: Any = self._trainer.args
        return int(args.generation_batch_size // self._trainer.num_generations)

    def _may_be_drawn(self, row: int, rate: float | None, seen: Seen) -> bool:
        assert self._band is not None
        if rate is None or in_band(rate, *self._band):
            return True
        key = self._keys[row]
        return key in seen.outside and not seen.rests(key)

    def _rate(self, row: int, seen: Seen) -> float | None:
        rate = seen.rates.rate(self._keys[row]) if len(seen.rates) else None
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
