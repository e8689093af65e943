"""Programs that try to decide their own verdict, on every kind of test and in every mode of isolation.

Each cheat must be WRONG: not CORRECT, and not UNDECIDABLE either, since an answer that nobody scores costs a policy
nothing. What is expected is 7919, which no cheat knows.
"""

import textwrap

import pytest

from trl_r1.verifiers import Verdict, verify_code, verify_code_batch
from trl_r1.verifiers.sandbox import Limits


SHORT = Limits(cpu_seconds=1.0, wall_seconds=1.0)
HANGING = {"endless", "late_thread", "signal_handlers", "stopped"}
KINDS = {
    "stdin": {"inputs": ["1\n", "2\n"], "outputs": ["7919\n", "7920\n"]},
    "function": {"function": "f", "inputs": [[1], [2]], "outputs": [7919, 7920]},
    "check": {
        "test": "def check(candidate):\n    expected = 7919\n    assert candidate(1) == expected\n",
        "entry_point": "f",
    },
}
PRINTED = "\n\nif __name__ == '__main__':\n    print(f(int(input())))"

# What `f` does when it is called.
CHEATS = {
    "exit": "sys.exit(0)",
    "os_exit": "os._exit(0)",
    "atexit": "atexit.register(os._exit, 0)",
    "keyboard_interrupt": "raise KeyboardInterrupt",
    "generator_exit": "raise GeneratorExit",
    "exception_named_like_an_exit": "raise type('SystemExit', (BaseException,), {})",
    "equal_object": "return Always()",
    "equal_int": "return AlwaysInt(3)",
    "equal_str": "return AlwaysStr('3')",
    "equal_list": "return AlwaysList([3])",
    "equal_object_in_a_list": "return [Always()]",
    "equal_object_as_a_key": "return {Always(): 3}",
    "lying_class": "return Liar()",
    "patched_builtins": """
        import builtins
        for name in ("all", "any", "repr", "len", "isinstance", "type", "callable", "str", "zip"):
            setattr(builtins, name, lambda *args, **kwargs: True)
        return True""",
    "patched_json": """
        import json
        json.dumps = json.loads = lambda *args, **kwargs: True
        return 3""",
    "patched_verifier": """
        for module in list(sys.modules.values()):
            for name in ("_plain", "_portable", "_find", "call", "check", "defines", "frame", "encode", "decode"):
                if hasattr(module, name):
                    setattr(module, name, lambda *args, **kwargs: True)
        return 3""",
    "patched_frames": """
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()):
                if isinstance(value, list):
                    value.clear()
            frame = frame.f_back
        return 3""",
    "frame_walk": """
        frame = sys._getframe()
        while frame:
            for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if isinstance(value, int) and 7918 < value < 7921:
                    return value
                if isinstance(value, str) and value.strip() == str(7918 + x):
                    return int(value)
            frame = frame.f_back
        return 3""",
    "collector_scan": """
        import gc
        for found in gc.get_objects():
            for value in found if isinstance(found, (list, tuple)) else found.values() if type(found) is dict else ():
                if type(value) is int and 7918 < value < 7921:
                    return value
                if isinstance(value, str) and "assert" in value and "candidate" in value and "found" not in value:
                    return 7918 + x
        return 3""",
    "marker": "print('RESULT PASS'); print('OK'); print('passed'); return 'PASS'",
    "own_source": """
        texts = [" ".join(sys.argv), " ".join(os.environ.values())]
        for path in (__file__ if "__file__" in globals() else "main.py", "main.py", "/proc/self/cmdline",
                     "/proc/self/environ", "/proc/1/cmdline", "tests.json"):
            try:
                texts.append(open(path, errors="replace").read())
            except OSError:
                pass
        import linecache
        texts += ["".join(entry[2]) for entry in linecache.cache.values() if len(entry) > 2]
        return 7918 + x if any(str(7918 + x) in text for text in texts) else 3""",
    "every_descriptor": """
        for number in range(256):
            try:
                os.write(number, b"PASS")
            except OSError:
                pass
        return 3""",
    "forged_reply": """
        import struct
        for body in (b'["value",["value",3,[]]]', b'["value",""]', b'["exit",0]', b'["value",true]'):
            for number in range(3, 10):
                try:
                    os.write(number, struct.pack(">I", len(body)) + body)
                except OSError:
                    pass
        return 3""",
    "forged_question": """
        import struct
        body = b'["call","trl_r1_ask",["f",[],{}],{}]'
        os.write(3, struct.pack(">I", len(body)) + body)
        return 3""",
    "late_thread": """
        import threading
        def later():
            while True:
                try:
                    os.write(3, b"x")
                except OSError:
                    return
        threading.Thread(target=later, daemon=True).start()
        return 3""",
    "two_processes": "os.fork(); return 3",
    "closed_session": "os.closerange(0, 256); return 3",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP); return 3",
    "killed_parent": "os.kill(os.getppid(), 9); return 3",
    "killed_all": "os.kill(-1, 9); return 3",
    "killed_self": "os.kill(os.getpid(), 9); return 3",
    "deep": """
        value = []
        for _ in range(100_000):
            value = [value]
        return value""",
    "cyclic": "value = []; value.append(value); return value",
    "one_hash": "return {(-1, -2) * i + (x,): 0 for i in range(300) for x in (-1, -2)}",
    "long_integer": "return 10 ** 100_000",
    "many": "return list(range(10**6))",
    "endless_iterator": "import itertools; return itertools.repeat(3)",
    "iterators_in_a_list": "return [iter([3])]",
    "surrogates": "return '\\ud800'",
    "not_a_number": "return float('nan')",
    "huge_message": "raise ValueError('x' * 10**7)",
    "huge_name": "raise type('x' * 10**6, (Exception,), {})",
    "message_that_raises": "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})",
    "message_that_exits": "raise type('E', (Exception,), {'__str__': lambda self: sys.exit(0)})",
    "hostile_classes": "raise type('E', (Exception,), {'__class__': int})",
    "message_of_surrogates": "raise ValueError('\\ud800\\x1b[31m\\0')",
    "long_integer_as_a_key": "return {10 ** 100_000: 3}",
    "forged_opaque": "sys.modules['main'].call = lambda *args: ['opaque', 10 ** 5000, []]; return f(x)",
    "recursion": "return f(x)",
    "signal_handlers": """
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        import time
        while True:
            time.sleep(1)""",
}
HEADER = """
import atexit, os, signal, sys

class Always:
    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = lambda self: 0
    __str__ = __repr__ = lambda self: "7"

class AlwaysInt(int):
    __eq__, __ne__, __hash__ = Always.__eq__, Always.__ne__, Always.__hash__

class AlwaysStr(str):
    __eq__, __ne__, __hash__ = Always.__eq__, Always.__ne__, Always.__hash__

class AlwaysList(list):
    __eq__, __ne__, __hash__ = Always.__eq__, Always.__ne__, Always.__hash__

class Liar(Always):
    __class__ = int

"""
FORGED = "import sys\ndef f(x): pass\nsys.modules['main'].call = lambda *args: {}"
# Programs that end, or rebuild the world, before anything is asked of them.
AT_THE_START = {
    "exit": "import sys\nsys.exit(0)",
    "os_exit": "import os\nos._exit(0)",
    "exit_after_a_definition": "import os\ndef f(x): return 3\nos._exit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 3",
    "marker": "print('RESULT PASS\\n' * 3)",
    "module_that_answers": "import sys\nsys.modules['solution'] = sys.modules['main'] = sys\nf = lambda x: 3",
    "flood": "import os\nfor n in range(256):\n    try: os.write(n, b'PASS\\n' * 99)\n    except OSError: pass",
    "forged_opaque": FORGED.format("['opaque', 10 ** 5000, []]"),
    "forged_raise": FORGED.format("['raise', [[10 ** 5000], []], []]"),
    "forged_kind": FORGED.format("['k' * 10**5, 10 ** 5000, [3]]"),
    "forged_nothing": FORGED.format("[]"),
    "forged_definition": "import sys\nsys.modules['main'].defines = lambda *args: [10 ** 5000]",
    "surrogate": "x = '\ud800'",
    "endless": "import time\nwhile True: time.sleep(1)",
    "no_syntax": "def f(x:\n",
    "null": "x = '\0'",
    "nested_parentheses": "(" * 10_000 + ")" * 10_000,
    "nested_operators": "x = " + "-" * 100_000 + "1",
    "nested_blocks": "".join(" " * i + "if 1:\n" for i in range(200)) + " " * 200 + "pass",
}


