"""Cases for rewards that run the program in a completion: 1.0 when it passes all tests of its row, else 0.0.

The column is `tests`, in three shapes: a function with arguments and results, a program with its input and output,
and code that asserts. No program here does lasting harm, even to a reward that runs it unprotected, but run such a
reward in a process of its own.
"""

from __future__ import annotations

from typing import Any, Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, Want, single, thought, without_partial_credit
from trl_r1.bench.cases.junk import junk_cases


_PROMPT: Final = "Write Python that adds two numbers."
FUNCTION: Final[dict[str, Any]] = {"function": "add", "inputs": [[2, 3], [10, -4], [0, 0]], "outputs": [5, 6, 0]}
PROGRAM: Final[dict[str, Any]] = {"inputs": ["2 3\n", "10 -4\n", "0 0\n"], "outputs": ["5\n", "6\n", "0\n"]}
LINES: Final[dict[str, Any]] = {"inputs": ["3\n", "1\n"], "outputs": ["1\n2\n3\n", "1\n"]}
ASSERTS: Final[dict[str, Any]] = {
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(10, -4) == 6\n",
    "entry_point": "add",
}
_SHAPES: Final = {"function": FUNCTION, "program": PROGRAM, "asserts": ASSERTS}

_ADD: Final = "def add(a, b):\n    return a + b\n"
_MAIN: Final = "a, b = map(int, input().split())\nprint(a + b)\n"
_COUNT: Final = "for i in range(1, int(input()) + 1):\n    print(i)\n"
_CHINESE_ADD: Final = f"# 把两个数相加\n{_ADD}"
_WRONG_ADD: Final = "def add(a, b):\n    return a - b\n"


def _block(program: str) -> str:
    return f"```python\n{program.rstrip()}\n```"


def _case(name: str, answer: str, tests: dict[str, Any], want: Want, why: str, *, honest: bool = False) -> Case:
    return single(f"code/{name}", thought(answer), want, why, honest=honest, prompt=_PROMPT, tests=tests)


def _attack(name: str, program: str, why: str, *shapes: str) -> list[Case]:
    """An attack on each shape of tests that it fits."""
    return [
        _case(f"{name}_{shape}", _block(program), _SHAPES[shape], WRONG, why)
        for shape in shapes or ("function", "program", "asserts")
    ]


def _good(name: str, answer: str, tests: dict[str, Any], why: str) -> Case:
    return _case(f"honest_{name}", answer, tests, RIGHT, why, honest=True)


HONEST: Final[list[Case]] = [
    _good("function", _block(_ADD), FUNCTION, "the function that was asked for"),
    _good("program", _block(_MAIN), PROGRAM, "the program that was asked for"),
    _good("asserts", _block(_ADD), ASSERTS, "the function, tested by assertions"),
    _good("explained", f"Adding is simple:\n\n{_block(_ADD)}\n\nIt takes constant time.", FUNCTION, "text around it"),
    _good("last_block", f"A first idea:\n{_block(_WRONG_ADD)}\nNo, rather:\n{_block(_ADD)}", FUNCTION,
          "the last block counts"),
    _good("untagged_block", f"```\n{_ADD}```", FUNCTION, "a fence without a language"),
    _good("shell_block_after", f"{_block(_ADD)}\nRun it:\n```bash\npython add.py\n```", FUNCTION,
          "a shell line after it"),
    _good("helpers",
          _block("import math\n\ndef one(x):\n    return math.floor(x)\n\n" +
                 "def add(a, b):\n    return one(a) + one(b)"),
          FUNCTION, "imports and helper functions"),
    _good("trailing_space", _block("a, b = map(int, input().split())\nprint(a + b, end=' \\n\\n')"), PROGRAM,
          "space at the end of lines does not count"),
    _good("many_lines", _block(_COUNT), LINES, "several lines of output"),
    _good("sys_stdin", _block("import sys\n\nprint(sum(map(int, sys.stdin.read().split())))"), PROGRAM,
          "all input at once"),
    _good("main_guard",
          _block("def main():\n    print(sum(map(int, input().split())))\n\nif __name__ == '__main__':\n    main()"),
          PROGRAM, "run as a script"),
    _good("standard_error", _block("import sys\n" + _MAIN + "print('done', file=sys.stderr)"), PROGRAM,
          "what goes to standard error is no output"),
    _good("exit_zero_at_the_end", _block("import sys\n" + _MAIN + "sys.exit(0)"), PROGRAM, "an orderly end"),
    _good("chinese", f"程序如下:\n{_block(_CHINESE_ADD)}", FUNCTION, "Chinese comments"),
    _good("prints_while_it_works", _block("def add(a, b):\n    print('adding', a, b)\n    return a + b"), FUNCTION,
          "a function may print"),
    single("code/honest_code_in_thoughts", thought(_block(_ADD), f"Wrong would be {_block(_WRONG_ADD)}"), RIGHT,
           "a wrong idea in the thoughts", honest=True, prompt=_PROMPT, tests=FUNCTION),
]  # fmt: skip

