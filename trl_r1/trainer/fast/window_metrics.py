"""Metrics of regrouped micro-batches, at the weight their tokens have in the accumulation window.

TRL 1.16 logs, for each micro-batch, means over its tokens on all processes (`global_masked_mean` in `_compute_loss`),
and a log row is their plain mean. Once rows have moved, some micro-batches hold many tokens and some few, so one value
a window is logged instead: the mean over all its tokens, or rows where TRL has one value a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from trl_r1.trainer.fast.micro_batches import TALLY, Tally


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer

# Shares of tokens (of rows, with one ratio a row) that a clip decides: 0 by definition where the advantage is 0
CLIPPED: Final = frozenset(
    {"clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "cispo_clip_ratio"}
)
# Means that need the policy's log-probabilities, so that rows left out are not in them
OF_POLICY: Final = frozenset({"kl", "entropy", "vespo/phi_seq_mean"})
EXTREMES: Final = {"clip_ratio/low_min": min, "clip_ratio/high_max": max}  # of the rows
WITH_SIGNAL: Final = "_of_rows_with_signal"


class WindowMetrics:
    """
    Gathers what TRL logs in the micro-batches of one accumulation window.

    Shares of clipped tokens count all tokens of the window, also of rows left out, where nothing is clipped: they are
    what they would be without leaving rows out. What only the rows in the policy pass have (entropy) has another name
    when rows are left out, `entropy_of_rows_with_signal`, and no value in a window without any signal.

    Args:
        trainer ([`R1GRPOTrainer`]):
            Whose metrics they are.
        rows_left_out (`bool`):
            Whether rows without signal are left out in this run.
    """

    def __init__(self, trainer: R1GRPOTrainer, rows_left_out: bool) -> None:
        self._trainer = trainer
        self._suffix = WITH_SIGNAL if rows_left_out else ""
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._extremes: dict[str, float] = {}

    @contextmanager
    def weigh(self, inputs: dict[str, Any]) -> Iterator[None]:
        """Around TRL's `_compute_loss` of one regrouped micro-batch, in training."""
        all_metrics: dict[str, Any] = self._trainer._metrics
        logged, all_metrics["train"] = all_metrics["train"], defaultdict(list)
        try:
            yield
        finally:
            found, all_metrics["train"] = all_metrics["train"], logged
        for name, values in found.items():
            if name in CLIPPED or name in OF_POLICY:
                self._add(name, values[0], inputs)
            elif name in EXTREMES:
                self._extend(name, values[0], Tally(**inputs[TALLY]))
            else:
                logged[name].extend(values)
        if self._trainer.accelerator.sync_gradients:
            self._close(logged)

    def _add(self, name: str, mean: float, inputs: dict[str, Any]) -> None:
        tally = Tally(**inputs[TALLY])
        if self._is_of_rows(name, inputs):
            total, weight, left_out = mean * tally.rows, tally.rows - tally.fillers, tally.rows_left_out
            if name == "vespo/phi_seq_mean":
                total -= tally.fillers  # the weight of a row without a token is 1, that of others is counted
        else:
            total, weight, left_out = mean * tally.tokens, tally.tokens, tally.tokens_left_out
        self._sums[name] = self._sums.get(name, 0.0) + total
        self._weights[name] = self._weights.get(name, 0.0) + weight + (left_out if name in CLIPPED else 0)

    def _is_of_rows(self, name: str, inputs: dict[str, Any]) -> bool:
        """Whether TRL's mean is one over rows: it is wherever the values have one column."""
        if name == "vespo/phi_seq_mean" or inputs["completion_mask"].size(1) == 1:
            return True
        advantages, level = inputs["advantages"], self._trainer.importance_sampling_level
        return name in CLIPPED and level == "sequence" and (advantages.dim() == 1 or advantages.size(1) == 1)

    def _extend(self, name: str, value: float, tally: Tally) -> None:
        choose = EXTREMES[name]
        values = [self._extremes.get(name, value), value, *([0.0] if tally.tokens_left_out else [])]
        self._extremes[name] = choose((one for one in values if one == one), default=value)  # NaN: no row had a token

    def _close(self, logged: dict[str, list[float]]) -> None:
        for name, total in self._sums.items():
            suffix = self._suffix if name in OF_POLICY else ""
            if self._weights[name] or not suffix:  # TRL's mean over no token is 0
                logged[name + suffix].append(total / max(self._weights[name], 1.0))
        for name, value in self._extremes.items():
            logged[name].append(value)
        self._sums, self._weights, self._extremes = {}, {}, {}
