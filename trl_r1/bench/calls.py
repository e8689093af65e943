"""Call a reward as the trainer would, and compare what comes back with what a case wants."""

from __future__ import annotations

import asyncio
import copy
import inspect
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trl_r1.bench.case import Case, Row
from trl_r1.bench.report import CaseResult, RowProblem
from trl_r1.errors import R1Error, RewardFaultError
from trl_r1.rewards.registry import RewardFunction


Form = Literal["text", "messages"]  # how completions are handed over
FORMS: tuple[Form, ...] = ("text", "messages")


def judge(reward: RewardFunction, case: Case, form: Form, renamed: Mapping[str, str]) -> CaseResult:
    """
    Give a reward a case.

    Args:
        reward ([`~trl_r1.rewards.CheckedReward`]):
            The reward.
        case ([`Case`]):
            The case.
        form (`str`):
            `"text"` or `"messages"`, as the reward takes completions. Cases that are messages stay messages.
        renamed (`Mapping[str, str]`):
            Columns the reward knows by another name.

    Returns:
        [`CaseResult`]: never raises what the reward raises.
    """
    said: dict[str, list[str]] = {}

    def log_extra(column: str, values: Sequence[Any]) -> None:
        said[column] = [value if isinstance(value, str) else "" for value in values]  # it must pickle

    arguments = batch_of(case.rows, form, renamed) | {"log_extra": log_extra}
    if case.progress is not None:
        arguments["trainer_state"].global_step, arguments["trainer_state"].max_steps = case.progress
    before = _copy_of(arguments)
    begun = time.perf_counter()
    try:
        scores = _call(reward, arguments)
    except R1Error as error:  # the wrapper turns whatever a reward raises or returns into one
        as_wanted = case.refused and not isinstance(error, RewardFaultError)
        fault = "" if as_wanted else str(error).splitlines()[0]
        return CaseResult(case, None, fault=fault, seconds=time.perf_counter() - begun)
    seconds = time.perf_counter() - begun
    if case.refused:
        return CaseResult(case, tuple(scores), fault="it scored a batch that it must refuse", seconds=seconds)
    changed = any(arguments[name] != value for name, value in before.items())
    fault = "it changed its arguments, which other rewards share" if changed else ""
    problems = tuple(
        RowProblem(index, problem, score)
        for index, (row, score) in enumerate(zip(case.rows, scores, strict=True))
        if (problem := row.want.problem(score, scores)) is not None
    )
    return CaseResult(case, tuple(scores), problems, fault, seconds, said)


def batch_of(rows: Sequence[Row], form: Form, renamed: Mapping[str, str]) -> dict[str, Any]:
    """Keyword arguments of a reward call as the trainer makes it; a column some rows lack is `None` there."""
    from transformers import TrainerState

    names = dict.fromkeys(name for row in rows for name in ("problem", *row.columns))
    columns = {
        renamed.get(name, name): [row.columns.get(name, row.prompt if name == "problem" else None) for row in rows]
        for name in names
    }
    return columns | {
        "prompts": [_as_messages(row.prompt, "user") if form == "messages" else row.prompt for row in rows],
        "completions": [
            _as_messages(row.completion, "assistant") if form == "messages" else row.completion for row in rows
        ],
        "completion_ids": [row.completion_ids for row in rows],
        "trainer_state": TrainerState(),
        "log_extra": lambda column, values: None,
        "log_metric": lambda name, value: None,
    }


def accepted_forms(reward: RewardFunction, case: Case, renamed: Mapping[str, str]) -> tuple[list[Form], str]:
    """Forms of completion a reward takes without raising, and what it raised when it takes none."""
    taken: list[Form] = []
    reason = ""
    for form in FORMS:
        result = judge(reward, case, form, renamed)
        if result.scores is None:
            reason = reason or result.fault
        else:
            taken.append(form)
    return taken, reason


def _call(reward: RewardFunction, arguments: dict[str, Any]) -> list[float | None]:
    output: Any = reward(**arguments)
    return asyncio.run(output) if inspect.isawaitable(output) else output  # type: ignore[arg-type]


def _copy_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The lists of a call, copied; token ids level by level, since a generic copy of them takes long."""
    copied = {"completion_ids": [list(ids) for ids in arguments["completion_ids"]]}
    return copied | {
        name: copy.deepcopy(value)
        for name, value in arguments.items()
        if isinstance(value, list) and name != "completion_ids"
    }


def _as_messages(content: str | Sequence[Mapping[str, Any]], role: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    return [dict(message) for message in content]
