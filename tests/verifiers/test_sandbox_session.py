"""What a session does for honest code, and what it says of code that fails."""

import math
import pickle

import pytest

from trl_r1.verifiers.sandbox import Limits, Outcome, Sandbox, SandboxError, shared_sandbox


VALUES = [
    *(None, True, False, 0, -1, 10**17, -(10**18), 10**18, 2**2000, 0.0, -0.0, 1e308, 5e-324, math.inf, -math.inf),
    *("", "é\ud800\0", b"", bytes(range(256)), 1j, complex(-0.0, math.inf), [], [[], [1, "2"]], (), (1,), ((),)),
    *(set(), {1, "a", (2, 3)}, frozenset({1}), {frozenset({1})}, {}, {1: 2, "a": [3], (1, 2): {4: 5}}),
]


@pytest.fixture(scope="module", params=["bubblewrap", "landlock", "unsafe_local"])
def box(request):
    with_servers = Sandbox(request.param, size=1)
    yield with_servers
    with_servers.close()


@pytest.fixture(scope="module")
def local():
    box = Sandbox("unsafe_local", size=1)
    yield box
    box.close()


def run(box, source, stdin="", **limits):
    with box.session(Limits(**limits)) as session:
        return session.run_program(source, stdin)


def spelled(value):
    """A value with all types in it; sets in one order, whatever this process's hash seed."""
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(map(repr, map(spelled, value)))
    if isinstance(value, list | tuple):
        return type(value).__name__, [spelled(item) for item in value]
    if isinstance(value, dict):
        return "dict", [(spelled(key), spelled(item)) for key, item in value.items()]
    return type(value).__name__, repr(value)


def test_values_keep_their_types(box):
    with box.session() as session:
        assert session.load({"main": "def same(x, *, y): return x, y"}) == Outcome()
        for value in VALUES:
            found = session.call("same", [value], {"y": value})
            assert spelled(found.value) == spelled((value, value))
            assert found.failure is None


def test_not_a_number_passes(local):
    with local.session() as session:
        session.load({"main": "def f(): return float('nan')"})
        assert math.isnan(session.call("f").value)


def test_subclasses_come_as_what_they_extend(local):
    source = """
import collections, enum
class Text(str):
    def __eq__(self, other): return True
    def __str__(self): return "other"
Colour = enum.IntEnum("Colour", "RED")
Pair = collections.namedtuple("Pair", "x y")
def f():
    mappings = collections.Counter("aa"), collections.OrderedDict(a=1)
    return [Text("text"), Colour.RED, Pair(1, 2), *mappings, bytearray(b"x")]
"""
    with local.session() as session:
        session.load({"main": source})
        value = session.call("f").value
    assert value == ["text", 1, (1, 2), {"a": 2}, {"a": 1}, b"x"]
    assert [type(item) for item in value] == [str, int, tuple, dict, dict, bytes]


def test_numpy_is_there_and_its_scalars_are_plain(box):
    with box.session() as session:
        session.load({"main": "import numpy\ndef f(): return [numpy.float64(1.5), numpy.int64(2), numpy.bool_(True)]"})
        if session.call("f").failure is None:  # a folder only root may enter hides it from a process of nobody's
            assert session.call("f").value == [1.5, 2, True]
        else:
            assert box.isolation == "landlock"


def test_modules_and_packages(box):
    files = {
        "main.py": "from shapes.area import square\nimport queue, helper\n"
        "def f(x): return square(x) + queue.ONE + helper.TWO",
        "shapes/__init__.py": "from . import area",
        "shapes/area.py": "from .sides import side\nclass Box:\n    @staticmethod\n    def volume(x): return x ** 3\n"
        "def square(x): return side(x) ** 2",
        "shapes/sides.py": "def side(x): return x",
        "queue": "ONE = 1",  # hides the standard library's
        "plain.helper": "",
        "helper": "import plain.helper\nTWO = 2",
    }
    with box.session() as session:
        assert session.load(files) == Outcome()
        assert session.call("f", [3]).value == 12
        assert session.call("shapes.area.square", [4]).value == 16
        assert session.call("shapes.area.Box.volume", [2]).value == 8
        assert session.call("nothing").exception == "AttributeError"


def test_the_library_can_be_imported(box):
    names = "asyncio, collections, ctypes, decimal, fractions, heapq, itertools, json, re, sqlite3, statistics, typing"
    assert run(box, f"import {names}\nprint(fractions.Fraction(1, 3))").value == "1/3\n"


