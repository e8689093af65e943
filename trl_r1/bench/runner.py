"""Run the bench on a reward."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from trl_r1.bench.calls import FORMS, Form, accepted_forms, judge
from trl_r1.bench.case import TOLERANCE, Case, Row, Want
from trl_r1.bench.kinds import cases_of, kind_of, why_unfit
from trl_r1.bench.report import BenchReport, CaseResult
from trl_r1.bench.workplace import START_SECONDS, Isolation, default_isolation, work_off
from trl_r1.errors import R1Error
from trl_r1.rewards.checked import AsyncCheckedReward, CheckedReward
from trl_r1.rewards.registry import RewardFunction, RewardSpec, build_reward


CASE_SECONDS = 30.0
TOGETHER_SECONDS = 2.0  # cases that took longer alone are not repeated in the common batch
MOST_LOSSES = 5


def run_bench(
    reward: RewardSpec,
    kind: str | None = None,
    *,
    cases: Iterable[Case] | None = None,
    without: Iterable[str] = (),
    columns: Mapping[str, str] | None = None,
    wrong: float = 0.0,
    right: float = 1.0,
    seconds: float = CASE_SECONDS,
    isolation: Isolation | None = None,
) -> BenchReport:
    """
    Attack a reward with the cases of its kind, and see that honest completions do not lose.

    Each case is a call of its own; then all cases with the same columns are given again in one batch, where the scores
    must stay the same. The reward runs in a forked process (not on Windows), which is killed when a case overruns.

    Args:
        reward (`str`, `dict` or `Callable`):
            A reward as `reward_funcs` takes it: a name, a name with parameters, or the function itself.
        kind (`str`, *optional*):
            One of `KINDS`; by default what is known about the reward, or else `"contract"`.
        cases (`Iterable[Case]`, *optional*):
            Cases to run instead of the kind's own.
        without (`Iterable[str]`, *optional*):
            Names of cases to leave out, where the reward is meant to differ.
        columns (`Mapping[str, str]`, *optional*):
            Columns the reward knows by another name: `{"solution": "answer"}`.
        wrong, right (`float`, *optional*, default to `0.0` and `1.0`):
            The reward's scale: what it pays for wrong and right where the cases say 0 and 1.
        seconds (`float`, *optional*, defaults to `30.0`):
            Time a case may take.
        isolation (`str`, *optional*):
            `"process"`, or `"thread"` where a fork would harm.

    Returns:
        [`BenchReport`]: with what went wrong; nothing that the reward does is raised.

    Raises:
        [`R1Error`]: when the reward cannot be built, or the kind or a case is unknown.

    Example:

    ```python
    >>> from trl_r1.bench import run_bench
    >>> run_bench("format_reward").passed
    True
    ```
    """
    built = reward if isinstance(reward, CheckedReward | AsyncCheckedReward) else build_reward(reward)
    kind = kind or kind_of(built)
    wanted, left_out = _select(cases_of(kind, built) if cases is None else list(cases), built, set(without))
    if not wanted:
        return BenchReport(built.name, kind, (), left_out)
    scaled = [_rescale(case, wrong, right) for case in wanted]
    plain = next(case for case in cases_of(kind, built) if case.honest and not case.has_messages)
    bench = _Bench(built, plain, dict(columns or {}), seconds, isolation or default_isolation())
    results = bench.run(scaled)
    return BenchReport(built.name, kind, tuple(results), left_out | bench.left_out)


class _Bench:
    """One reward on the bench."""

    def __init__(
        self, reward: RewardFunction, plain: Case, renamed: dict[str, str], seconds: float, isolation: Isolation
    ) -> None:
        self.reward = reward
        self.plain = plain  # a case that any reward of the kind takes: it shows how, and warms up
        self.renamed = renamed
        self.seconds = seconds
        self.isolation = isolation
        self.left_out: dict[str, str] = {}

    def run(self, cases: Sequence[Case]) -> list[CaseResult]:
        from transformers import TrainerState  # noqa: F401  (once here, not in every process that is forked)

        [(found, fault)] = work_off([self._try_forms], _nothing, START_SECONDS + self.seconds, self.isolation, 1)
        forms, reason = found or ([], fault)
        if not forms:
            return [CaseResult(self.plain, None, fault=f"takes no completion at all: {reason}")]
        form: Form = FORMS[0] if FORMS[0] in forms else forms[0]
        fit = [case for case in cases if not case.has_messages or "messages" in forms]
        self.left_out |= {case.name: "the reward takes no messages" for case in cases if case not in fit}
        results = self._judge_all(fit, form, self.seconds)
        quick = [
            result
            for result in results
            if result.scores is not None and result.seconds < TOGETHER_SECONDS and result.case.progress is None
        ]
        together = [_together(group) for group in _by_columns(quick)]
        return results + self._judge_all(together, form, self.seconds + 2 * sum(result.seconds for result in quick))

    def _judge_all(self, cases: Sequence[Case], form: Form, seconds: float) -> list[CaseResult]:
        tasks = [partial(judge, self.reward, case, form, self.renamed) for case in cases]
        warm_up = partial(judge, self.reward, self.plain, form, self.renamed)
        outcomes = work_off(tasks, warm_up, seconds, self.isolation, MOST_LOSSES)
        return [
            CaseResult(case, None, fault=fault, seconds=seconds) if fault else result
            for case, (result, fault) in zip(cases, outcomes, strict=True)
        ]

    def _try_forms(self) -> tuple[list[Form], str]:
        given = [self.renamed.get(name, name) for name in ("problem", *self.plain.column_names)]
        missing = self.reward.missing_columns(given)
        if missing:
            return [], f"it needs the column {missing[0]!r}; the cases have {', '.join(sorted(given))} (see `columns`)"
        return accepted_forms(self.reward, self.plain, self.renamed)


def _nothing() -> None:
    """No warm-up."""


def _select(cases: list[Case], reward: RewardFunction, without: set[str]) -> tuple[list[Case], dict[str, str]]:
    """Cases to run, and those left out with the reason."""
    unknown = without - {case.name for case in cases}
    if unknown:
        raise R1Error(f"without: there is no case {min(unknown)!r}; use names of the table: kind/words")
    left_out = dict.fromkeys(without, "left out on request")
    for case in cases:
        reason = why_unfit(case, reward)
        if reason:
            left_out.setdefault(case.name, reason)
    return [case for case in cases if case.name not in left_out], left_out


def _rescale(case: Case, wrong: float, right: float) -> Case:
    if (wrong, right) == (0.0, 1.0):
        return case
    rows = tuple(dataclasses.replace(row, want=row.want.rescaled(wrong, right)) for row in case.rows)
    return dataclasses.replace(case, rows=rows)


def _by_columns(results: Sequence[CaseResult]) -> list[list[CaseResult]]:
    """Results of cases with the same columns, in an order that puts no two of a kind side by side."""
    groups: dict[tuple[bool, frozenset[str]], list[CaseResult]] = {}
    for result in results:
        groups.setdefault((result.case.has_messages, result.case.column_names), []).append(result)
    return [group[::2] + group[1::2][::-1] for group in groups.values() if len(group) > 1]


def _near(score: float, within: float) -> Want:
    return Want(score - TOLERANCE, score + TOLERANCE, within=within)


def _together(results: Sequence[CaseResult]) -> Case:
    """One batch of many cases, each completion of which must get what it got alone."""
    kind = results[0].case.name.split("/")[0]
    rows: list[Row] = []
    for number, result in enumerate(results):
        for row, score in zip(result.case.rows, result.scores or (), strict=True):
            same = Want(none=True) if score is None else _near(score, row.want.within)
            # Another prompt for each case: neighbours with one prompt would be one group.
            rows.append(dataclasses.replace(row, want=same, prompt=f"{row.prompt} ({number})"))
    columns = "_".join(sorted(results[0].case.column_names)) or "no_columns"
    return Case(f"{kind}/together:{columns}", tuple(rows), "a completion's score does not depend on other groups")
