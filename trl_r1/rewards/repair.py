"""Does the patch repair the repository? The reward for debugging, decided by hidden tests that are really run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.errors import DataError, RewardError
from trl_r1.rewards.batches import report_faults
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.rewards.sandboxed import is_missing, read_sandbox_settings
from trl_r1.verifiers.code import BATCH_DEADLINE_SECONDS, check_sandbox
from trl_r1.verifiers.repair import RepairJudgement, check_tasks, verify_repair_batch
from trl_r1.verifiers.repair_task import RepairTask
from trl_r1.verifiers.sandbox import Isolation, Limits
from trl_r1.verifiers.verdict import Verdict


class RepairReward:
    """
    1.0 for a patch after which all hidden tests of its row pass. See [`~trl_r1.verifiers.repair.verify_repair`].

    Made by [`get_repair_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(
        self,
        task_column: str = "repair_task",
        partial_credit: bool = False,
        isolation: Isolation = "auto",
        limits: Mapping[str, float] | Limits | None = None,
        check_tasks: bool = True,
        deadline: float = BATCH_DEADLINE_SECONDS,
    ) -> None:
        self.isolation, self.limits = read_sandbox_settings(isolation, limits)
        self.task_column = task_column
        self.partial_credit = partial_credit
        self.check_tasks = check_tasks
        self.deadline = deadline
        self.__name__ = "repair_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. `None` where there is no task, an unusable one, or a fault is ours."""
        check_sandbox(self.isolation)  # even if no completion holds a patch: before training is the time to know
        if self.task_column not in columns:
            raise RewardError(f"repair_reward: the rows have no column {self.task_column!r}; name it with task_column")
        parsed = parse_completions(completions, prompt_tail, response_format)
        tasks = _read_tasks(columns[self.task_column], columns.get("log_fault"))
        judged = verify_repair_batch(
            [(parsed[index].answer or "", task) for index, task in tasks.items()],
            isolation=self.isolation,
            limits=self.limits,
            run_all=self.partial_credit,
            deadline=self.deadline,
        )
        judgements = dict(zip(tasks, judged, strict=True))
        _log(judgements, len(completions), log_extra, log_metric)
        report_faults(columns.get("log_fault"), judgements)
        return [self._value(judgements.get(index)) for index in range(len(completions))]

    def _value(self, judgement: RepairJudgement | None) -> float | None:
        if judgement is None:
            return None
        return judgement.credit if self.partial_credit else judgement.reward

    def check_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """
        Why rows cannot be scored, asked once when they are loaded; `None` where they can be.

        Each task is read, and run as it is and with its reference patch, unless `check_tasks` is off.
        """
        problems: list[str | None] = [None] * len(rows)
        tasks: dict[int, RepairTask] = {}
        for index, row in enumerate(rows):
            if is_missing(row.get(self.task_column)):
                continue
            try:
                tasks[index] = RepairTask.from_row(row[self.task_column])
            except DataError as error:
                problems[index] = str(error)
        if self.check_tasks:
            found = check_tasks(list(tasks.values()), isolation=self.isolation, limits=self.limits)
            for index, problem in zip(tasks, found, strict=True):
                problems[index] = problem
        return problems

    def check_row(self, row: Mapping[str, Any]) -> str | None:
        """[`~RepairReward.check_rows`] for one row."""
        return self.check_rows([row])[0]


def get_repair_reward(
    task_column: str = "repair_task",
    partial_credit: bool = False,
    isolation: Isolation = "auto",
    limits: Mapping[str, float] | Limits | None = None,
    check_tasks: bool = True,
    deadline: float = BATCH_DEADLINE_SECONDS,
) -> RepairReward:
    r"""
    Reward for patches that make failing tests pass and break none, as SWE-bench counts them.

    With $F$ the tests that fail before the repair and $P$ those that pass, a patch that applies gets

    $$r = 1 \text{ if every test of } F \cup P \text{ passes, else } 0$$

    or, with `partial_credit`, the share of $F$ that passes if all of $P$ does, else 0. A patch that is malformed, does
    not fit, or touches a test gets 0. The paper has no such reward: it left large-scale reinforcement learning on
    software engineering to future work, because evaluations took too long (Nature, "Limitations and future work").
    Here calls share one process a patch, and the same state of a repository is run once.

    Args:
        task_column (`str`, *optional*, defaults to `"repair_task"`):
            Column with the tasks, each a struct or JSON that [`~trl_r1.verifiers.repair_task.RepairTask.from_row`]
            reads. Rows with `None` there get `None`.
        partial_credit (`bool`, *optional*, defaults to `False`):
            Whether a patch that repairs some of the broken tests gets their share. All tests are then run.
        isolation (`str`, *optional*, defaults to `"auto"`):
            `"bubblewrap"`, `"landlock"`, or the first of them that works here. Code that cannot be isolated is
            refused, unless `"unsafe_local"` is spelled out.
        limits (`Mapping[str, float]` or [`~trl_r1.verifiers.sandbox.Limits`], *optional*):
            Of each patch: `cpu_seconds` (5), `wall_seconds` of a call (10), `memory_bytes` (1 GiB), `output_bytes`
            (1 MB). An overrun is a failed test.
        check_tasks (`bool`, *optional*, defaults to `True`):
            Whether every task is run when the data is loaded, so that unusable ones are dropped there: broken tests
            must fail before the repair, the others pass, and the reference patch must repair.
        deadline (`float`, *optional*, defaults to `300.0`):
            Seconds for a batch; what is not judged by then gets `None`.

    Returns:
        [`RepairReward`]

    Raises:
        [`RewardError`]: when a parameter is unknown.

    Example:

    ```python
    >>> test = {"name": "sum", "broken": True, "function": "f.add", "arguments": "(2, 3)", "expected": "5"}
    >>> task = {"files": [{"path": "f.py", "text": "def add(a, b):\n    return a - b\n"}], "tests": [test]}
    >>> patches = ["--- f.py\n+++ f.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b", "I give up"]
    >>> get_repair_reward()([f"<think> look </think> {patch}" for patch in patches], repair_task=[task] * 2)
    [1.0, 0.0]
    ```
    """
    return RepairReward(task_column, partial_credit, isolation, limits, check_tasks, deadline)


def _read_tasks(rows: Sequence[Any], log_fault: Callable[[int, str], None] | None) -> dict[int, RepairTask]:
    """Tasks by row, without those that cannot be read, which loading the data would have dropped."""
    tasks: dict[int, RepairTask] = {}
    for index, row in enumerate(rows):
        if is_missing(row):
            continue
        if index - 1 in tasks and row == rows[index - 1]:  # a group shares its task
            tasks[index] = tasks[index - 1]
            continue
        try:
            tasks[index] = RepairTask.from_row(row)
        except DataError as error:
            if log_fault is not None:
                log_fault(index, str(error))
    return tasks


def _log(
    judgements: Mapping[int, RepairJudgement],
    size: int,
    log_extra: Callable[[str, list[Any]], None] | None,
    log_metric: Callable[[str, float], None] | None,
) -> None:
    if log_extra is not None:
        log_extra("repair", [judgements[index].reason if index in judgements else "" for index in range(size)])
    if log_metric is not None and judgements:
        steps = Counter(judgement.decided_by for judgement in judgements.values())
        undecided = sum(judgement.verdict is Verdict.UNDECIDABLE for judgement in judgements.values())
        log_metric("repair/no_patch", (steps["patch"] + steps["extraction"]) / len(judgements))
        log_metric("repair/spoilt", sum(judgement.spoilt > 0 for judgement in judgements.values()) / len(judgements))
        log_metric("repair/overrun", steps["overrun"] / len(judgements))
        log_metric("repair/undecidable", undecided / len(judgements))