def test_asyncio_and_threads_work(box):
    source = """
import asyncio, concurrent.futures, threading
async def double(x):
    await asyncio.sleep(0.01)
    return 2 * x
async def main():
    return await asyncio.gather(*map(double, range(3)))
print(asyncio.run(main()))
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(abs, range(-100, 0))))
threading.stack_size(256 * 1024 * 1024)
thread = threading.Thread(target=print, args=("deep",))
thread.start()
"""
    assert run(box, source) == Outcome("[0, 2, 4]\n5050\ndeep\n")


def test_own_signals_and_timers_work(box):
    source = """
import os, signal, time
signal.signal(signal.SIGALRM, lambda *_: print("rang"))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.1)
signal.signal(signal.SIGUSR1, lambda *_: print("self"))
os.kill(os.getpid(), signal.SIGUSR1)
signal.raise_signal(signal.SIGUSR1)
"""
    assert run(box, source) == Outcome("rang\nself\nself\n")


@pytest.mark.parametrize(
    ("source", "stdin", "value"),
    [
        ("print(sum(map(int, input().split())))", "1 2 3\n", "6\n"),
        ("import sys\nprint(sys.stdin.buffer.read().upper())", "ab\nc", "b'AB\\nC'\n"),
        ("import sys\nfor line in sys.stdin: print(line, end='')", "a\nb", "a\nb"),
        ("print(open(0).read())", "é", "é\n"),
        ("import os\nprint(os.read(0, 10))", "x", "b'x'\n"),
        ("import sys\nsys.stdout.buffer.write(b'\\xff')", "", "\ufffd"),
        ("import os\nos.write(1, b'raw')", "", "raw"),
        ("if __name__ == '__main__': print('main')", "", "main\n"),
        ("import atexit\natexit.register(print, 'last')\nprint('first')", "", "first\nlast\n"),
        ("import sys\nprint('x')\nsys.exit()", "", "x\n"),
        ("import os\nprint('x', flush=True)\nos._exit(0)", "", "x\n"),
        (
            "import sys\nsys.setrecursionlimit(10**6)\nf = lambda n: n and 1 + f(n - 1)\nprint(f(50_000))",
            "",
            "50000\n",
        ),
        ("def f(x: int): pass\nprint(f.__annotations__)", "", "{'x': <class 'int'>}\n"),
        ("import sys\nprint('x')\nsys.stdout.close()", "", "x\n"),
        ("import io, sys\nsys.stdout = io.TextIOWrapper(io.FileIO(1, 'w', closefd=False))\nprint('x')", "", "x\n"),
        ("try: input()\nexcept EOFError: print('end')", "", "end\n"),
        ("print('x')\nexit()\nprint('y')", "", "x\n"),
        ("print('x')\nquit(0)", "", "x\n"),
        ("print(__file__, callable(help))", "", "main.py True\n"),
        ("f = lambda n: n and 1 + f(n - 1)\nprint(f(996))", "", "996\n"),
        ("print('x' * 999_999)", "", "x" * 999_999 + "\n"),
    ],
)
def test_programs(local, source, stdin, value):
    assert run(local, source, stdin) == Outcome(value)


@pytest.mark.parametrize(
    ("source", "failure", "detail", "value"),
    [
        ("print('a')\n1 / 0", "exception", "ZeroDivisionError: division by zero", "a\n"),
        ("print('a')\nraise SystemExit(3)", "died", "exit code 3", "a\n"),
        ("import sys\nsys.exit('no')", "died", "exit code 1", ""),
        ("import os\nos._exit(7)", "died", "exit code 7", ""),
        ("def f(:", "exception", "SyntaxError: invalid syntax (main.py, line 1)", ""),
        ("import os\nos.abort()", "died", "killed by SIGABRT", ""),
        ("while True: print('x' * 1000)", "output", "more than 1000000 bytes of output", None),
        ("raise OSError('a\\n \\ud800')", "exception", r"OSError: a \ud800", ""),
        ("class E(Exception):\n    def __str__(self): raise E\nraise E", "exception", "E", ""),
        ("'x'.encode('é')", "exception", "LookupError: unknown encoding: é", ""),
    ],
)
def test_programs_that_fail(local, source, failure, detail, value):
    outcome = run(local, source)
    assert (outcome.failure, outcome.detail, outcome.value) == (failure, detail, value)


def test_processor_time_is_limited(box):
    outcome = run(box, "while True: pass", cpu_seconds=1, wall_seconds=60)
    assert (outcome.failure, outcome.detail) == ("timeout", "1 s of processor time used up")


def test_wall_time_is_limited(box):
    outcome = run(box, "import time\nprint('a', flush=True)\ntime.sleep(60)", wall_seconds=0.3)
    assert (outcome.failure, outcome.detail, outcome.value) == ("timeout", "no answer within 0.3 s", "a\n")


