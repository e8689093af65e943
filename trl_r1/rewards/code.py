"""Does the program pass its tests? The paper's accuracy reward for code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.errors import RewardError
from trl_r1.rewards.batches import report_faults
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.rewards.sandboxed import is_missing, read_sandbox_settings
from trl_r1.verifiers.code import BATCH_DEADLINE_SECONDS, CodeJudgement, check_sandbox, verify_code_batch
from trl_r1.verifiers.code_tests import check_code_tests
from trl_r1.verifiers.sandbox import Isolation, Limits
from trl_r1.verifiers.verdict import Verdict


class CodeReward:
    """
    1.0 for a program that passes all tests of its row. See [`~trl_r1.verifiers.verify_code`] for how it is judged.

    Made by [`get_code_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(
        self,
        tests_column: str | Sequence[str] = "tests",
        partial_credit: bool = False,
        isolation: Isolation = "auto",
        limits: Mapping[str, float] | Limits | None = None,
        tolerance: float | None = None,
        deadline: float = BATCH_DEADLINE_SECONDS,
    ) -> None:
        self.isolation, self.limits = read_sandbox_settings(isolation, limits)
        self.tests_column = tests_column
        self.partial_credit = partial_credit
        self.tolerance = tolerance
        self.deadline = deadline
        self.__name__ = "code_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompts: Sequence[Text] | None = None,
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. `None` where there are no tests, unusable ones, or a fault is ours."""
        check_sandbox(self.isolation)  # even if no completion holds a program: before training is the time to know
        parsed = parse_completions(completions, prompt_tail, response_format)
        tests = self._tests(len(completions), prompts, kwargs)
        rows = [index for index, found in enumerate(tests) if found is not None]
        judgements = verify_code_batch(
            [(parsed[index].answer or "", tests[index]) for index in rows],
            isolation=self.isolation,
            limits=self.limits,
            tolerance=self.tolerance,
            run_all=self.partial_credit,
            deadline=self.deadline,
        )
        judged = dict(zip(rows, judgements, strict=True))
        if log_extra is not None:
            log_extra("code_verdict", [judged[i].reason if i in judged else "" for i in range(len(completions))])
        if log_metric is not None and judged:
            _log_counts(log_metric, judgements)
        report_faults(kwargs.get("log_fault"), judged)
        return [self._reward(judged[i]) if i in judged else None for i in range(len(completions))]

    def check_row(self, row: Mapping[str, Any]) -> str | None:
        """Why a row of the training data cannot be scored, or `None`; asked when the data are loaded."""
        [tests] = self._tests(1, [row.get("prompt", "")], {name: [value] for name, value in row.items()})
        return None if tests is None else check_code_tests(tests)

    def _reward(self, judgement: CodeJudgement) -> float | None:
        return judgement.share if self.partial_credit else judgement.reward

    def _tests(self, rows: int, prompts: Sequence[Text] | None, columns: dict[str, Any]) -> list[Any]:
        """The tests of each row: one column, or several as a mapping."""
        if prompts is not None:
            columns = columns | {"prompt": prompts}
        names = [self.tests_column] if isinstance(self.tests_column, str) else list(self.tests_column)
        if missing := [name for name in names if name not in columns]:
            raise RewardError(f"code_reward: the rows have no column {missing[0]!r}; name theirs with tests_column")
        if isinstance(self.tests_column, str):
            tests = list(columns[self.tests_column])
        else:
            tests = [{name: columns[name][index] for name in names} for index in range(rows)]
        return [None if is_missing(row, beside=["prompt"]) else row for row in tests]


def get_code_reward(
    tests_column: str | Sequence[str] = "tests",
    partial_credit: bool = False,
    isolation: Isolation = "auto",
    limits: Mapping[str, float] | Limits | None = None,
    tolerance: float | None = None,
    deadline: float = BATCH_DEADLINE_SECONDS,
) -> CodeReward:
    r"""
    Reward 1.0 for a program that passes all its tests, else 0.0: the paper's accuracy reward for code (v2, B.3.1).

    Only what follows the thoughts is read, and of it the last block of Python. The program runs isolated and never
    sees what a test expects. A program that overruns its limits is wrong; a row without tests, with unusable ones, or
    hit by a fault of the sandbox gets `None`.

    Args:
        tests_column (`str` or `Sequence[str]`, *optional*, defaults to `"tests"`):
            Dataset column with the tests, in a shape of [`~trl_r1.verifiers.code_tests.read_code_tests`]; or the
            columns that make up the shape, such as `["test", "entry_point", "prompt"]`.
        partial_credit (`bool`, *optional*, defaults to `False`):
            Reward the share of tests that pass, all of which are then run. The paper does not say that it does.
        isolation (`str`, *optional*, defaults to `"auto"`):
            `"bubblewrap"`, `"landlock"`, or the first of them that works here. Code that cannot be isolated is
            refused, unless `"unsafe_local"` is spelled out.
        limits (`Mapping[str, float]` or [`~trl_r1.verifiers.sandbox.Limits`], *optional*):
            Of each test: `cpu_seconds` (5), `wall_seconds` (10), `memory_bytes` (1 GiB), `output_bytes` (1 MB).
        tolerance (`float`, *optional*):
            Absolute and relative difference up to which printed or returned numbers are equal.
        deadline (`float`, *optional*, defaults to `300.0`):
            Seconds for a batch; what is not judged by then gets `None`.

    Returns:
        [`CodeReward`]

    Raises:
        [`RewardError`]: when a parameter is unknown.

    Example:

    ```python
    >>> reward = get_code_reward()
    >>> tests = {"function": "double", "inputs": [[2], [0]], "outputs": [4, 0]}
    >>> reward(["<think> add it </think>\n```python\ndef double(x): return x + x\n```"], tests=[tests])
    [1.0]
    ```
    """
    return CodeReward(tests_column, partial_credit, isolation, limits, tolerance, deadline)


def _log_counts(log_metric: Callable[[str, float], None], judgements: Sequence[CodeJudgement]) -> None:
    number = len(judgements)
    log_metric("code/passed", sum(judgement.verdict is Verdict.CORRECT for judgement in judgements) / number)
    log_metric("code/overrun", sum(judgement.decided_by == "overrun" for judgement in judgements) / number)
    log_metric("code/undecidable", sum(judgement.verdict is Verdict.UNDECIDABLE for judgement in judgements) / number)
    log_metric("code/cached", sum(judgement.cached for judgement in judgements) / number)
    log_metric("code/slowest_seconds", max(0.0 if judgement.cached else judgement.seconds for judgement in judgements))
