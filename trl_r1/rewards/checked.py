"""Rewards that keep their contract: one number or `None` a completion, or an error that says what came instead.

With an error budget ([`CheckedReward.isolate`]) a failure costs the rows of its group, not the run.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from trl_r1.chat_template import join_response
from trl_r1.errors import R1Error, RewardError, RewardFaultError
from trl_r1.rewards.batches import BatchLogs
from trl_r1.rewards.error_budget import Attempt, ErrorBudget, fault_of


PROBE_COMPLETIONS = 2
_SUPPLIED = frozenset({"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"})


class _Checked:
    """What synchronous and asynchronous rewards share. See [`CheckedReward`]."""

    def __init__(self, function: Callable[..., Any], parameters: Mapping[str, Any], spec: Any) -> None:
        self.function = function
        self.parameters = dict(parameters)
        self.spec = spec  # how the recipe names it; None for a function given in Python
        self.loads_model = bool(getattr(function, "loads_model", False))
        self.budget: ErrorBudget | None = None
        self.failed_rows: tuple[int, ...] = ()
        named = _unwrapped(function)
        self.rename(getattr(named, "__name__", type(named).__name__))  # as TRL names it, without loading its trainers

    def isolate(self, share: float, exhibits: str | Path) -> ErrorBudget:
        """
        Let the reward fail on some rows instead of ending the run.

        A batch it fails on is scored again group by group. Rows of groups that fail again get `None` and are listed in
        `failed_rows`, and so are rows it gives `None` while it judges others of their group, or reports as faults
        through `log_fault(row, reason)`. `reward_errors/<name>` is their share of the batch.

        Args:
            share (`float`):
                Share of this process's rows that may fail; above it (once 64 rows were seen) a call raises
                [`RewardError`].
            exhibits (`str` or `Path`):
                File of JSON lines that shows the failed rows.

        Returns:
            [`ErrorBudget`]: what it counts in.
        """
        self.budget = ErrorBudget(self.name, share, Path(exhibits))
        return self.budget

    def check_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """
        Why rows of the training data cannot be scored, asked once when they are loaded.

        It is the function's own `check_rows(rows)`, or `check_row(row)` for each; one without either takes every row.

        Args:
            rows (`Sequence[Mapping[str, Any]]`):
                Rows of the dataset.

        Returns:
            `list[str | None]`: one a row; `None` where it can be used.
        """
        named = _unwrapped(self.function)
        if hasattr(named, "check_rows"):
            return list(named.check_rows(rows))
        if hasattr(named, "check_row"):
            return [named.check_row(row) for row in rows]
        return [None] * len(rows)

    def missing_columns(self, given: Collection[str]) -> list[str]:
        """Arguments the function cannot do without that are none of the given columns; empty where nothing tells."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return []
        return [
            parameter.name
            for parameter in parameters
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and parameter.name not in {*given, *_SUPPLIED}
        ]

    def leaves(self) -> list[_Checked]:
        """The rewards it is made of, itself if of no others."""
        parts = getattr(_unwrapped(self.function), "parts", ())
        return [leaf for part in parts for leaf in part.leaves()] or [self]

    def rename(self, name: str) -> None:
        """Give the reward another name in logs and records."""
        self.name = self.__name__ = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.parameters})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A function from a file of the user's cannot be imported by name elsewhere, so the spec travels instead.
        return _rebuild, (type(self), None if self.spec else self.function, self.parameters, self.spec, self.name)

    def _error_of(self, error: BaseException, arguments: Collection[str]) -> RewardError:
        """What an exception of the function means: a missing column is the user's to mend, all else a fault of it."""
        missing = self.missing_columns(arguments) if isinstance(error, TypeError) else []
        if missing:
            return RewardError(f"{self.name} needs the column {missing[0]!r}, and the rows have none; rename theirs")
        return fault_of(self.name, error)

    def _attempt(self, batch: Mapping[str, Any]) -> Attempt:
        return Attempt(batch, self._check)

    def _finish(self, attempt: Attempt) -> list[float | None]:
        assert self.budget is not None
        values = attempt.finish()
        self.failed_rows = tuple(sorted(attempt.faults))
        if log_metric := attempt.batch.get("log_metric"):
            log_metric(f"reward_errors/{self.name}", len(attempt.faults) / max(1, attempt.size))
        self.budget.spend(attempt.batch, attempt.faults)
        return values

    def _check(self, output: Any, expected: int) -> list[float | None]:
        """The output as a list of floats and `None`, or an error that names what is wrong with it."""
        returned = f"reward {self.name!r} returned"
        if hasattr(output, "tolist"):
            output = output.tolist()  # a tensor or array
        if not isinstance(output, list | tuple):
            raise RewardFaultError(f"{returned} {_describe(output)}; return a list, one number a completion")
        if len(output) != expected:
            raise RewardFaultError(f"{returned} {len(output)} values for {expected} completions; return one for each")
        return [self._check_value(value, index) for index, value in enumerate(output)]

    def _check_value(self, value: Any, index: int) -> float | None:
        if value is None:
            return None
        if hasattr(value, "item"):
            value = value.item()  # a scalar tensor
        if not isinstance(value, Real) or not math.isfinite(value):
            raise RewardFaultError(
                f"reward {self.name!r} returned {_describe(value)} for completion {index}; "
                "return a finite number, or None when it cannot judge"
            )
        return float(value)