def test_memory_is_limited(box):
    with box.session(Limits(memory_bytes=200_000_000)) as session:
        assert session.load({"main": "def f(n): return len(bytes(n))"}).failure is None
        assert session.call("f", [10**9]).failure == "memory"
        assert session.call("f", [10**7]).value == 10**7  # it goes on


def test_a_dead_session_stays_dead(local):
    with local.session() as session:
        session.load({"main": "import os\ndef f(): os._exit(0)"})
        dead = session.call("f")
        assert (dead.failure, dead.detail) == ("died", "exit code 0")
        assert session.call("f") == session.load({"main": ""}) == session.run_program("") == dead
    assert local.session().load({"main": ""}).failure is None


def test_a_closed_session_says_so(local):
    with local.session() as session:
        pass
    session.close()
    assert session.load({"main": ""}) == Outcome(failure="fault", detail="the session is closed")


def test_proxies_ask_the_caller(box):
    asked = []

    def answer(name, args, kwargs):
        asked.append((name, args, kwargs))
        if args == ["bad"]:
            return Outcome(failure="exception", exception="KeyError", detail="KeyError: bad")
        if args == ["text"]:
            return Outcome(failure="exception", exception="UnicodeDecodeError", detail="UnicodeDecodeError: odd")
        if args == ["slow"]:
            return Outcome(failure="timeout", detail="no answer within 1 s")
        return Outcome((name, {1, 2}))

    source = """
from stats import mean
def good(): return candidate([1], key=None), mean(2)
def bad():
    try: candidate("bad")
    except KeyError as error: return str(error)
def slow(): candidate("slow")
def text(): candidate("text")
"""
    with box.session() as session:
        proxies = {"": ["candidate"], "stats": ["mean"]}
        assert session.load({"main": source}, proxies=proxies, on_call=answer) == Outcome()
        assert session.call("good").value == (("candidate", {1, 2}), ("stats.mean", {1, 2}))
        assert session.call("bad").value == "'bad'"
        assert session.call("text").detail == "RuntimeError: odd"
        assert session.call("slow").detail == "RuntimeError: no answer within 1 s"
    assert asked[:2] == [("candidate", [[1]], {"key": None}), ("stats.mean", [2], {})]


def test_time_in_proxies_does_not_count(local):
    import time

    def slow(name, args, kwargs):
        time.sleep(0.5)
        return Outcome(1)

    with local.session(Limits(wall_seconds=0.4)) as session:
        session.load({"main": "def f(): return candidate()"}, proxies={"": ["candidate"]})
        assert session.call("f", on_call=slow).value == 1


def test_what_a_proxy_cannot_carry_is_an_error_inside(local):
    with local.session() as session:
        session.load({"main": "def f(): return candidate(lambda: 0)"}, proxies={"": ["candidate"]}, on_call=print)
        assert session.call("f").detail.endswith("function is no plain value")


def test_the_same_code_does_the_same(box):
    source = "import random\nprint(random.random(), {'a', 'b', 'c'}, hash('x'))"
    assert run(box, source) == run(box, source)


def test_flags_of_a_file_are_no_note(box):
    """Two processes of a server share no open file, whose flags the next candidate would find as they were left."""
    source = (
        "import fcntl, os\n"
        "def read(): return [fcntl.fcntl(n, fcntl.F_GETFL) for n in (0, 1, 2)]\n"
        "def write(): return [fcntl.fcntl(n, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK) for n in (0, 1, 2)]\n"
    )
    found = []
    for function in ("read", "write", "read"):
        with box.session() as session:
            session.load({"main": source})
            found.append(session.call(function).value)
    assert found[0] == found[2]
    assert found[1] == [0, 0, 0]


def test_what_landlock_leaves_open():
    """Names and sizes can be seen, contents cannot: the documented weakness against bubblewrap."""
    source = "import os\nprint(os.path.exists('/etc/passwd'))\nopen('/etc/passwd')"
    for mode, seen in (("landlock", "True\n"), ("bubblewrap", "False\n")):
        box = Sandbox(mode, size=1)
        outcome = run(box, source)
        assert (outcome.value, outcome.failure) == (seen, "exception")
        box.close()


def test_limits_are_checked():
    with pytest.raises(SandboxError, match="wall_seconds is 0"):
        Limits(wall_seconds=0)


def test_sandboxes_pickle_and_are_shared():
    copy = pickle.loads(pickle.dumps(Sandbox("landlock", size=3)))
    assert (copy.isolation, copy.size) == ("landlock", 3)
    assert shared_sandbox("landlock") is shared_sandbox("landlock") is not shared_sandbox("unsafe_local")