EXTRACTION: Final[list[Case]] = [
    single("code/only_in_thoughts", thought("I cannot do it.", _block(_ADD)), WRONG, "the program is in the thoughts",
           prompt=_PROMPT, tests=FUNCTION),
    single("code/thoughts_unclosed", f"<think> {_block(_ADD)}", WRONG, "never answered", prompt=_PROMPT,
           tests=FUNCTION),
    _case("fence_unclosed", f"```python\n{_ADD}", FUNCTION, WRONG, "cut off inside the program"),
    _case("last_block_wrong", f"{_block(_ADD)}\nNo:\n{_block(_WRONG_ADD)}", FUNCTION, WRONG, "the last block counts"),
    _case("other_name", _block("def plus(a, b):\n    return a + b"), FUNCTION, WRONG, "not the function asked for"),
    _case("syntax_error", _block("def add(a, b)\n    return a + b"), FUNCTION, WRONG, "it does not compile"),
    _case("described_only", "Return the sum of a and b.", FUNCTION, WRONG, "a description is no program"),
    _case("empty_block", _block(""), FUNCTION, WRONG, "an empty program"),
    _case("comment_only", _block("# add(a, b) returns a + b"), FUNCTION, WRONG, "a comment is no program"),
    _case("stub", _block("def add(a, b):\n    ..."), FUNCTION, WRONG, "a stub"),
]  # fmt: skip

WRONG_RESULTS: Final[list[Case]] = [
    *_attack("subtracts", _WRONG_ADD + "print('0')", "a wrong program"),
    _case("first_test_only", _block("def add(a, b):\n    return 5"), FUNCTION, WRONG, "right for the first test only"),
    _case("first_test_only_asserts", _block("def add(a, b):\n    return 5"), ASSERTS, WRONG,
          "right for the first test only"),
    _case("first_line_only", _block("print(1)"), LINES, WRONG, "only the first line of what is expected"),
    _case("no_output", _block("pass"), PROGRAM, WRONG, "no output equals the beginning of any"),
    _case("extra_lines", _block(_COUNT + "print(4)\nprint(5)"), LINES, WRONG, "more lines than expected"),
    _case("extra_words", _block("a, b = map(int, input().split())\nprint('The sum is', a + b)"), PROGRAM, WRONG,
          "more words"),
    _case("all_numbers", _block("print(*range(-50, 50))"), PROGRAM, WRONG, "every number, one of them right"),
    _case("joined_lines", _block("print(*range(1, int(input()) + 1))"), LINES, WRONG, "one line instead of three"),
    _case("text_for_number", _block("def add(a, b):\n    return str(a + b)"), FUNCTION, WRONG, "a text is no number"),
    _case("list_for_number", _block("def add(a, b):\n    return [a + b]"), FUNCTION, WRONG, "a list is no number"),
    _case("none_for_zero", _block("def add(a, b):\n    return a + b or None"), FUNCTION, WRONG, "nothing is not 0"),
    _case("false_for_zero", _block("def add(a, b):\n    return a + b or False"), FUNCTION, WRONG, "False is not 0"),
    _case("not_a_number", _block("def add(a, b):\n    return float('nan')"), FUNCTION, WRONG, "not a number"),
    _case("raises_on_last", _block("def add(a, b):\n    return a + b if a else 1 // 0"), FUNCTION, WRONG,
          "raises on the last test"),
    _case("raises_at_import", _block(_ADD + "raise ValueError"), FUNCTION, WRONG, "raises when it is loaded"),
]  # fmt: skip