class CheckedReward(_Checked):
    """
    A reward function whose output is checked at every call.

    It has the function's `__name__`, and pickles if the function is named in a recipe or pickles itself.

    Args:
        function (`Callable`):
            Reward function of TRL's contract.
        parameters (`Mapping[str, Any]`):
            Parameters it was built with, for the record.
        spec (`Any`):
            How the recipe names it; `None` for a function given in Python.

    Attributes:
        name (`str`): Name in logs and records.
        loads_model (`bool`): Whether the first call loads a model.
        failed_rows (`tuple[int, ...]`): Rows of the last batch it failed on, with an error budget.
    """

    def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float | None]:
        """
        Score completions.

        Raises:
            [`RewardError`]: when the function raises, or returns anything but one finite number or `None` each.
        """
        if self.budget is None:
            return self._check(self._call(completions=completions, **kwargs), len(completions))
        attempt = self._attempt({"completions": completions, **kwargs})
        for arguments in attempt.calls():
            try:
                output = self._call(**arguments)
            except RewardFaultError as error:
                attempt.fail(error)
            else:
                attempt.take(output)
        return self._finish(attempt)

    def _call(self, **arguments: Any) -> Any:
        try:
            return self.function(**arguments)
        except R1Error:
            raise
        except (Exception, SystemExit) as error:  # a reward that exits would end the run as if all were well
            raise self._error_of(error, arguments) from error

    def probe(self, row: Mapping[str, Any]) -> None:
        """Call it once on made-up completions of a row."""
        self(**made_up_batch(row))


class AsyncCheckedReward(_Checked):
    """A [`CheckedReward`] around an asynchronous function, which TRL awaits together with others."""

    async def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float | None]:
        """Score completions; see [`CheckedReward`]."""
        if self.budget is None:
            return self._check(await self._call(completions=completions, **kwargs), len(completions))
        attempt = self._attempt({"completions": completions, **kwargs})
        for arguments in attempt.calls():
            try:
                output = await self._call(**arguments)
            except RewardFaultError as error:
                attempt.fail(error)
            else:
                attempt.take(output)
        return self._finish(attempt)

    async def _call(self, **arguments: Any) -> Any:
        try:
            return await self.function(**arguments)
        except R1Error:
            raise
        except (Exception, SystemExit) as error:  # a reward that exits would end the run as if all were well
            raise self._error_of(error, arguments) from error

    def probe(self, row: Mapping[str, Any]) -> None:
        """Call it once on made-up completions of a row."""
        asyncio.run(self(**made_up_batch(row)))


def made_up_batch(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    Arguments of a reward call as the trainer would make it for a row.

    Args:
        row (`Mapping[str, Any]`):
            A row of the training set, with its `prompt` as text or messages.

    Returns:
        `dict[str, Any]`: keyword arguments with two completions, a well-formed one that gives the row's `solution` and
        an empty one.
    """
    from transformers import TrainerState

    prompt = row.get("prompt", "")
    texts = [join_response("a thought", rf"\boxed{{{row.get('solution') or 0}}}"), ""]
    conversational = not isinstance(prompt, str)
    completions = [[{"role": "assistant", "content": text}] for text in texts] if conversational else texts
    reserved = {"prompt", "completion", "completion_ids"}
    columns = {key: [value] * PROBE_COMPLETIONS for key, value in row.items() if key not in reserved}
    return columns | {
        "prompts": [prompt] * PROBE_COMPLETIONS,
        "completions": completions,
        "completion_ids": [[0]] * PROBE_COMPLETIONS,
        "trainer_state": TrainerState(),
        **BatchLogs(PROBE_COMPLETIONS).callbacks(range(PROBE_COMPLETIONS)),
    }


def _rebuild(kind: type[_Checked], function: Any, parameters: dict[str, Any], spec: Any, name: str) -> _Checked:
    if spec is None:
        reward: _Checked = kind(function, parameters, None)
    else:
        from trl_r1.rewards.registry import build_reward

        reward = build_reward(spec)
    reward.rename(name)
    return reward


def _unwrapped(function: Callable[..., Any]) -> Any:
    """The function itself, of one with parameters bound."""
    return function.func if isinstance(function, partial) else function


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
