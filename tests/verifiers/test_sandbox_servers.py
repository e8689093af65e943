"""Servers: found or refused, shared by threads, replaced when killed, gone with their owner."""

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from trl_r1.verifiers.sandbox import Limits, Outcome, Sandbox, SandboxError, isolation, servers


MODES = ["bubblewrap", "landlock"]


@pytest.fixture(params=MODES)
def box(request):
    with_servers = Sandbox(request.param, size=1)
    yield with_servers
    with_servers.close()


def descendants(pid=None):
    """Processes below one, by number."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except OSError:
            continue
        parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found, todo = set(), [pid or os.getpid()]
    while todo:
        children = parents.get(todo.pop(), [])
        found.update(children)
        todo += children
    return found


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def await_true(condition, seconds=20):
    stop = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < stop
        time.sleep(0.02)


def family(box):
    """Processes of the one server of a sandbox, the server first or after bubblewrap's own."""
    (server,) = box._servers._running
    return [server._process.pid, *descendants(server._process.pid)]


def kill_server(box):
    victims = family(box)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    await_true(lambda: all(gone(victim) for victim in victims))


def double(box, value):
    with box.session() as session:
        session.load({"main": "def double(x): return 2 * x"})
        return session.call("double", [value])


def test_auto_takes_the_stronger_mode():
    box = Sandbox(size=1)
    assert box.isolation == "auto"
    assert double(box, 4).value == 8
    assert box.isolation == "bubblewrap"
    box.close()


def test_auto_falls_back(monkeypatch):
    monkeypatch.setattr(isolation, "_find_bubblewrap", lambda: "/bin/false")
    box = Sandbox(size=1)
    assert double(box, 4).value == 8
    assert box.isolation == "landlock"
    box.close()


def test_no_isolation_is_a_refusal(monkeypatch):
    def nothing(mode):
        return {**told(mode), "isolation": "unsafe_local"} | ({} if mode == "bubblewrap" else {"isolation": "none"})

    told = isolation.instructions
    monkeypatch.setattr(isolation, "_find_bubblewrap", lambda: "/bin/false")
    monkeypatch.setattr(isolation, "instructions", nothing)
    with pytest.raises(SandboxError, match=r"the isolation does not hold.*pip install 'trl_r1\[code\]'.*unsafe_local"):
        Sandbox(size=1).session()


def test_a_missing_bubblewrap_names_the_install_line(monkeypatch):
    monkeypatch.setattr(isolation.shutil, "which", lambda name: None)
    monkeypatch.setattr(isolation.importlib.util, "find_spec", lambda name: None)
    isolation.surroundings.cache_clear()
    with pytest.raises(SandboxError, match=r"it is not installed.*pip install 'trl_r1\[code\]'"):
        Sandbox("bubblewrap", size=1).session()
    isolation.surroundings.cache_clear()


def test_a_python_that_does_not_run_is_named(monkeypatch):
    monkeypatch.setattr(isolation.sys, "executable", "/nothing/python")
    isolation.surroundings.cache_clear()
    with pytest.raises(SandboxError, match="/nothing/python does not run"):
        Sandbox(size=1).session()
    isolation.surroundings.cache_clear()


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(servers.sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="the sandbox needs Linux, and this is darwin"):
        Sandbox("unsafe_local", size=1).session()


@pytest.mark.parametrize("mode", MODES)
def test_isolation_that_does_not_hold_is_noticed(mode, monkeypatch):
    """The proof is a real one: with a file that may be read, it fails."""
    told = isolation.instructions
    library = isolation.surroundings().library + "/os.py"
    monkeypatch.setattr(isolation, "instructions", lambda mode: {**told(mode), "forbidden": library})
    if mode == "landlock" and os.geteuid() == 0:  # nobody may not enter root's home either
        monkeypatch.setattr(isolation, "instructions", lambda mode: {**told(mode), "forbidden": "/dev/urandom"})
    with pytest.raises(SandboxError, match=r"the isolation does not hold \(test 1\)"):
        Sandbox(mode, size=1).session()


def test_a_killed_server_is_replaced(box):
    assert double(box, 1).value == 2
    kill_server(box)
    assert double(box, 2).value == 4


def test_a_first_request_survives_its_server(box):
    with box.session() as session:
        kill_server(box)
        assert session.run_program("print(input())", "hello") == Outcome("hello\n")