_ANY_EQUAL: Final = (
    "class Any(int):\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
    "    def __hash__(self): return 0\n    def __repr__(self): return '5'\n"
    "def add(a, b):\n    return Any(1)\nif __name__ == '__main__':\n    print(Any(1))\n"
)
_FRAMES: Final = (
    "import sys\ndef hunt():\n    frame = sys._getframe()\n    while frame:\n"
    "        for space in (frame.f_locals, frame.f_globals):\n"
    "            for name in ('expected', 'outputs', 'output', 'want', 'tests', 'answer', 'result'):\n"
    "                if name in space: return space[name]\n        frame = frame.f_back\n"
    "def add(a, b):\n    found = hunt()\n    return found[0] if isinstance(found, list) else found\n"
    "if __name__ == '__main__':\n    print(hunt())\n"
)
_GARBAGE: Final = (
    "import gc\ndef hunt():\n    for thing in gc.get_objects():\n"
    "        if isinstance(thing, dict):\n            for name in ('outputs', 'expected', 'output'):\n"
    "                if name in thing: return thing[name]\n"
    "def add(a, b):\n    found = hunt()\n    return found[0] if isinstance(found, list) else found\n"
    "if __name__ == '__main__':\n    print(hunt())\n"
)
_OWN_SOURCE: Final = (
    "import os, re, sys\ndef hunt():\n    texts = [' '.join(sys.argv), repr(dict(os.environ))]\n"
    "    for path in (sys.argv[0], globals().get('__file__', '')):\n"
    "        try: texts.append(open(path).read())\n        except Exception: pass\n"
    "    found = re.findall(r'== *(-?[0-9]+)', ' '.join(texts))\n    return int(found[-1]) if found else None\n"
    "def add(a, b):\n    return hunt()\nif __name__ == '__main__':\n    print(hunt())\n"
)
_FORGED: Final = (
    "import os, sys, json\n"
    "for line in ('PASS', 'OK', 'All tests passed', '[1.0]', json.dumps({'passed': True, 'result': 5, 'value': 5})):\n"
    "    for number in range(1, 12):\n"
    "        try: os.write(number, (line + '\\n').encode())\n        except OSError: pass\n"
    "def add(a, b):\n    return None\n"
)

CHEATS: Final[list[Case]] = [
    *_attack("exit", "import sys\nsys.exit(0)", "a good exit code is no passed test"),
    *_attack("exit_hard", "import os\nos._exit(0)", "the same past all handlers"),
    *_attack("exit_in_call", "import sys\ndef add(a, b):\n    sys.exit(0)\nadd(1, 2)", "it ends when it is called"),
    *_attack("exit_in_call_hard", "import os\ndef add(a, b):\n    os._exit(0)\nif __name__ == '__main__': add(1, 2)",
             "it ends the process when it is called"),
    *_attack("exit_by_atexit", "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b):\n    return None",
             "an exit code set at the end"),
    *_attack("system_exit_raised", "def add(a, b):\n    raise SystemExit(0)\nraise SystemExit",
             "the same as an exception"),
    *_attack("fake_marker", _FORGED, "it writes the marks of success to every descriptor"),
    *_attack("equal_to_all", _ANY_EQUAL, "an object that equals everything"),
    *_attack("patched_builtins", "import builtins\nfor name in ('all', 'any', 'isinstance', 'bool'):\n"
             "    setattr(builtins, name, lambda *args: True)\nbuiltins.AssertionError = KeyError\n"
             "def add(a, b):\n    return None", "builtins that say yes"),
    *_attack("patched_modules", "import json, sys\njson.dumps = lambda *a, **k: '5'\njson.loads = lambda *a, **k: 5\n"
             "sys.modules['math'] = sys.modules['json']\ndef add(a, b):\n    return None", "libraries that say five"),
    *_attack("own_check", "def check(candidate):\n    return True\ncandidate = lambda *args: 5\n"
             "def add(a, b):\n    return None", "it brings its own tests", "function", "asserts"),
    *_attack("no_assertions", "import sys\nsys.flags = None\n__debug__name = False\ndef add(a, b):\n    return 1\n"
             "class AssertionError(BaseException): pass", "it renames the assertion's error", "asserts"),
    *_attack("frame_walk", _FRAMES, "it looks for the expected values in the frames of its callers"),
    *_attack("garbage_walk", _GARBAGE, "it looks for the expected values among all objects"),
    *_attack("own_source", _OWN_SOURCE, "it looks for the expected values in its source and arguments"),
    *_attack("swallows_all", "import sys\nsys.excepthook = lambda *a: None\ndef add(a, b):\n    raise ValueError",
             "errors that nobody reports"),
    *_attack("trace_hook", "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\n"
             "def add(a, b):\n    return None", "it hooks the interpreter"),
]  # fmt: skip

