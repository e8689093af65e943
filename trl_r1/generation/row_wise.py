"""Which logits processors and stopping criteria may be asked about a part of the rows of a batch."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from transformers.generation import logits_process, stopping_criteria


@runtime_checkable
class RowAware(Protocol):
    """
    A logits processor or stopping criterion that treats rows differently and can follow when rows leave the batch.

    Example:

    ```python
    class RowLimits(StoppingCriteria):
        def __init__(self, limits: torch.Tensor) -> None:  # one a row of the batch
            self.limits = self.left = limits

        def select_rows(self, index: torch.Tensor) -> None:
            self.left = self.limits[index]

        def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            return input_ids.shape[1] >= self.left
    ```
    """

    def select_rows(self, index: torch.Tensor) -> None:
        """
        Learn which rows the next call is about.

        Args:
            index (`torch.Tensor`):
                Rows of the whole batch that are left, in the order of the next call's rows (not always ascending);
                shape `(rows left,)`. Called once with all rows before the first token, then whenever rows leave.
        """
        ...


# Each row's result depends on this row and on nothing kept from an earlier call. Exact classes: a subclass may differ.
ROW_WISE: frozenset[type] = frozenset(
    {
        logits_process.EpsilonLogitsWarper,
        logits_process.EtaLogitsWarper,
        logits_process.ExponentialDecayLengthPenalty,
        logits_process.ForcedBOSTokenLogitsProcessor,
        logits_process.ForcedEOSTokenLogitsProcessor,
        logits_process.InfNanRemoveLogitsProcessor,
        logits_process.LogitNormalization,
        logits_process.MinLengthLogitsProcessor,
        logits_process.MinNewTokensLengthLogitsProcessor,
        logits_process.MinPLogitsWarper,
        logits_process.NoBadWordsLogitsProcessor,
        logits_process.NoRepeatNGramLogitsProcessor,
        logits_process.SequenceBiasLogitsProcessor,
        logits_process.SuppressTokensAtBeginLogitsProcessor,
        logits_process.SuppressTokensLogitsProcessor,
        logits_process.TemperatureLogitsWarper,
        logits_process.TopHLogitsWarper,
        logits_process.TopKLogitsWarper,
        logits_process.TopPLogitsWarper,
        logits_process.TypicalLogitsWarper,
        stopping_criteria.EosTokenCriteria,
        stopping_criteria.MaxLengthCriteria,
        stopping_criteria.StopStringCriteria,
        logits_process.RepetitionPenaltyLogitsProcessor,  # keeps a prompt length a row: see `follow_rows`
    }
)


def why_not_row_wise(parts: Iterable[Any]) -> str | None:
    """Why one of these processors or criteria cannot be asked about a part of the rows, or `None`."""
    for part in parts:
        if type(part) not in ROW_WISE and not isinstance(part, RowAware):
            return f"{type(part).__name__} may depend on rows that have ended (a method `select_rows` would tell it)"
    return None


def follow_rows(*lists: Iterable[Any]) -> tuple[list[Any], list[Any], list[RowAware]]:
    """
    Prepare processors and criteria for rows that leave.

    Args:
        lists:
            Processors, then criteria.

    Returns:
        `tuple[list, list, list[RowAware]]`: both, in order, and those to tell which rows are left, each once. No
        object of Transformers that was passed in will be changed.
    """
    processors, criteria = ([_follow(part) for part in parts] for parts in lists)
    aware = {id(part): part for part in [*processors, *criteria] if isinstance(part, RowAware)}
    return processors, criteria, list(aware.values())


def _follow(part: Any) -> Any:
    return _PromptLengths(part) if type(part) is logits_process.RepetitionPenaltyLogitsProcessor else part


class _PromptLengths:
    """A repetition penalty that keeps its prompt lengths in step with the rows that are left."""

    def __init__(self, penalty: Any) -> None:
        self._penalty = copy.copy(penalty)
        self._lengths = penalty.prompt_ignore_length

    def select_rows(self, index: torch.Tensor) -> None:
        if isinstance(self._lengths, torch.Tensor):
            self._penalty.prompt_ignore_length = self._lengths.to(index.device)[index]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        processed: torch.Tensor = self._penalty(input_ids, scores)
        return processed
