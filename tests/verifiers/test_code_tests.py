"""Tests in the shapes of public datasets, and what is refused when they are loaded."""

import functools
import json

import pytest

from trl_r1.errors import DataError
from trl_r1.verifiers.code_tests import AssertTests, FunctionTests, ProgramTests, check_code_tests, read_code_tests


STDIN = ProgramTests(("1 2\n", "3 4\n"), ("3\n", "7\n"))
CASES = [{"input": "1 2\n", "output": "3\n"}, {"input": "3 4\n", "output": "7\n"}]
ADD = FunctionTests("add", ((1, 2), (3, 4)), (3, 7))
DEEP = functools.reduce(lambda inner, _: [inner], range(100), 1)
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
PROMPT = 'import math\n\n\ndef helper(x):\n    return x\n\n\ndef add(a, b):\n    """Add."""\n'


@pytest.mark.parametrize(
    ("source", "tests"),
    [
        ({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}, STDIN),
        ({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"], "fn_name": None, "test": None}, STDIN),
        ({"inputs": [["1 2", ""], "3 4\n"], "outputs": [["3", ""], ["7", ""]]}, STDIN),  # APPS: lines
        ({"input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})}, STDIN),
        ({"verification_info": {"language": "python", "test_cases": CASES}, "prompt": "Add."}, STDIN),
        ({"test_cases": [case | {"fn_name": None, "type": "stdin_stdout"} for case in CASES]}, STDIN),
        (CASES, STDIN),
        ({"tests": CASES, "language": "zh", "reward_type": "code"}, STDIN),  # the language of the question
        ({"public_test_cases": json.dumps(CASES[:1]), "private_test_cases": json.dumps(CASES[1:])}, STDIN),
        ({"function": "add", "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]}, ADD),
        ({"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]}, ADD),
        (
            {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]},
            FunctionTests("add", ((1, 2), (3, 4)), (3, 7), wrapped=True),
        ),
        (
            {"function": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]},
            FunctionTests("add", ((1, 2), (3, 4)), ([3], [7])),
        ),
        (
            {
                "public_test_cases": [
                    {"input": "[1, 2]\n3", "output": "[3]", "testtype": "functional"},
                    {"input": "[]\n4", "output": "[]", "testtype": "functional"},
                ],
                "metadata": '{"func_name": "add"}',
            },
            FunctionTests("add", (([1, 2], 3), ([], 4)), ([3], [])),
        ),
        ({"test_cases": [{"fn_name": "add", "input": [1, 2], "output": 3}]}, FunctionTests("add", ((1, 2),), (3,))),
        ({"tests": {"test": CHECK, "entry_point": "add"}}, AssertTests(("add",), ("check(add)",), CHECK)),
        (
            {"test": CHECK, "entry_point": "add", "prompt": PROMPT},
            AssertTests(("add",), ("check(add)",), CHECK, PROMPT[: PROMPT.index("def add")], PROMPT, "    "),
        ),
        (
            {"test": CHECK, "entry_point": "add", "prompt": "User: add two numbers."},
            AssertTests(("add",), ("check(add)",), CHECK),
        ),
        (
            {
                "test_list": ["assert add(1, 2) == 3", "assert sub(2, 1) == 1"],
                "test_setup_code": "",
                "test_imports": [],
            },
            AssertTests(("add", "sub"), ("assert add(1, 2) == 3", "assert sub(2, 1) == 1")),
        ),
        (
            {
                "test_list": ["assert math.isclose(f(x), 2)"],
                "test_setup_code": "x = 2",
                "test_imports": ["import math"],
            },
            AssertTests(("f",), ("assert math.isclose(f(x), 2)",), "import math\nx = 2"),
        ),
        (
            ["assert f([y for y in range(3)]) == sorted([2])"],
            AssertTests(("f",), ("assert f([y for y in range(3)]) == sorted([2])",)),
        ),
    ],
)
def test_known_shapes(source, tests):
    assert read_code_tests(source) == tests
    assert read_code_tests(json.dumps(source)) == tests
    assert check_code_tests(source) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "they are missing"),
        (7, "they are a int"),
        ("assert f(1) == 2", "no JSON"),
        ({}, "none found among no keys"),
        ({"problem": "Add.", "solution": "3"}, r"none found among \['problem', 'solution'\]"),
        ({"inputs": [], "outputs": []}, "there are none"),
        ([], "there are none"),
        ({"test_list": []}, "there are none"),
        ({"inputs": ["1", "2"], "outputs": ["1"]}, "2 inputs but 1 outputs"),
        ({"outputs": ["1"]}, "0 inputs but 1 outputs"),
        ({"inputs": "1", "outputs": ["1"]}, "neither a mapping nor a list"),
        ({"inputs": ["1", "2"], "outputs": ["", "\n"]}, "every output is empty"),
        ({"function": "f", "inputs": [[1], [2]], "outputs": [None, None]}, "every output is None"),
        ({"inputs": [[1, 2]], "outputs": [3]}, "name a function to call"),
        ({"function": "add", "inputs": [1], "outputs": [3]}, "the list of its arguments"),
        ({"function": "add", "inputs": [[object()]], "outputs": [3]}, "is a object, which is no plain data"),
        ({"function": "add", "inputs": [[DEEP]], "outputs": [3]}, "nested more than 60 deep"),
        ({"function": "add", "inputs": [[1]], "outputs": [DEEP]}, "nested more than 60 deep"),
        ({"function": "a b", "inputs": [[1]], "outputs": [3]}, "'a b' is not the name of a function"),
        ({"language": "cpp", "test_cases": CASES}, "language 'cpp' cannot be run"),
        ({"test_cases": [{"input": "1"}]}, "must hold an input and an output"),
        ({"test_cases": [CASES[0], CASES[1] | {"fn_name": "f"}]}, "call different functions"),
        ({"public_test_cases": [CASES[0] | {"testtype": "functional"}]}, "need metadata with func_name"),
        ({"private_test_cases": "eJxrYJk6n4UBBG="}, "no JSON"),  # LiveCodeBench's pickles are not opened
        ({"test": CHECK}, "entry_point is None"),
        ({"test": "def chk(candidate): pass", "entry_point": "f"}, r"defines no check\(candidate\)"),
        ({"test": "def check(candidate)\n", "entry_point": "f"}, "test is not Python"),
        ({"test": CHECK + "    helper(1)\n", "entry_point": "f"}, "test uses helper"),
        (
            {"test": "def check(candidate):\n    assert candidate(lambda x: x)", "entry_point": "f"},
            "pass a function to",
        ),
        ({"test_list": ["assert f(1) == "]}, "test_list is not Python"),
        ({"test_list": ["assert f(1)"], "test_setup_code": "def"}, "test_setup_code is not Python"),
        ({"test_list": ["assert 1 == 1"]}, "call no function of the program"),
        ({"test_list": ["assert math.isclose(f(1), 2.0)"]}, "use math, which they do not import"),
        ({"test_list": ["assert longest([Pair(5, 24)], 4) == 3"]}, "objects of the program's class Pair"),
        ({"test_list": ["assert f(g)"], "test_setup_code": "def g(): pass"}, "pass a function to f"),
    ],
)
def test_unusable_tests_are_named(source, reason):
    with pytest.raises(DataError, match=reason):
        read_code_tests(source)
    assert check_code_tests(source).startswith("tests: ")