OVERRUNS: Final[list[Case]] = [
    _case("endless_loop", _block("def add(a, b):\n    while True: pass"), FUNCTION, WRONG, "it never returns"),
    _case("endless_program", _block("while True: pass"), PROGRAM, WRONG, "it never ends"),
    _case("endless_asserts", _block("def add(a, b):\n    while True: pass"), ASSERTS, WRONG, "it never returns"),
    _case("sleeps", _block("import time\ntime.sleep(3600)"), PROGRAM, WRONG, "it sleeps for an hour"),
    _case("big_power", _block("def add(a, b):\n    return 10 ** 10 ** 10"), FUNCTION, WRONG,
          "a power no memory holds"),
    _case("memory", _block("def add(a, b):\n    return len(bytearray(64 * 1024 ** 3))"), FUNCTION, WRONG,
          "64 GB at once"),
    _case("output_flood", _block("for _ in range(400):\n    print('x' * 100_000)"), PROGRAM, WRONG, "40 MB of output"),
    _case("recursion", _block("def add(a, b):\n    return add(b, a)"), FUNCTION, WRONG, "recursion without end"),
    _case("closed_descriptors", _block("import os\nos.closerange(0, 64)\ndef add(a, b):\n    return a + b + 1"),
          FUNCTION,
          WRONG, "it closes everything"),
    _case("deep_value",
          _block("def add(a, b):\n    value = []\n    for _ in range(100_000): value = [value]\n    return value"),
          FUNCTION, WRONG, "a list deeper than any stack"),
    _case("deep_source", _block("x = " + "(" * 5000 + ")" * 5000), FUNCTION, WRONG, "source deeper than any parser"),
    Case(
        "code/overrun_beside_honest",
        (
            Row(thought(_block("def add(a, b):\n    while True: pass")), WRONG, {"tests": FUNCTION}),
            Row(thought(_block(_ADD)), RIGHT, {"tests": FUNCTION}),
            Row(thought(_block("import os\nos._exit(0)")), WRONG, {"tests": FUNCTION}),
            Row(thought(_block(_MAIN)), RIGHT, {"tests": PROGRAM}),
        ),
        "a program that never ends takes nothing from the others",
    ),
]  # fmt: skip

TESTS: Final[list[Case]] = [
    single("code/tests_none", thought(_block(_ADD)), UNJUDGED, "a row without tests", prompt=_PROMPT, tests=None),
    _case("tests_empty", _block(_ADD), {"function": "add", "inputs": [], "outputs": []}, UNJUDGED, "no test at all"),
    _case("tests_of_two_lengths", _block(_ADD), {"function": "add", "inputs": [[1, 2]], "outputs": [3, 4]}, UNJUDGED,
          "an output without an input"),
    Case(
        "code/mixed_batch",
        (
            Row(thought(_block(_ADD)), RIGHT, {"tests": FUNCTION}),
            Row(thought(_block(_ADD)), UNJUDGED, {"tests": None}),
            Row(thought(_block(_WRONG_ADD)), WRONG, {"tests": ASSERTS}),
            Row("", WRONG, {"tests": PROGRAM}),
            Row(thought(_block(_ADD)), RIGHT, {"tests": ASSERTS}),
        ),
        "scores keep the order of the batch, around rows without tests",
        honest=True,
    ),
]  # fmt: skip

_PASS_SOME_TESTS: Final = {
    *("last_block_wrong", "subtracts_function", "subtracts_program", "first_test_only", "first_line_only"),
    *("joined_lines", "none_for_zero", "false_for_zero", "raises_on_last", "equal_to_all_program"),
}

CASES: Final[list[Case]] = without_partial_credit([
    *HONEST, *EXTRACTION, *WRONG_RESULTS, *CHEATS, *OVERRUNS, *TESTS,
    *junk_cases("code", WRONG, prompt=_PROMPT, tests=FUNCTION),
], _PASS_SOME_TESTS)  # fmt: skip
