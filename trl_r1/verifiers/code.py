"""Does a program do what its tests ask?

The program is the last block of Python in the answer, never in the thoughts. It runs in the sandbox, which gets the
program and one input at a time; outputs and results are compared here, and assertions run in a second process that
asks the program through a proxy. So no program can reach what is expected of it, or have a say in its verdict.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from trl_r1.errors import DataError
from trl_r1.verifiers.cache import JudgementCache
from trl_r1.verifiers.code_extraction import Program, extract_program
from trl_r1.verifiers.code_process import Result
from trl_r1.verifiers.code_running import Clock, run_tests
from trl_r1.verifiers.code_tests import AssertTests, CodeTests, read_code_tests
from trl_r1.verifiers.sandbox import Isolation, Limits, Sandbox, SandboxError, shared_sandbox
from trl_r1.verifiers.verdict import Judgement, Verdict


BATCH_DEADLINE_SECONDS = 300.0  # well under any process group's timeout
MAX_OVERRUNS = 2  # of one program: what sleeps in every test must not use up the time of all others
CACHE_SIZE = 50_000
MAX_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class CodeJudgement(Judgement):
    """
    A verdict on a program, and how far it got.

    Args:
        passed (`int`):
            Tests it passed, of those that were run.
        total (`int`):
            Tests there are.
        first_failed (`int` or `None`):
            Number of the first test that it did not pass, from 0; `None` where there is none.
    """

    passed: int = 0
    total: int = 0
    first_failed: int | None = None

    @property
    def share(self) -> float | None:
        """Share of the tests that it passed, if all were run; `None` where it is undecidable."""
        if self.verdict is Verdict.UNDECIDABLE or self.total == 0:
            return self.reward
        return self.passed / self.total


@dataclass(frozen=True, slots=True)
class _Settings:
    isolation: Isolation
    limits: Limits
    tolerance: float | None
    run_all: bool


@dataclass(frozen=True, slots=True)
class _Job:
    """One program and its tests; `key` says which judgements are the same."""

    key: str
    program: str
    tests: CodeTests


_cache: JudgementCache[CodeJudgement] = JudgementCache(CACHE_SIZE)


def verify_code(
    program: str,
    tests: Any,
    *,
    isolation: Isolation = "auto",
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    tolerance: float | None = None,
    run_all: bool = False,
) -> CodeJudgement:
    r"""
    Run one program on its tests.

    Args:
        program (`str`):
            A completion (recognised by a think or answer tag; only what follows the thoughts is read) or the program
            itself, in a fenced block or not.
        tests (`Mapping[str, Any]`, `list` or `str`):
            Tests in any shape that [`~trl_r1.verifiers.code_tests.read_code_tests`] reads.
        isolation (`str`, *optional*, defaults to `"auto"`):
            How to shut the program off: `"bubblewrap"`, `"landlock"`, or the first of them that works here. Spell
            `"unsafe_local"` out to run it unprotected.
        limits ([`~trl_r1.verifiers.sandbox.Limits`], *optional*):
            Of each test. Calls of one function share a process, which is replaced when it has used up half of
            `cpu_seconds`.
        tolerance (`float`, *optional*):
            Absolute and relative difference up to which numbers that were printed or returned are equal.
        run_all (`bool`, *optional*, defaults to `False`):
            Whether to go on after a failed test, to know how many pass; after a second overrun no further one is run.

    Returns:
        [`CodeJudgement`]: whatever the program does is `WRONG` at worst; `UNDECIDABLE` means that the tests are
        unusable or the sandbox failed. The reason tells no expected value.

    Raises:
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when code cannot be isolated on this machine.

    Example:

    ```python
    >>> tests = {"function": "double", "inputs": [[2], [0]], "outputs": [4, 0]}
    >>> verify_code("<think> add it </think>\n```python\ndef double(x): return x + x\n```", tests).verdict
    <Verdict.CORRECT: 'correct'>
    ```
    """
    pairs = [(program, tests)]
    return verify_code_batch(pairs, isolation=isolation, limits=limits, tolerance=tolerance, run_all=run_all)[0]


def verify_code_batch(
    pairs: Sequence[tuple[str, Any]],
    *,
    isolation: Isolation = "auto",
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    tolerance: float | None = None,
    run_all: bool = False,
    deadline: float = BATCH_DEADLINE_SECONDS,
) -> list[CodeJudgement]:
    """
    Run many programs on their tests, as many at a time as the sandbox has servers.

    Args:
        pairs (`Sequence[tuple[str, Any]]`):
            Program or completion, and tests, as [`verify_code`] takes them.
        isolation, limits, tolerance, run_all:
            As for [`verify_code`].
        deadline (`float`, *optional*, defaults to `300.0`):
            Seconds for the whole batch. Programs not judged by then are `UNDECIDABLE`; one that runs then ends with
            its test.

    Returns:
        `list[CodeJudgement]`: in the order of `pairs`.

    Raises:
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when code cannot be isolated on this machine.
    """
    settings = _Settings(isolation, limits, tolerance, run_all)
    stop = time.monotonic() + deadline
    readings: dict[str, CodeTests | str] = {}
    judged: list[CodeJudgement | _Job] = [_prepare(*pair, settings, readings) for pair in pairs]
    jobs = {item.key: item for item in judged if isinstance(item, _Job)}
    found = {key: replace(known, cached=True) for key in jobs if (known := _cache.get(key))}
    open_jobs = [job for key, job in jobs.items() if key not in found]
    if open_jobs:
        found |= dict(zip((job.key for job in open_jobs), _run_jobs(open_jobs, settings, stop), strict=True))
    return [found[item.key] if isinstance(item, _Job) else item for item in judged]


@cache
def check_sandbox(isolation: Isolation = "auto") -> None:
    """
    Run a program in the sandbox, once a process, to know before training whether code can be run.

    Args:
        isolation (`str`, *optional*, defaults to `"auto"`):
            As for [`verify_code`].

    Raises:
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when it cannot.
    """
    with shared_sandbox(isolation).session() as session:
        outcome = session.run_program("print('ready')")
    if outcome.failure or outcome.value != "ready\n":
        raise SandboxError(f"isolation: {isolation!r} does not run a program here ({outcome.detail}); try another")


def _prepare(
    completion: str, tests: Any, settings: _Settings, readings: dict[str, CodeTests | str]
) -> CodeJudgement | _Job:
    """What is left to run, or the judgement where nothing is. A group's tests are read once, into `readings`."""
    try:
        spelled = repr(tests)  # JSON would make one of `(1,)` and `[1]`, of 1 and "1" as keys
    except (ValueError, RecursionError) as error:  # an integer of 4,300 digits, or lists a thousand deep
        return CodeJudgement(Verdict.UNDECIDABLE, f"tests: they cannot be used ({error})", "fault")
    if spelled not in readings:
        try:
            readings[spelled] = read_code_tests(tests)
        except DataError as error:
            readings[spelled] = str(error)
    reading = readings[spelled]
    if isinstance(reading, str):
        return CodeJudgement(Verdict.UNDECIDABLE, reading, "fault")
    program = extract_program(completion)
    if program.text is None:
        return CodeJudgement(Verdict.WRONG, program.missing, "extraction", total=_count(reading), first_failed=0)
    source = _whole_program(program, reading)
    parts = (source, spelled, repr(settings))
    return _Job(hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest(), source, reading)