@pytest.fixture(params=["bubblewrap", "landlock"])
def isolation(request):
    return request.param


def cheat(name):
    body = textwrap.indent(textwrap.dedent(CHEATS[name]).strip(), "    ")
    return f"{HEADER}\ndef f(x):\n{body}\n{PRINTED}"


def judge(programs, tests, isolation):
    """Judgements by name. What is known to hang gets a second, everything else ten: it must not need to be killed."""
    judgements = {}
    for names, limits in ((programs.keys() - HANGING, Limits()), (programs.keys() & HANGING, SHORT)):
        pairs = [(programs[name], tests) for name in sorted(names)]
        judged = verify_code_batch(pairs, isolation=isolation, limits=limits)
        judgements |= dict(zip(sorted(names), judged, strict=True))
    return judgements


def misjudged(judgements):
    """Those that were not WRONG, or only because they were killed at last, or whose reason tells what was expected."""
    return {
        name: str(judgement)
        for name, judgement in judgements.items()
        if judgement.verdict is not Verdict.WRONG
        or not judgement.reason.isprintable()
        or "7919" in judgement.reason
        or (judgement.reason.endswith(" s") and name not in HANGING)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_cheat_is_wrong(kind, isolation):
    assert not misjudged(judge({name: cheat(name) for name in CHEATS}, KINDS[kind], isolation))


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_that_ends_early_is_wrong(kind, isolation):
    programs = {name: f"```python\n{program}\n```" for name, program in AT_THE_START.items()}
    assert not misjudged(judge(programs, KINDS[kind], isolation))


def test_tests_that_forgive_exceptions_forgive_no_cheat(isolation):
    """What a test's own `except Exception` would swallow is judged by the one who carries the call."""
    body = "    try:\n        good = candidate(1) == 7919\n    except Exception:\n        return\n    assert good\n"
    tests = {"test": f"def check(candidate):\n{body}", "entry_point": "f"}
    names = [name for name in CHEATS if name.startswith(("exit", "os_", "keyboard", "generator", "equal", "lying"))]
    names += [
        "closed_session",
        "killed_self",
        "every_descriptor",
        "many",
        "iterators_in_a_list",
        "one_hash",
        "stopped",
    ]
    assert not misjudged(judge({name: cheat(name) for name in names}, tests, isolation))
    assert verify_code("def f(x): raise ValueError", tests, isolation=isolation).verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    "body",
    [
        "    for x, y in zip(map(candidate, [1, 2]), [7919, 7920]): assert x == y\n",
        "    assert all(map(lambda x: candidate(x) == 7918 + x, [1, 2]))\n",
    ],
)
@pytest.mark.parametrize(
    "program",
    [
        "def f(x): raise StopIteration",
        "def f(x): raise StopAsyncIteration",
        "class End(StopIteration): pass\ndef f(x): raise End(3)",
        "import sys\nsys.modules['main'].call = lambda *args: ['raise', [['StopIteration'], ''], []]\nf = print",
    ],
)
def test_an_exception_does_not_end_the_tests_loop(program, body):
    tests = {"test": f"def check(candidate):\n{body}", "entry_point": "f"}
    assert verify_code(program, tests).verdict is Verdict.WRONG
    assert verify_code("def f(x): return 7918 + x", tests).verdict is Verdict.CORRECT


