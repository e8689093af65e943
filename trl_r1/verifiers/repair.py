"""Does a patch repair the repository? Its hidden tests say so, run in the sandbox and judged outside it.

The repaired repository runs in one process. Calls are made there one at a time, and the results compared here; code
that asserts runs in a second process, which reaches the first through proxies. No expectation enters the process of
the patch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from trl_r1.verifiers.answers.extraction import graded_text
from trl_r1.verifiers.cache import JudgementCache
from trl_r1.verifiers.code import BATCH_DEADLINE_SECONDS, check_sandbox
from trl_r1.verifiers.patches import apply_patch
from trl_r1.verifiers.repair_running import Repository, Result, run_tests
from trl_r1.verifiers.repair_task import RepairTask, RepairTest
from trl_r1.verifiers.sandbox import Isolation, Limits, Sandbox, SandboxError, shared_sandbox
from trl_r1.verifiers.unified_diff import PatchError
from trl_r1.verifiers.verdict import Judgement, Verdict


TEST_LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0)
CACHE_SIZE = 50_000


@dataclass(frozen=True, slots=True)
class RepairJudgement(Judgement):
    """
    A verdict on a patch, and how far it got.

    Args:
        fixed (`int`):
            Broken tests that pass now, of those that were run.
        broken (`int`):
            Broken tests there are.
        spoilt (`int`):
            Tests that passed before and fail now, of those that were run.
    """

    fixed: int = 0
    broken: int = 0
    spoilt: int = 0

    @property
    def credit(self) -> float | None:
        """Share of the broken tests that pass now, 0.0 if a working one fails; `None` where it is undecidable."""
        if self.verdict is Verdict.UNDECIDABLE or not self.broken:
            return self.reward
        return 0.0 if self.spoilt else self.fixed / self.broken


@dataclass(frozen=True, slots=True)
class _Settings:
    isolation: Isolation
    limits: Limits
    run_all: bool


@dataclass(frozen=True, slots=True)
class _Job:
    key: tuple[str, _Settings]
    task: RepairTask
    files: Mapping[str, str]


_cache: JudgementCache[RepairJudgement] = JudgementCache(CACHE_SIZE)


def verify_repair(
    completion_or_patch: str,
    task: RepairTask,
    *,
    isolation: Isolation = "auto",
    limits: Limits = TEST_LIMITS,
    run_all: bool = False,
) -> RepairJudgement:
    r"""
    Apply one patch and run the hidden tests.

    Args:
        completion_or_patch (`str`):
            A completion (recognised by a think or answer tag; only what follows the thoughts is read) or the patch
            itself, as [`~trl_r1.verifiers.patches.apply_patch`] reads it.
        task ([`~trl_r1.verifiers.repair_task.RepairTask`]):
            Snapshot and tests.
        isolation (`str`, *optional*, defaults to `"auto"`):
            How to shut the repository off: `"bubblewrap"`, `"landlock"`, or the first of them that works here. Spell
            `"unsafe_local"` out to run it unprotected.
        limits ([`~trl_r1.verifiers.sandbox.Limits`], *optional*):
            Of the process; the time on the clock is that of one call.
        run_all (`bool`, *optional*, defaults to `False`):
            Whether to go on after a failed test, to know what the patch is worth in part.

    Returns:
        [`RepairJudgement`]: `CORRECT` if all tests pass. Whatever the patch does is `WRONG` at worst; `UNDECIDABLE`
        means that the sandbox failed. The reason tells no expected value.

    Raises:
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when code cannot be isolated on this machine.

    Example:

    ```python
    >>> test = RepairTest(name="pair", broken=True, function="f.add", arguments="(2, 3)", expected="5")
    >>> task = RepairTask(files={"f.py": "def add(a, b):\n    return a - b\n"}, description="", tests=(test,))
    >>> patch = "--- f.py\n+++ f.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b\n"
    >>> verify_repair(patch, task).verdict
    <Verdict.CORRECT: 'correct'>
    ```
    """
    return verify_repair_batch([(completion_or_patch, task)], isolation=isolation, limits=limits, run_all=run_all)[0]


def verify_repair_batch(
    pairs: Sequence[tuple[str, RepairTask]],
    *,
    isolation: Isolation = "auto",
    limits: Limits = TEST_LIMITS,
    run_all: bool = False,
    deadline: float = BATCH_DEADLINE_SECONDS,
) -> list[RepairJudgement]:
    """
    Apply many patches and run the hidden tests, as many at a time as the sandbox has servers.

    The same state of the same task is run once, whatever patch led there.

    Args:
        pairs (`Sequence[tuple[str, RepairTask]]`):
            Completion or patch, and task, as [`verify_repair`] takes them.
        isolation, limits, run_all:
            As for [`verify_repair`].
        deadline (`float`, *optional*, defaults to `300.0`):
            Seconds for the whole batch. Patches not judged by then are `UNDECIDABLE`.

    Returns:
        `list[RepairJudgement]`: in the order of `pairs`.

    Raises:
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when code cannot be isolated on this machine.
    """
    settings = _Settings(isolation, limits, run_all)
    judged = [_prepare(*pair, settings) for pair in pairs]
    return _judge(judged, settings, time.monotonic() + deadline)


def check_tasks(
    tasks: Sequence[RepairTask], *, isolation: Isolation = "auto", limits: Limits = TEST_LIMITS
) -> list[str | None]:
    """
    Why tasks cannot be used: their tests must find what they say before the repair, and all pass after it.

    Args:
        tasks (`Sequence[RepairTask]`):
            Tasks. One without a reference patch is only run as it is.
        isolation, limits:
            As for [`verify_repair`].

    Returns:
        `list[str | None]`: one a task; `None` where it can be used.
    """
    settings = _Settings(isolation, limits, run_all=True)
    before = _judge([_job(task, task.files, settings) for task in tasks], settings)
    patched = [index for index, task in enumerate(tasks) if task.patch]
    once = replace(settings, run_all=False)
    after = _judge([_prepare(tasks[index].patch, tasks[index], once) for index in patched], once)
    repaired = dict(zip(patched, after, strict=True))
    return [_unusable(judgement, repaired.get(index)) for index, judgement in enumerate(before)]


def _unusable(before: RepairJudgement, after: RepairJudgement | None) -> str | None:
    if before.verdict is Verdict.UNDECIDABLE:
        return f"the tests cannot be run: {before.reason}"
    if before.fixed:
        return f"{before.fixed} of {before.broken} broken tests pass before the repair"
    if before.spoilt:
        return f"{before.spoilt} tests that should work fail before the repair"
    if after is not None and after.verdict is not Verdict.CORRECT:
        return f"the reference patch does not repair it: {after.reason}"
    return None


# ------------------------------------------------------------------------------------------------- one batch


def _prepare(completion: str, task: RepairTask, settings: _Settings) -> RepairJudgement | _Job:
    """What is left to run, or the judgement where the patch does not even apply."""
    broken = sum(test.broken for test in task.tests)
    answer = graded_text(completion)
    if not (answer or "").strip():
        return RepairJudgement(Verdict.WRONG, "no answer after the thoughts", "extraction", broken=broken)
    try:
        return _job(task, apply_patch(answer or "", task.files), settings)
    except PatchError as error:
        return RepairJudgement(Verdict.WRONG, str(error), "patch", broken=broken)


def _job(task: RepairTask, files: Mapping[str, str], settings: _Settings) -> _Job:
    return _Job((task.key(files), settings), task, files)


def _judge(
    judged: Sequence[RepairJudgement | _Job], settings: _Settings, stop: float = float("inf")
) -> list[RepairJudgement]:
    jobs = {item.key: item for item in judged if isinstance(item, _Job)}
    found = {key: cached for key in jobs if (cached := _cache.get(key))}
    missing = [job for key, job in jobs.items() if key not in found]
    if missing:
        found |= dict(zip((job.key for job in missing), _run_jobs(missing, settings, stop), strict=True))
    return [found[item.key] if isinstance(item, _Job) else item for item in judged]


def _run_jobs(jobs: Sequence[_Job], settings: _Settings, stop: float) -> list[RepairJudgement]:
    check_sandbox(settings.isolation)
    sandbox = shared_sandbox(settings.isolation)
    with ThreadPoolExecutor(min(len(jobs), sandbox.size), thread_name_prefix="verify_repair") as pool:
        return list(pool.map(lambda job: _run_job(job, sandbox, settings, stop), jobs))


def _run_job(job: _Job, sandbox: Sandbox, settings: _Settings, stop: float) -> RepairJudgement:
    results: list[tuple[RepairTest, Result]] = []
    try:
        with closing(Repository(sandbox, job.files, settings.limits)) as repository:
            for test, result in run_tests(job.task, repository, stop):
                results.append((test, result))
                if result.passed is None or not (result.passed or settings.run_all):
                    break
    except (OSError, SandboxError) as error:  # it worked when the batch began
        results.append((job.task.tests[0], Result(None, f"the sandbox failed: {error}", "fault")))
    judgement = _sum_up(job.task, results)
    # How long something takes depends on the machine's load too, so that is not remembered for ever.
    if judgement.decided_by == "tests":
        _cache.put(job.key, judgement)
    return judgement


def _sum_up(task: RepairTask, results: Sequence[tuple[RepairTest, Result]]) -> RepairJudgement:
    fixed = sum(test.broken and result.passed is True for test, result in results)
    spoilt = sum(not test.broken and result.passed is False for test, result in results)
    broken = sum(test.broken for test in task.tests)
    judge = partial(RepairJudgement, fixed=fixed, broken=broken, spoilt=spoilt)
    undecided = [(test, result) for test, result in results if result.passed is None]
    failed = undecided or [(test, result) for test, result in results if not result.passed]
    if not failed:
        return judge(Verdict.CORRECT, f"passes all {len(task.tests)} tests", "tests")
    test, result = failed[0]
    kind = "still fails" if test.broken else "worked before"
    verdict = Verdict.WRONG if result.passed is False else Verdict.UNDECIDABLE
    return judge(verdict, f"test {test.name!r} {kind}: {result.reason}", result.decided_by)
