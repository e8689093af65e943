"""One reward a type of row, for mixtures of maths, code, choices and general prompts."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from trl_r1.errors import RewardError
from trl_r1.rewards.batches import BatchLogs, slice_batch
from trl_r1.rewards.checked import AsyncCheckedReward
from trl_r1.rewards.registry import RewardFunction, RewardSpec, build_reward


DEFAULT_TYPE = "reasoning"  # what a row without a type is, as for `load_prompts`


class RoutedReward:
    """
    The reward of each row's type.

    Made by [`get_routed_reward`], which documents the arguments. Instances pickle.

    Attributes:
        parts (`list[CheckedReward | AsyncCheckedReward]`): the rewards of all types.
        loads_model (`bool`): whether one of them loads a model.
    """

    def __init__(self, routes: Mapping[str, RewardFunction | None], type_column: str) -> None:
        self.routes = dict(routes)
        self.type_column = type_column
        self.parts = [reward for reward in self.routes.values() if reward is not None]
        self.loads_model = any(reward.loads_model for reward in self.parts)
        self.__name__ = "routed_reward"

    def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float | None]:
        """Score a batch, as TRL calls a reward."""
        call = _RoutedCall(self, {"completions": completions, **kwargs})
        for reward, rows, arguments in call.parts():
            call.take(rows, reward(**arguments))
        return call.finish()

    def check_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """
        Why rows of the training data cannot be judged, each asked of its own reward; `None` where it can be.

        Raises:
            [`RewardError`]: for a type without a route, which no row should silently be lost for.
        """
        problems: list[str | None] = [None] * len(rows)
        for reward, numbers in self.split([row.get(self.type_column) for row in rows]):
            found = reward.check_rows([rows[number] for number in numbers])
            for number, problem in zip(numbers, found, strict=True):
                problems[number] = problem
        return problems

    def split(self, types: Sequence[str | None]) -> list[tuple[RewardFunction, list[int]]]:
        """The rows of each reward; rows of a type routed to no reward are left out."""
        rows: dict[str, list[int]] = {}
        for number, name in enumerate(types):
            rows.setdefault(name or DEFAULT_TYPE, []).append(number)
        for name in rows:
            if name not in self.routes:
                near = difflib.get_close_matches(str(name), self.routes, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, self.routes))};"
                raise RewardError(
                    f"{self.type_column}: {name!r} has no route; {hint} give it one, or null for no reward"
                )
        return [(reward, rows[name]) for name, reward in self.routes.items() if reward is not None and name in rows]


class AsyncRoutedReward(RoutedReward):
    """A [`RoutedReward`] with asynchronous rewards among its own, which run at the same time."""

    async def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float | None]:  # type: ignore[override]
        """Score a batch, as TRL calls an asynchronous reward."""
        import asyncio

        call = _RoutedCall(self, {"completions": completions, **kwargs})
        waiting = []
        for reward, rows, arguments in call.parts():
            if isinstance(reward, AsyncCheckedReward):
                waiting.append((reward, rows, arguments))
            else:
                call.take(rows, reward(**arguments))
        coroutines = [reward(**arguments) for reward, _, arguments in waiting]
        outputs = await asyncio.gather(*coroutines, return_exceptions=True)  # leaves none running behind an error
        for (_, rows, _), output in zip(waiting, outputs, strict=True):
            if isinstance(output, BaseException):
                raise output
            call.take(rows, output)
        return call.finish()


class _RoutedCall:
    """One call, taken apart by type and put together again."""

    def __init__(self, routed: RoutedReward, batch: Mapping[str, Any]) -> None:
        self.batch = batch
        self.size = len(batch["completions"])
        self.values: list[float | None] = [None] * self.size
        self.logs = BatchLogs(self.size)
        self.split = routed.split(batch.get(routed.type_column) or [None] * self.size)

    def parts(self) -> list[tuple[RewardFunction, list[int], dict[str, Any]]]:
        """Each reward with its rows and keyword arguments."""
        return [
            (reward, rows, slice_batch(self.batch, rows, self.size) | self.logs.callbacks(rows))
            for reward, rows in self.split
        ]

    def take(self, rows: Sequence[int], values: Any) -> None:
        """The rewards of these rows."""
        for row, value in zip(rows, values, strict=True):
            self.values[row] = value

    def finish(self) -> list[float | None]:
        """Hand on what was logged, and return the rewards."""
        self.logs.forward(self.batch)
        return self.values


def get_routed_reward(routes: Mapping[str, RewardSpec | None], type_column: str = "reward_type") -> RoutedReward:
    """
    Reward each row by the reward of its type.

    The reward of a row is that of its type's route, called with the rows of this type only, all columns included; what
    it logs is put back in the rows' places. A prompt has one type, so groups stay whole.

    Source: DeepSeek-R1, section 2.2 (rule-based rewards for reasoning data, reward models for general data).

    Args:
        routes (`Mapping[str, str | dict | Callable | None]`):
            For each type its reward, written as in `reward_funcs`, or `None` for rows that other rewards judge.
        type_column (`str`, *optional*, defaults to `"reward_type"`):
            Dataset column with the type. A row without one is of type `"reasoning"`.

    Returns:
        [`RoutedReward`]: asynchronous if one of the rewards is.

    Raises:
        [`RewardError`]: when a route names no reward; when the data are loaded, for a type without a route.

    Example:

    ```python
    >>> reward = get_routed_reward({"reasoning": "accuracy_reward", "choice": "get_choice_reward"})
    >>> completions = ["<think> two </think> 2", "<think> two </think> (B)"]
    >>> reward(completions, solution=["2", "C"], reward_type=["reasoning", "choice"])
    [1.0, 0.0]
    ```
    """
    if not isinstance(routes, Mapping) or not routes:
        raise RewardError(f"routes: {routes!r} routes nothing; write {{choice: get_choice_reward}}, say")
    built = {name: None if spec is None else build_reward(spec) for name, spec in routes.items()}
    is_async = any(inspect.iscoroutinefunction(type(reward).__call__) for reward in built.values())
    return (AsyncRoutedReward if is_async else RoutedReward)(built, type_column)
