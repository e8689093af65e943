"""The killable worker: what it survives, and what it leaves behind (nothing)."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import trl_r1.verifiers
from trl_r1.verifiers.worker_pool import WorkerPool


SCRIPT = Path(trl_r1.verifiers.__file__).with_name("math_worker.py")
QUICK = {"golds": ["x+1"], "pairs": [["x+1", "1+x"]]}
ENDLESS = {"golds": ["7"], "pairs": [["7", r"\sum_{i=1}^{10^9} i^i"]]}


@pytest.fixture
def pool():
    pool = WorkerPool(SCRIPT, size=2)
    yield pool
    pool.close()


def result(reply):
    return reply.failure or next(iter(reply.content.get("results") or reply.content))


def is_running(pid):
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=20):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.01)
    return condition()


def test_an_endless_request_is_killed_and_the_others_are_answered_in_order(pool):
    replies = pool.run([QUICK, ENDLESS, QUICK, {"golds": ["x"], "pairs": [["x", "y"]]}], cpu_seconds=0.2)
    assert [result(reply) for reply in replies] == ["equal", "overrun", "equal", "different"]
    assert replies[1].progress == "gold"  # the gold answer had been read: the overrun is the answer's doing
    assert pool.killed == 2  # after its first try, and after its second


def test_an_endless_gold_answer_is_told_from_an_endless_answer(pool):
    reply = pool.run([{"golds": [r"\left(\left[" * 20], "pairs": []}], cpu_seconds=0.2)[0]
    assert reply.progress != "gold"
    assert result(reply) in {"overrun", "unusable_gold"}


def test_a_worker_that_is_killed_from_outside_is_replaced(pool):
    pool.run([QUICK, QUICK], cpu_seconds=1)
    for worker in pool._idle:
        os.kill(worker.pid, signal.SIGKILL)
    assert [result(reply) for reply in pool.run([QUICK] * 3, cpu_seconds=1)] == ["equal"] * 3


def test_a_worker_has_no_token(pool, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "canary-token")
    assert result(pool.run([QUICK], cpu_seconds=1)[0]) == "equal"
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (pool._nursery.pid, pool._idle[0].pid)]
    assert all(b"PATH=" in found and b"canary-token" not in found for found in environments)


def test_the_nursery_may_be_killed_too(pool):
    pool.run([QUICK], cpu_seconds=1)
    os.kill(pool._nursery.pid, signal.SIGKILL)
    assert [result(reply) for reply in pool.run([QUICK] * 3, cpu_seconds=1)] == ["equal"] * 3


def test_a_script_that_does_not_start_is_reported_and_no_exception(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(1)")
    replies = WorkerPool(broken).run([QUICK, QUICK], cpu_seconds=1)
    assert [reply.failure for reply in replies] == ["unavailable", "unavailable"]


def test_a_request_that_eats_memory_does_not_take_the_machine(pool):
    hungry = {"golds": ["7"], "pairs": [["7", r"2^{2^{40}}"]]}
    assert result(pool.run([hungry], cpu_seconds=1)[0]) in {
        "overrun",
        "different",
        "unparseable",
    }


def test_threads_may_share_a_pool(pool):
    found = []

    def ask():
        found.extend(result(reply) for reply in pool.run([QUICK] * 5, cpu_seconds=1))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["equal"] * 20


def test_a_forked_child_starts_its_own_processes_and_leaves_ours(pool):
    pool.run([QUICK], cpu_seconds=1)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        inherited = pool._nursery
        answer = result(pool.run([QUICK], cpu_seconds=1)[0])
        os.write(write_end, f"{answer} {inherited}".encode())
        pool.close()
        os._exit(0)
    os.close(write_end)
    os.waitpid(pid, 0)
    with open(read_end, "rb") as stream:
        assert stream.read() == b"equal None"
    assert result(pool.run([QUICK], cpu_seconds=1)[0]) == "equal"


@pytest.mark.parametrize("ending", ["pass", "os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_process_outlives_its_owner(ending):
    # The owner ends while a worker is inside an endless computation.
    program = f"""
import os, signal, threading, time
from pathlib import Path
from trl_r1.verifiers.worker_pool import WorkerPool
pool = WorkerPool(Path({str(SCRIPT)!r}), size=2)
pool.run([{QUICK!r}, {QUICK!r}], cpu_seconds=1)
print(pool._nursery.pid, *[worker.pid for worker in pool._idle], flush=True)
threading.Thread(target=pool.run, args=([{ENDLESS!r}],), kwargs=dict(cpu_seconds=60, deadline=1), daemon=True).start()
time.sleep(0.2)
{ending}
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) >= 2
    assert wait_until(lambda: not any(is_running(pid) for pid in pids))


def test_the_users_main_script_is_not_run_again(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(  # no `if __name__ == "__main__"`
        "print('main')\nfrom trl_r1.verifiers import verify_math\nprint(verify_math('1+x', 'x+1').verdict.value)\n"
    )
    root = str(Path(trl_r1.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["main", "correct"]
    assert done.stderr == ""
