"""The maths verifier under load: hostile batches from a side thread, deadlines, and what a long run leaves behind."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from trl_r1.verifiers import Verdict, verify_math_batch
from trl_r1.verifiers.math import _cache, _pool


CORRECT, WRONG, UNDECIDABLE = Verdict.CORRECT, Verdict.WRONG, Verdict.UNDECIDABLE


def honest(index):
    """A right answer: a number, a radical, a formula, or one that a worker has to judge; all distinct."""
    return [
        (rf"<think> a </think> \boxed{{{1000 * index:,}}}", f"{index}000"),
        (rf"\boxed{{\sqrt{{{4 * index + 2}}}}}", rf"2\sqrt{{{index}+\frac12}}"),
        (rf"\boxed{{(x+{index})^2}}", f"x^2+{2 * index}x+{index * index}"),
        (rf"\boxed{{{index}\arctan 1}}", rf"\frac{{{index}\pi}}{{4}}"),
    ][index % 4]


def endless(index):
    """An answer that computer algebra would not finish: some it is asked about, some are refused before."""
    return [
        (rf"\boxed{{(x+{index})^{{9999}}(x+2)^{{9999}}}}", "x+1"),
        (rf"\boxed{{{index}^{{9^{{9^{{9}}}}}}}}", "7"),
        (rf"\boxed{{(y+{index})^{{8888}}(y-3)^{{7777}}}}", r"\sqrt{y}"),
        (rf"\boxed{{\sum_{{k=1}}^{{10^{{{index}}}}} k^k}}", "7"),
    ][index % 4]


@pytest.mark.parametrize("cpu_seconds", [0.2, pytest.param(1.0, marks=pytest.mark.slow)])
def test_a_batch_with_a_tenth_of_endless_answers_ends_in_time_and_blocks_nobody(cpu_seconds):
    _cache.clear()
    pairs = [endless(index // 10) if index % 10 == 9 else honest(index) for index in range(1, 513)]
    wanted = [WRONG if index % 10 == 9 else CORRECT for index in range(1, 513)]
    found = []
    thread = threading.Thread(target=lambda: found.extend(verify_math_batch(pairs, 120.0, cpu_seconds)))
    started = last = time.monotonic()
    thread.start()
    gaps = []
    while thread.is_alive():
        time.sleep(0.01)
        now = time.monotonic()
        gaps.append(now - last)
        last = now
    verdicts = [judgement.verdict for judgement in found]
    assert [each if each is CORRECT else WRONG for each in verdicts] == wanted
    assert verdicts.count(UNDECIDABLE) <= 5  # a machine so busy that some second try did not fit
    assert time.monotonic() - started < 125
    assert len(gaps) > 10
    assert max(gaps) < 1.0  # ten times what a tick may take on a machine with other work


def test_endless_answers_keep_no_honest_one_past_the_deadline():
    pairs = [endless(2 * index) for index in range(60, 80)] + [honest(4 * index + 3) for index in range(50, 60)]
    judgements = verify_math_batch(pairs, deadline=5.0, cpu_seconds=1.0)  # all second tries would take 20 s
    assert [judgement.verdict for judgement in judgements[20:]] == [CORRECT] * 10
    assert all(judgement.verdict in (WRONG, UNDECIDABLE) for judgement in judgements[:20])


def test_the_deadline_holds_while_another_thread_has_the_workers():
    slow = threading.Thread(target=verify_math_batch, args=([endless(2 * i) for i in range(100, 104)], 120.0, 0.5))
    slow.start()
    while not _pool._lock.locked() and slow.is_alive():
        time.sleep(0.001)
    started = time.monotonic()
    judgements = verify_math_batch([honest(5), honest(70_003)], deadline=0.1)
    waited = time.monotonic() - started
    slow.join()
    assert [judgement.verdict for judgement in judgements] == [CORRECT, UNDECIDABLE]
    assert waited < 1.0


def resident(pid):
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def children(pid):
    """Child processes."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def snapshot():
    """Descriptors, workers, and memory of this process, the nursery and the workers."""
    workers = children(_pool._nursery.pid)
    memory = [resident(pid) for pid in (os.getpid(), _pool._nursery.pid)]
    return len(os.listdir("/proc/self/fd")), len(workers), *memory, max(map(resident, workers))


def left_behind(calls):
    """Snapshots before and after many calls, run in a process where nothing else opens, ends or grows."""
    verify_math_batch([honest(4 * index + 3) for index in range(5_000_000, 5_000_020)])
    before = snapshot()
    for index in range(calls):
        pair = endless(2 * index + 1000) if index % 100 == 50 else honest(index + 1000)
        (judgement,) = verify_math_batch([pair], cpu_seconds=0.2)
        assert judgement.verdict in ((WRONG, UNDECIDABLE) if index % 100 == 50 else (CORRECT,)), (pair, judgement)
    return before, snapshot(), _pool.size


@pytest.mark.parametrize("calls", [400, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_a_long_run_leaks_nothing(calls):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        before, after, size = alone.submit(left_behind, calls).result()
    assert after[0] <= before[0]
    assert after[1] <= size
    assert after[2] < before[2] + 60  # the caches: 20,000 judgements and 4,000 readings at most
    assert after[3] < before[3] + 10
    assert after[4] < 600
