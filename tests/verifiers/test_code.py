"""What the code verifier makes of programs: right ones, wrong ones, and those that are hard to ask."""

import pickle
import threading
import time

import pytest

from trl_r1.errors import R1Error
from trl_r1.verifiers import CodeJudgement, Verdict, code, verify_code, verify_code_batch
from trl_r1.verifiers.sandbox import Limits, Outcome, SandboxError, Session


CORRECT, WRONG, UNDECIDABLE = Verdict.CORRECT, Verdict.WRONG, Verdict.UNDECIDABLE
ADD = {"function": "add", "inputs": [[1, 2], [3, 4], [-1, 1]], "outputs": [3, 7, 0]}
ONES = {"function": "f", "inputs": [[]], "outputs": [[True, [0, 1]]]}
SUM = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
TIGHT = Limits(cpu_seconds=1.0, wall_seconds=2.0, memory_bytes=256 * 1024**2, output_bytes=100_000)


def checks(body, name="f"):
    """HumanEval-style tests of a function."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return {"test": f"def check(candidate):\n{lines}", "entry_point": name}


RIGHT = [
    ("def add(a, b): return a + b", ADD),
    ("add = lambda a, b: a + b", ADD),
    ("class Solution:\n    def add(self, a, b):\n        return a + b", ADD),  # LeetCode
    ("class Solution:\n    def add(self, a, b) -> Optional[int]: return reduce(int.__add__, [a, b])", ADD),
    ("from __future__ import annotations\ndef add(a: int, b: int) -> int: return a + b", ADD),
    ("def add(a, b):\n    print('adding', a, b)\n    return a + b", ADD),  # its output is nobody's business
    ("def add(a, b): return a + b\nif __name__ == '__main__':\n    raise SystemExit", ADD),
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef add(a, b): return P(a).x + b", ADD),
    ("def add(a, b): return a + b", {"fn_name": "add", "inputs": [[1, 2]], "outputs": [[3]]}),
    ("def add(a, b): return [a + b]", {"fn_name": "add", "inputs": [[1, 2]], "outputs": [[3]]}),
    ("def f(x): return x or None", {"function": "f", "inputs": [[0], [1]], "outputs": [None, 1]}),
    ("import numpy as np\ndef add(*x): return np.sum(x)", ADD),  # NumPy's numbers
    ("import numpy as np\ndef f(): return np.ones(2).all(), list(np.arange(2))", ONES),
    ("def add(a, b):\n    if a + b == 0: exit()\n    return a + b", {**ADD, "inputs": [[1, 2]], "outputs": [3]}),
    ("def f(n): return n and 1 + f(n - 1)", {"function": "f", "inputs": [[990]], "outputs": [990]}),  # limit: 1000
    ("def f(): return (1, [2])", {"function": "f", "inputs": [[]], "outputs": [[1, [2]]]}),
    ("print(sum(map(int, input().split())))", SUM),
    ("import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit(0)", SUM),
    ("import sys\nsys.stdout.write(str(sum(int(x) for x in sys.stdin.readline().split())))", SUM),
    ("import sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.buffer.read().split())))", SUM),
    ("import os\nos.write(1, str(sum(map(int, os.read(0, 99).split()))).encode())\nos._exit(0)", SUM),
    ("def main():\n    print(sum(map(int, input().split())))\nif __name__ == '__main__':\n    main()", SUM),
    ("import sys\nprint('debug', file=sys.stderr)\nprint(sum(map(int, input().split())))", SUM),
    ("print('é 中')", {"inputs": [""], "outputs": ["é 中\n"]}),
    ("print(input())", {"inputs": ["é 中\n"], "outputs": ["é 中\n"]}),
]


@pytest.mark.parametrize(("program", "tests"), RIGHT)
def test_right_programs_pass(program, tests):
    judgement = verify_code(f"<think> x </think>\n```python\n{program}\n```", tests)
    assert judgement.verdict is CORRECT, judgement.reason
    assert judgement.passed == judgement.total
    assert judgement.first_failed is None


@pytest.mark.parametrize(
    ("program", "tests", "reason"),
    [
        ("def add(a, b): return a - b", ADD, "test 1 of 3: the returned value differs"),
        ("def add(a, b): return abs(a) + abs(b)", ADD, "test 3 of 3: the returned value differs"),
        ("def add(a, b): return str(a + b)", ADD, "test 1 of 3: the returned value differs"),
        ("def add(a, b): return a / 0", ADD, "test 1 of 3: ZeroDivisionError: division by zero"),
        ("def add(a): return a", ADD, "test 1 of 3: TypeError: add() takes 1 positional argument but 2 were given"),
        ("def sub(a, b): return a + b", ADD, "test 1 of 3: the program defines no function add"),
        ("add = 3", ADD, "test 1 of 3: the program defines no function add"),
        ("def add(a, b) return a", ADD, "test 1 of 3: SyntaxError: expected ':' (<program>, line 1)"),
        ("import nothing_there", ADD, "test 1 of 3: ModuleNotFoundError: No module named 'nothing_there'"),
        ("def add(a, b): yield a + b", ADD, "test 1 of 3: it returns an object of type iterator"),
        (
            "def add(a, b): return object()",
            ADD,
            "test 1 of 3: it returns an object of type object, which is no plain data",
        ),
        ("def add(a, b): return a if a > 1 else add(a, b)", ADD, "test 1 of 3: RecursionError: maximum recursion"),
        ("print(3)", SUM, "test 2 of 2: line 1 of the output differs"),
        ("print('3 7')", SUM, "test 1 of 2: line 1 of the output differs"),
        ("print(sum(map(int, input().split())), 0, sep='\\n')", SUM, "test 1 of 2: the output has too many lines"),
        ("print(sum(map(int, input().split())))\nraise SystemExit(1)", SUM, "test 1 of 2: exit code 1"),
        ("print(sum(map(int, input().split())))\n1 / 0", SUM, "test 1 of 2: ZeroDivisionError: division by zero"),
        ("print(input() + input())", SUM, "test 1 of 2: EOFError"),
        ("", SUM, "no answer after the thoughts"),
        ("I cannot solve this.", SUM, "test 1 of 2: SyntaxError"),
    ],
)
def test_wrong_programs_fail_with_a_reason(program, tests, reason):
    judgement = verify_code(program, tests)
    assert judgement.verdict is WRONG
    assert judgement.reason.startswith(reason)


# The assertions ask a program in another process: what they can do as if it were in theirs, and what not.

PROXIED = [
    ("def f(x): return x", "assert candidate(3) == 3 and candidate([1, (2, {3})]) == [1, (2, {3})]"),
    ("def f(x): return x", "assert candidate({'a': None, 2: b'x'}) == {'a': None, 2: b'x'} and candidate(1j) == 1j"),
    ("def f(x): return x", "assert candidate(10**40) == 10**40 and candidate('é') == 'é'"),
    ("def f(x): return 2**x", "assert candidate(20_000) == 2**20_000"),  # more digits than Python spells
    ("import numpy as np\ndef f(x): return np.bool_(x)", "assert candidate(1) is True"),
    ("def f(a, b=2, *c, d=4): return [a, b, c, d]", "assert candidate(1, d=5) == [1, 2, (), 5]"),
    ("def f(x): x.append(3)", "x = [1]\nassert candidate(x) is None\nassert x == [1, 3]"),
    ("def f(x): x.sort()", "x = [[2], [1]]\ncandidate(x)\nassert x == [[1], [2]]"),
    ("def f(x): x.sort(); return x", "x = [2, 1]\nassert candidate(x) == [1, 2]\nassert x == [2, 1]"),  # unseen
    ("def f(x): x[0][0] = 5", "inner = [1]\ncandidate([inner, 2])\nassert inner == [5]"),
    (
        "def f(x): x['k'].append(1); x['n'] = 2; del x['d']",
        "x = {'k': [], 'd': 0}\ncandidate(x)\nassert x == {'k': [1], 'n': 2}",
    ),
    ("def f(x): x.add(3)", "x = {1}\ncandidate(x)\nassert x == {1, 3}"),
    ("def f(x): x.clear()", "x = [1, 2]\ncandidate(x)\nassert x == []"),
    ("def f(x): return sorted(x)", "x = [2, 1]\nassert candidate(x) == [1, 2]\nassert x == [2, 1]"),
    ("def f(n): yield from range(n)", "assert list(candidate(3)) == [0, 1, 2]"),
    ("def f(n): yield from range(n)", "g = candidate(3)\nassert next(g) == 0 and sum(g) == 3"),
    ("def f(n):\n    while True:\n        yield n", "assert next(candidate(3)) == 3"),
    ("def f(n): return map(str, range(n))", "assert list(candidate(2)) == ['0', '1']"),
    ("def f(n): return range(n)", "assert candidate(3) == range(3) and len(candidate(10**12)) == 10**12"),
    ("def f(d): return d.keys()", "assert candidate({'a': 1}) == {'a'}"),
    ("def f(d): return d.items()", "assert sorted(candidate({'a': 1})) == [('a', 1)]"),
    ("def f(d): return d.values()", "assert list(candidate({'a': 1})) == [1]"),
    ("from collections import Counter\ndef f(x): return Counter(x)", "assert candidate('aab') == {'a': 2, 'b': 1}"),
    ("from collections import deque\ndef f(x): return deque(x)", "assert list(candidate('ab')) == ['a', 'b']"),
    (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return [P(1, 2)]",
        "assert candidate() == [(1, 2)]",
    ),
    ("from enum import IntEnum\nclass E(IntEnum):\n    A = 1\ndef f(): return E.A", "assert candidate() == 1"),
    ("def f(x): return [iter(x)]", "assert candidate('a')", "object of type str_ascii_iterator"),
    (
        "def f(x): raise ValueError('no')",
        "try:\n    candidate(1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no'",
    ),
    (
        "class E(KeyError): pass\ndef f(x): raise E(x)",
        "try:\n    candidate(1)\n    assert False\nexcept LookupError:\n    pass",
    ),
    ("def f(x): return b'\\xff'.decode()", "try:\n    candidate(1)\n    assert False\nexcept ValueError:\n    pass"),
    ("def f(x): return next(iter([]))", "try:\n    candidate(1)\n    assert False\nexcept StopIteration:\n    pass"),
    ("def f(x): return x + 1", "assert candidate(candidate(1)) == 3"),
    ("def f(x): return x + 1", "assert [candidate(i) for i in range(3)] == list(map(candidate, range(3)))"),
    ("def f(x): return (i for i in x)", "assert list(candidate(candidate(range(3)))) == [0, 1, 2]"),
    (
        "state = []\ndef f(x):\n    state.append(x)\n    return len(state)",
        "assert [candidate(0), candidate(0)] == [1, 2]",
    ),
    ("import random\ndef f(): return 0 <= random.random() < 1", "assert candidate()"),
]


@pytest.mark.parametrize("case", PROXIED)
def test_assertions_see_a_local_function(case):
    program, body, *refused = case
    judgement = verify_code(program, checks(body))
    if refused:
        assert judgement.verdict is WRONG
        assert refused[0].split("_")[0] in judgement.reason
    else:
        assert judgement.verdict is CORRECT, judgement.reason


@pytest.mark.parametrize(
    ("program", "body", "reason"),
    [
        ("def f(x): return x + 2", "assert candidate(1) == 2", "an assertion fails"),
        ("def f(x): return x + 2", "assert candidate(1) == 2, 'expected 7919'", "an assertion fails"),
        ("def f(x): pass", "assert len(candidate(1)) == 7919", "the test cannot use its result (TypeError)"),
        ("def f(x): return {}", "assert candidate(1)[7919]", "the test cannot use its result (KeyError)"),
        ("def f(x): raise ValueError('bad')", "assert candidate(1) == 2", "ValueError: bad"),
        (
            "def f(x): pass",
            "try:\n    candidate(1)\n    assert False\nexcept ValueError:\n    pass",
            "an assertion fails",
        ),
        ("def f(x): x = sorted(x)", "x = [2, 1]\ncandidate(x)\nassert x == [1, 2]", "an assertion fails"),
        ("def f(x): x.sort()", "x = [2, 1]\ncandidate(x)\nassert x == [2, 1]", "an assertion fails"),
        ("def f(x): x.clear(); return []", "x = [2, 1]\nassert candidate(x) == sorted(x)", "an assertion fails"),
        ("def f(n): yield from range(n)", "assert candidate(3) == [0, 1, 2]", "an assertion fails"),
        ("def f(): return {1: 'x'}", "assert candidate() == {'1': 'x'}", "an assertion fails"),
        ("def g(x): return x", "assert candidate(1) == 1", "the program defines no function f"),
        (
            "def f(x): return lambda: x",
            "assert candidate(1)() == 1",
            "an object of type function, which is no plain data",
        ),
    ],
)
def test_assertions_that_fail(program, body, reason):
    judgement = verify_code(program, checks(body))
    assert judgement.verdict is WRONG
    assert "7919" not in judgement.reason
    assert reason in judgement.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "assert candidate([len]) == 0",
            "f is called with a builtin_function_or_method, which cannot leave its process",
        ),
        ("try:\n    candidate(open)\nexcept Exception:\n    pass", "which cannot leave its process"),
        (
            "from collections import Counter\nassert candidate(Counter('a'))",
            "f is called with a Counter, which cannot",
        ),
        ("assert candidate(1)\nassert candidate('x' * 2_000_000)", "arguments of trl_r1_ask are too large"),
        ("assert len(3) or candidate(1)", "the tests do not test it: TypeError"),
        ("assert True", "they never call the program"),
    ],
)
def test_tests_that_cannot_judge_are_nobodys_fault(body, reason):
    for program in ("def f(x): return x", "def f(x): return 1"):
        judgement = verify_code(program, checks(body))
        assert judgement.verdict is UNDECIDABLE
        assert reason in judgement.reason


def test_broken_setup_is_the_tests_fault():
    tests = {"test_list": ["assert f(1) == 1"], "test_setup_code": "raise OSError('no file')"}
    judgement = verify_code("def f(x): return x", tests)
    assert judgement.verdict is UNDECIDABLE
    assert judgement.reason == "test 1 of 1: the tests do not start: OSError: no file"


def test_helpers_come_from_the_prompt_and_not_from_the_program():
    prompt = "def helper(x):\n    return x + 1\n\n\ndef f(x):\n    '''Undo helper.'''\n"
    tests = checks("assert candidate(helper(1)) == 1") | {"prompt": prompt}
    assert verify_code("def f(x): return x - 1", tests).verdict is CORRECT
    assert verify_code("def f(x): return helper(x) - 2", tests).verdict is CORRECT
    assert verify_code("def helper(x): return x\ndef f(x): return x", tests).verdict is WRONG
    assert verify_code("    return x - 1\n", tests).verdict is CORRECT  # the prompt continued, as base models do


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("return x - 1", CORRECT),
        ("y = x\n    for _ in range(1):\n        y -= 1\n    return y", CORRECT),
        ("return f(x - 1) if x > 9 else x - 1  # f = itself", CORRECT),
        ("return x", WRONG),
        ("f = lambda x: x - 1", CORRECT),
        ("g, f = 1, lambda x: x - 1", CORRECT),
        ("def f(x): return x - 1", CORRECT),
        ("from operator import neg as f", WRONG),
        ("Subtract one.", WRONG),
        ("```python\nreturn x - 1\n```", WRONG),  # a block is shown as its writer means it
    ],
)
def test_a_continued_prompt_may_have_lost_its_first_indent(answer, verdict):
    prompt = "def f(x):\n    '''Undo an addition of one.'''\n"
    tests = checks("assert candidate(3) == 2") | {"prompt": prompt}
    assert verify_code(answer, tests).verdict is verdict


def test_each_assertion_of_a_list_is_a_test():
    tests = {"test_list": ["assert f(1) == 1", "assert f(2) == 4", "assert f(3) == 9"]}
    judgement = verify_code("def f(x): return x * x", tests)
    assert (judgement.verdict, judgement.passed, judgement.total) == (CORRECT, 3, 3)
    judgement = verify_code("def f(x): return x if x < 3 else 9", tests, run_all=True)
    assert (judgement.verdict, judgement.passed, judgement.first_failed, judgement.share) == (WRONG, 2, 1, 2 / 3)
    judgement = verify_code("def f(x): return x if x < 3 else 9", tests)
    assert (judgement.verdict, judgement.passed, judgement.total) == (WRONG, 1, 3)


# Overruns

FORGIVING = checks("try:\n    candidate(1)\nexcept BaseException:\n    pass")
CALLED = {"function": "f", "inputs": [[1]], "outputs": [1]}
OVERRUNS = [
    ("while True: pass", "timeout", SUM),
    ("9 ** 9 ** 9", "timeout", FORGIVING),  # one long operation, which no signal handler of Python's interrupts
    *(("import time; time.sleep(99)", "timeout", tests) for tests in (SUM, CALLED, FORGIVING)),
    *(("x = bytearray(10**9)", "memory", tests) for tests in (SUM, CALLED, FORGIVING)),
    ("print('a' * 50_000_000, flush=True)", "output", SUM),
    *(("return 'a' * 50_000_000", "output", tests) for tests in (CALLED, FORGIVING)),
]


@pytest.mark.parametrize(("statement", "kind", "tests"), OVERRUNS)
def test_an_overrun_is_wrong_with_its_reason(statement, kind, tests):
    program = statement if tests is SUM else f"def f(x):\n    {statement}\n    return x"
    judgement = verify_code(program, tests, limits=TIGHT)
    assert (judgement.verdict, judgement.decided_by) == (WRONG, "overrun")
    assert kind in judgement.reason


def test_a_crash_is_wrong():
    crash = "import sys; sys.setrecursionlimit(10**9)\n    def g(): g()\n    g()"
    for statement in ("import os; os.kill(os.getpid(), 11)", crash):
        judgement = verify_code(f"def f(x):\n    {statement}", FORGIVING, limits=TIGHT)
        assert judgement.verdict is WRONG, judgement.reason


def test_a_result_that_is_too_much_for_the_test_is_the_programs_overrun():
    judgement = verify_code(
        "def f(): return range(10**15)", checks("assert sum(1 for x in candidate()) == 3"), limits=TIGHT
    )
    assert (judgement.verdict, judgement.decided_by) == (WRONG, "overrun")
    assert judgement.reason.startswith("test 1 of 1: its results are too much for the test: ")


def test_slow_calls_do_not_share_one_budget():
    loop = "    stop = time.process_time() + 0.4\n    while time.process_time() < stop: pass\n"
    program = f"import time\ndef f(x):\n{loop}    return x"
    tests = {"function": "f", "inputs": [[i] for i in range(5)], "outputs": list(range(5))}
    assert verify_code(program, tests, limits=Limits(cpu_seconds=1.0)).verdict is CORRECT


def test_after_an_overrun_the_other_tests_still_run():
    program = "def f(x):\n    while x == 1: pass\n    return x"
    tests = {"function": "f", "inputs": [[0], [1], [2]], "outputs": [0, 1, 2]}
    judgement = verify_code(program, tests, limits=TIGHT, run_all=True)
    assert (judgement.verdict, judgement.passed, judgement.first_failed) == (WRONG, 2, 1)
    asserted = {"test_list": [f"assert f({x}) == {x}" for x in range(3)]}
    assert verify_code(program, asserted, limits=TIGHT, run_all=True).passed == 2


def test_after_a_second_overrun_no_other_test_runs():
    """Sleeping in every test would use up the time of the whole batch, and leave everybody without a verdict."""
    program = "import time\nx = int(input())\nif x: time.sleep(99)\nprint(x)"
    tests = {"inputs": ["0", "1", "2", "3", "0"], "outputs": ["0", "1", "2", "3", "0"]}
    judgement = verify_code(program, tests, run_all=True, limits=Limits(wall_seconds=1))
    assert (judgement.verdict, judgement.passed, judgement.total, judgement.share) == (WRONG, 1, 5, 0.2)


def test_all_tests_together_have_a_limit(monkeypatch):
    monkeypatch.setattr("trl_r1.verifiers.code_running.PROGRAM_SECONDS", 0.5)
    tests = {"function": "f", "inputs": [[0]] * 20, "outputs": [0] * 20}
    program = "import time\ndef f(x):\n    time.sleep(0.2)\n    return x"
    for source in (tests, {"test_list": ["assert [f(0) for _ in range(20)] == [0] * 20"]}):
        judgement = verify_code(program, source)
        assert (judgement.verdict, judgement.decided_by) == (WRONG, "overrun")
        assert "take longer than 0.5 s together" in judgement.reason


# Batches, cache, faults


def test_a_batch_keeps_order_and_runs_equal_programs_once():
    programs = ["def add(a, b): return a + b", "def add(a, b): return a - b", "no", "def add(a, b): return a + b"]
    judgements = verify_code_batch([(program, ADD) for program in programs])
    assert [judgement.reward for judgement in judgements] == [1.0, 0.0, 0.0, 1.0]
    assert judgements[0] is judgements[3]
    assert verify_code_batch([]) == []


def test_judgements_are_remembered_but_for_overruns_and_settings(monkeypatch):
    program = "def add(a, b): return a + b + 0.001"
    first = verify_code(program, ADD)
    again = verify_code(program, dict(ADD))
    assert (first.cached, again.cached, again) == (False, True, first)
    assert verify_code(program, ADD, tolerance=0.1).verdict is CORRECT
    assert not verify_code(program, ADD, run_all=True).cached
    assert verify_code(program, ADD | {"outputs": [3.001, 7.001, 0.001]}).verdict is CORRECT
    slow = "while True: pass"
    assert not any(verify_code(slow, SUM, limits=TIGHT).cached for _ in range(2))


def test_tests_that_json_would_confuse_are_told_apart():
    program = "def f(x): return [x]"
    for expected, verdict in (([1], CORRECT), ((1,), WRONG), ([1.0], CORRECT), ([True], WRONG), (["1"], WRONG)):
        assert verify_code(program, {"function": "f", "inputs": [[1]], "outputs": [expected]}).verdict is verdict
    program = "def f(): return {1: 'x'}"
    for expected, verdict in (
        ({1: "x"}, CORRECT),
        ({"1": "x"}, CORRECT),
        ({2: "x"}, WRONG),
        ({1: "x", "y": 2}, WRONG),
    ):
        assert verify_code(program, {"function": "f", "inputs": [[]], "outputs": [expected]}).verdict is verdict


def test_a_fault_in_one_test_leaves_the_share_unknown(monkeypatch):
    results = [code.Result(True), code.Result(False, "differs"), code.Result(None, "server gone", "fault")]
    monkeypatch.setattr(code, "run_tests", lambda *args: (result for result in results))
    judgement = verify_code("def add(a, b): return 'share'", ADD, run_all=True)
    assert (judgement.verdict, judgement.share) == (UNDECIDABLE, None)
    assert verify_code("def add(a, b): return 'share'", ADD).verdict is WRONG


def test_it_works_from_other_threads():
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(verify_code(f"def add(a, b): return a + b + {n} * 0", ADD)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [judgement.verdict for judgement in found] == [CORRECT] * 4


def test_a_batch_ends_at_its_deadline():
    pairs = [
        (f"import time; time.sleep(1.5); print({n})", {"inputs": [""] * 3, "outputs": [f"{n}"] * 3}) for n in range(8)
    ]
    started = time.monotonic()
    judgements = verify_code_batch(pairs, deadline=1.0)
    assert (
        time.monotonic() - started < 12
    )  # the tests under way end, no other is begun; 12 s of sleep otherwise times 3
    assert {judgement.verdict for judgement in judgements} == {UNDECIDABLE}
    assert "not run before the deadline of the batch" in judgements[-1].reason


def test_unusable_tests_are_undecidable_whatever_the_program():
    judgement = verify_code("def add(a, b): return a + b", {"inputs": []})
    assert (judgement.verdict, judgement.decided_by, judgement.reward, judgement.share) == (
        UNDECIDABLE,
        "fault",
        None,
        None,
    )
    assert judgement.reason == "tests: there are none"


def test_tests_of_huge_integers_are_undecidable():
    tests = {"function": "f", "inputs": [[1]], "outputs": [10**5000]}
    judgement = verify_code("def f(x): return 10 ** 5000", tests)
    assert (judgement.verdict, judgement.decided_by) == (UNDECIDABLE, "fault")


@pytest.mark.parametrize("tests", [ADD, SUM, checks("assert candidate(1, 2)", "add")])
def test_a_fault_of_the_sandbox_is_nobodys_reward(tests, monkeypatch):
    code.check_sandbox("auto")
    fault = Outcome(failure="fault", detail="server gone twice")
    with monkeypatch.context() as patch:
        for method in ("load", "call", "run_program"):
            patch.setattr(Session, method, lambda *args, **kwargs: fault)
        judgement = verify_code("def add(a, b): return 'fault'", tests)
        assert judgement.verdict is UNDECIDABLE
        assert "server gone twice" in judgement.reason
    for error in (SandboxError("no more"), OSError("too many open files")):

        def fail(*args, error=error, **kwargs):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("trl_r1.verifiers.sandbox.Sandbox.session", fail)
            judgement = verify_code("def add(a, b): return 'error'", tests)
            assert judgement.verdict is UNDECIDABLE
            assert str(error) in judgement.reason
    assert verify_code("def add(a, b): return 'fault'", tests).decided_by == "tests"  # faults are not remembered


def test_no_isolation_is_an_error_before_anything_runs(monkeypatch):
    def refuse(*args, **kwargs):
        raise SandboxError("isolation: none works here; install it with `pip install trl_r1[code]`")

    monkeypatch.setattr("trl_r1.verifiers.sandbox.Sandbox.session", refuse)
    code.check_sandbox.cache_clear()
    with pytest.raises(R1Error, match="pip install"):
        verify_code("def add(a, b): return a", ADD)
    code.check_sandbox.cache_clear()


def test_judgements_pickle():
    judgement = CodeJudgement(WRONG, "test 2 of 2: it differs", "tests", passed=1, total=2, first_failed=1)
    assert pickle.loads(pickle.dumps(judgement)) == judgement
    assert (judgement.reward, judgement.share) == (0.0, 0.5)