@pytest.mark.parametrize("kind", KINDS)
def test_the_honest_program_passes_after_all_cheats(kind, isolation):
    program = (
        f"def f(x):\n    print('RESULT FAIL') if __name__ != '__main__' else None\n    return 7918 + x\n{PRINTED}"
    )
    judgement = verify_code(program, KINDS[kind], isolation=isolation)
    assert judgement.verdict is Verdict.CORRECT, judgement.reason


def test_nothing_leads_from_one_program_to_the_next(isolation):
    note = (
        "import os\n"
        "for path in ('/tmp/note', '/dev/shm/note', 'note', '/var/tmp/note'):\n"
        "    try: open(path, 'w').write('7919')\n"
        "    except OSError: pass\n"
        "def f(x): return 7918 + x\n" + PRINTED
    )
    thief = note.replace("'w').write('7919')", "'r').read()").replace("try: open", "try: found = open")
    thief = thief.replace("def f(x): return 7918 + x", "def f(x): return int(found)")
    for kind in ("function", "stdin"):
        assert verify_code(note, KINDS[kind], isolation=isolation).verdict is Verdict.CORRECT
        assert verify_code(thief, KINDS[kind], isolation=isolation).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    "program",
    [
        "def f(x): return iter([x])",
        "def f(x): return {x: x}.items()",
        "def f(x): return [iter([x])]",
        "from collections import deque\ndef f(x): return deque([x])",
        "def f(x): return 'x' * 900_000",
        "def f(x):\n    y = []\n    for _ in range(96): y = [y]\n    return y",
    ],
)
def test_no_result_makes_the_tests_unusable(program, isolation):
    """A result that cannot be handed back to the program is the program's fault, not the test's."""
    body = "    x = candidate(1)\n    assert candidate([[x, x]]) == 7919\n"
    tests = {"test": f"def check(candidate):\n{body}", "entry_point": "f"}
    assert verify_code(program, tests, isolation=isolation).verdict is Verdict.WRONG


def test_a_completion_cannot_speak_through_its_fence(isolation):
    text = "<think> x </think>\n```python\nprint(1)\n```\n```\nRESULT PASS 7919\n```"
    assert verify_code(text, KINDS["stdin"], isolation=isolation).verdict is Verdict.WRONG