def test_a_later_request_does_not(box):
    """What the session knew is lost, and that is no fault of the code's."""
    with box.session() as session:
        session.load({"main": "def f(): return 1"})
        kill_server(box)
        assert session.call("f").failure == "fault"
        assert session.call("f").failure == "fault"
    assert double(box, 3).value == 6


def test_doors_that_do_not_shut_are_a_fault(box):
    """A process that fails before any code runs is not the code's doing."""
    limits = Limits(memory_bytes=1 << 70)  # more than the kernel can note
    with box.session(limits) as session:
        assert session.load({"main": ""}).failure == "fault"


def test_threads_share_the_servers(box):
    results = {}

    def work(number):
        results[number] = [double(box, number + step).value for step in range(10)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [2 * (number + step) for step in range(10)] for number in range(6)}


def test_a_server_outlives_the_thread_that_started_it(box):
    thread = threading.Thread(target=double, args=(box, 1))
    thread.start()
    thread.join()
    time.sleep(0.2)
    (server,) = box._servers._running
    assert double(box, 1).value == 2
    assert box._servers._running == [server]


def test_sessions_run_side_by_side(box):
    """Threads of one are not counted against another's."""
    many = (
        "import threading\nwait = threading.Event().wait\n"
        + 50 * "threading.Thread(target=wait, daemon=True).start()\n"
    )
    with box.session() as first, box.session() as second, box.session() as third:
        assert [session.load({"main": many}) for session in (first, second, third)] == [Outcome()] * 3


def test_every_process_is_a_session_of_the_kernels(box):
    """By sessions the scheduler shares out time: sixty busy threads of one candidate starve no other."""
    with box.session() as session:
        session.load({"main": ""})
        process = family(box)[-1]
        assert int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[3]) == process


def test_a_forked_process_has_its_own(box):
    assert double(box, 1).value == 2

    def child(connection):
        connection.send((double(box, 5).value, box._servers._running[0]._process.pid))
        box.close()

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
    process.start()
    value, server = ours.recv()
    process.join(20)
    assert value == 10
    assert server != box._servers._running[0]._process.pid
    assert double(box, 6).value == 12


@pytest.mark.parametrize("mode", [*MODES, "unsafe_local"])
def test_nothing_outlives_a_killed_parent(mode):
    code = f"""
import threading, time
from trl_r1.verifiers.sandbox import Sandbox
box = Sandbox({mode!r}, size=1)
for source in ("while True: pass", "import time; time.sleep(999)"):
    session = box.session()
    session.load({{"main": "def f(x): exec(x)"}})
    threading.Thread(target=session.call, args=("f", [source])).start()
print("running", flush=True)
time.sleep(999)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "running\n"
    await_true(lambda: len(descendants(parent.pid)) >= 3)
    everybody = descendants(parent.pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await_true(lambda: all(gone(pid) for pid in everybody))


def test_an_exit_leaves_nothing_behind():
    code = "from trl_r1.verifiers.sandbox import shared_sandbox\nshared_sandbox().session().load({'main': ''})"
    code += "\nfor server in shared_sandbox()._servers._running: print(server._process.pid)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert all(gone(int(pid)) for pid in shown.split())


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def left_behind(mode, count):
    """What many sessions leave, by kind, in a process where nothing else opens, ends or grows."""

    def some(count):
        for number in range(count):
            with box.session() as session:
                if number % 10 == 0:
                    session.load({"main": "import os\nos._exit(1)"})
                elif number % 10 == 1:
                    session.run_program("print(1)")
                else:
                    session.load({"main": "x = 1"})

    def holdings():
        gc.collect()
        return {
            "files": len(os.listdir("/proc/self/fd")),
            "processes": len(family(box)),
            "threads": threading.active_count(),
            "memory": resident(os.getpid()),
            "memory of the server": resident(server),
            "files of the server": len(os.listdir(f"/proc/{server}/fd")),
        }

    with contextlib.closing(Sandbox(mode, size=1)) as box:
        some(50)
        server = family(box)[-1]
        before = holdings()
        some(count)
        return {name: after - before[name] for name, after in holdings().items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_sessions_leak_nothing(mode, count):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        grown = alone.submit(left_behind, mode, count).result()
    assert grown.pop("memory") < 10_000_000
    assert grown.pop("memory of the server") < 3_000_000
    assert not any(grown.values()), grown