def _whole_program(program: Program, tests: CodeTests) -> str:
    """
    The program, after the prompt where it continues that in the middle of a function, as HumanEval asks.

    The parser of completions strips an answer, and so the indent of its first line. An answer without a fence that
    nowhere defines the function can only be such a one.
    """
    text = program.text or ""
    if not isinstance(tests, AssertTests) or not tests.stub:
        return text
    if text.lstrip("\n")[:1] in {" ", "\t"}:
        return f"{tests.stub.rstrip()}\n{text}"
    if tests.indent and not program.fenced and not _binds(text, tests.functions[0]):
        return f"{tests.stub.rstrip()}\n{tests.indent}{text}"
    return text


def _binds(text: str, name: str) -> bool:
    """Whether a line of a program, outside of any block, may give a value to a name. Only looks: see `Program`."""
    bound = re.compile(
        rf"(async[ \t]+)?(def|class)[ \t]+{name}\b|(?!return\b)[^\s#=][^=]*\b{name}\b[^=]*=(?!=)|{name}\b[^=]*=(?!=)"
        rf"|(from|import)[ \t].*(\b{name}\b|\*)"
    )
    return any(map(bound.match, text.split("\n")))


def _count(tests: CodeTests) -> int:
    return len(tests.checks) if isinstance(tests, AssertTests) else len(tests.inputs)


def _run_jobs(jobs: Sequence[_Job], settings: _Settings, stop: float) -> Iterable[CodeJudgement]:
    check_sandbox(settings.isolation)
    sandbox = shared_sandbox(settings.isolation)
    if len(jobs) == 1:
        return [_run_job(jobs[0], sandbox, settings, stop)]
    with ThreadPoolExecutor(min(len(jobs), sandbox.size), thread_name_prefix="verify_code") as pool:
        return list(pool.map(lambda job: _run_job(job, sandbox, settings, stop), jobs))


def _run_job(job: _Job, sandbox: Sandbox, settings: _Settings, stop: float) -> CodeJudgement:
    started = time.monotonic()
    results: list[Result] = []
    overruns = 0
    try:
        running = run_tests(sandbox, job.program, job.tests, settings.limits, settings.tolerance, Clock(stop))
        with closing(running):
            for result in running:
                results.append(result)
                overruns += result.decided_by == "overrun"
                if overruns == MAX_OVERRUNS or not (result.passed or settings.run_all):
                    break
    except (OSError, SandboxError) as error:  # it worked when the batch began
        results.append(Result(None, f"the sandbox failed: {error}", "fault"))
    judgement = _sum_up(results, _count(job.tests), time.monotonic() - started)
    # How long something takes depends on the machine's load too, so that is not remembered for ever.
    if judgement.decided_by == "tests":
        _cache.put(job.key, judgement)
    return judgement


def _sum_up(results: Sequence[Result], total: int, seconds: float) -> CodeJudgement:
    passed = sum(result.passed is True for result in results)
    if passed == total:
        reason = f"passes all {total} tests"
        return CodeJudgement(Verdict.CORRECT, reason, "tests", seconds, passed=passed, total=total)
    outcomes = [result.passed for result in results]
    index = outcomes.index(None if None in outcomes else False)  # with a fault among them, nobody knows the share
    result = results[index]
    verdict = Verdict.UNDECIDABLE if result.passed is None else Verdict.WRONG
    reason = f"test {index + 1} of {total}: {_one_line(result.reason)}"
    return CodeJudgement(verdict, reason, result.decided_by, seconds, passed=passed, total=total, first_failed=index)


def _one_line(text: str) -> str:
    """A reason that any log can hold: programs choose the names and messages of their exceptions."""
    line = " ".join(text[: 2 * MAX_REASON_CHARS].split())[:MAX_REASON_CHARS]
    return "".join(sign if sign.isprintable() else "?" for sign in line)
