"""From the names in a recipe to reward functions that keep their contract."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from trl_r1.errors import R1Error, RewardError
from trl_r1.rewards.checked import AsyncCheckedReward, CheckedReward
from trl_r1.user_code import first_line, load_callable


# What `reward_funcs` may hold: a name, a name with parameters, or (in Python) the function itself.
RewardSpec = str | Mapping[str, Mapping[str, Any] | None] | Callable[..., Any]
RewardFunction = CheckedReward | AsyncCheckedReward


@dataclass(frozen=True, slots=True)
class _Parsed:
    name: str
    parameters: dict[str, Any]


def build_rewards(specs: Sequence[RewardSpec]) -> list[RewardFunction]:
    """
    Build the reward functions a recipe names.

    Args:
        specs (`Sequence[str | dict[str, dict] | Callable]`):
            For each reward a name, or a mapping from the name to its parameters:

            - a name of `trl_r1.rewards` or else of `trl.rewards`,
            - a dotted path (`"package.module.name"`),
            - a file and a name in it (`"rewards.py:name"`), relative to the working directory,
            - in Python, the function itself.

            A name that starts with `get_`, or a class, is called with the parameters and gives the reward; any other
            function gets them as keyword arguments at each call.

    Returns:
        `list[CheckedReward | AsyncCheckedReward]`: in order. Two rewards of one name are told apart by a number, since
        the trainer logs by name.

    Raises:
        [`RewardError`]: when a name or a parameter is wrong.
    """
    rewards = [build_reward(spec) for spec in specs]
    seen: Counter[str] = Counter()
    for reward in rewards:
        seen[reward.name] += 1
        if seen[reward.name] > 1:
            reward.rename(f"{reward.name}_{seen[reward.name]}")
    return rewards


def build_reward(spec: RewardSpec) -> RewardFunction:
    """Build one reward function; see [`build_rewards`]."""
    if callable(spec):
        return _wrap(spec, {}, None)
    parsed = _parse_spec(spec)
    found = _resolve(parsed.name)
    problem = _parameter_problem(parsed, found)
    if problem:
        raise RewardError(problem)
    if not _is_factory(found):
        return _wrap(partial(found, **parsed.parameters) if parsed.parameters else found, parsed.parameters, spec)
    try:
        made = found(**parsed.parameters)
    except R1Error as error:
        raise RewardError(f"reward_funcs: {parsed.name}: {error}") from error
    except Exception as error:
        raise RewardError(f"reward_funcs: {parsed.name}: {first_line(error)}") from error
    if not callable(made):
        raise RewardError(f"reward_funcs: {parsed.name} returned {type(made).__name__}; it must return a function")
    return _wrap(made, parsed.parameters, spec)


def ensure_checked(function: Callable[..., Any], name: str | None = None) -> RewardFunction:
    """A function whose output is checked at every call: itself if it is one already, else wrapped, under `name`."""
    if isinstance(function, CheckedReward | AsyncCheckedReward):
        return function
    reward = _wrap(function, {}, None)
    reward.rename(name or reward.name)
    return reward


def check_reward_specs(specs: Any) -> list[str]:
    """
    Problems of a recipe's `reward_funcs`, found without loading a model.

    Args:
        specs (`Any`):
            Whatever the recipe holds there.

    Returns:
        `list[str]`: one line a problem, naming the value and the fix; empty when all is well.
    """
    if not isinstance(specs, Sequence) or isinstance(specs, str):
        return [f"reward_funcs: {specs!r} is not a list; write [accuracy_reward, format_reward], say"]
    problems = []
    for spec in specs:
        try:
            if not callable(spec):
                parsed = _parse_spec(spec)
                problem = _parameter_problem(parsed, _resolve(parsed.name))
                problems += [problem] if problem else _nested_problems(parsed)
        except RewardError as error:
            problems.append(str(error))
    return problems


def probe_rewards(rewards: Sequence[RewardFunction], row: Mapping[str, Any]) -> None:
    """
    Call each reward once, on two made-up completions of a row, so that a broken one fails before a model is loaded.

    Rewards that load a model of their own are left out.

    Args:
        rewards (`Sequence[CheckedReward | AsyncCheckedReward]`):
            What [`build_rewards`] made.
        row (`Mapping[str, Any]`):
            A row of the training set, with its `prompt`.

    Raises:
        [`RewardError`]: naming the reward, what it did and the fix.
    """
    for reward in rewards:
        if not reward.loads_model:
            reward.probe(row)


def reward_names() -> list[str]:
    """Every name that needs no path: of `trl_r1.rewards`, then of `trl.rewards`."""
    ours, theirs = importlib.import_module("trl_r1.rewards"), importlib.import_module("trl.rewards")
    return [name for name in dict.fromkeys((*ours.__all__, *theirs.__all__)) if _names_reward(name)]


def _names_reward(name: str) -> bool:
    return name.islower() and (name.endswith("_reward") or name.startswith("get_"))


def _parse_spec(spec: Any) -> _Parsed:
    if isinstance(spec, str) and spec:
        return _Parsed(spec, {})
    if isinstance(spec, Mapping) and len(spec) == 1:
        name, parameters = next(iter(spec.items()))
        if isinstance(name, str) and name and (parameters is None or isinstance(parameters, Mapping)):
            return _Parsed(name, dict(parameters or {}))
    raise RewardError(
        f"reward_funcs: {spec!r} is neither a name nor a name with its parameters, as {{name: {{a: 1}}}}"
    )


def _resolve(name: str) -> Callable[..., Any]:
    """The function or class a name stands for."""
    if ":" in name or "." in name:
        try:
            return load_callable(name)
        except R1Error as error:
            raise RewardError(f"reward_funcs: {name}: {error}") from error
    known = reward_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
        raise RewardError(f"reward_funcs: {name!r} is unknown; {hint} (your own: package.module.name or file.py:name)")
    ours, theirs = importlib.import_module("trl_r1.rewards"), importlib.import_module("trl.rewards")
    found: Callable[..., Any] = getattr(ours if name in ours.__all__ else theirs, name)
    return found


def _is_factory(found: Callable[..., Any]) -> bool:
    return inspect.isclass(found) or getattr(found, "__name__", "").startswith("get_")


def _parameter_problem(parsed: _Parsed, found: Callable[..., Any]) -> str | None:
    """What is wrong with the parameters, or `None`."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return None  # written in C: calling it will tell
    named = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    open_ended = any(item.kind is item.VAR_KEYWORD for item in signature.parameters.values()) and _is_factory(found)
    for key in parsed.parameters:
        if key not in named and not open_ended:
            near = difflib.get_close_matches(str(key), named, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(named) or 'none'}"
            return f"reward_funcs: {parsed.name} has no parameter {key!r}; {hint}"
    if _is_factory(found):
        try:
            signature.bind(**parsed.parameters)
        except TypeError as error:
            return f"reward_funcs: {parsed.name}: {error}; give it as {{{parsed.name}: {{parameter: value}}}}"
    return None


def _nested_problems(parsed: _Parsed) -> list[str]:
    """Problems of the rewards that a routed one names."""
    routes = parsed.parameters.get("routes") if parsed.name == "get_routed_reward" else None
    if not isinstance(routes, Mapping):
        return []
    return check_reward_specs([spec for spec in routes.values() if spec is not None])


def _wrap(function: Callable[..., Any], parameters: dict[str, Any], spec: Any) -> RewardFunction:
    # An instance is asynchronous by its `__call__`; TRL asks the same way.
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    kind = AsyncCheckedReward if is_async else CheckedReward
    return kind(function, parameters, spec)
