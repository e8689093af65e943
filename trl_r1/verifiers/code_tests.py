"""Tests of a program in one of three kinds, read from the shapes that public datasets keep them in.

| kind | shape | known from |
|---|---|---|
| stdin/stdout | `{"inputs": [text], "outputs": [text]}` | TACO, APPS (`input_output`) |
| | `{"test_cases": [{"input": text, "output": text}]}` | open-r1 (`verification_info`) |
| | `{"public_test_cases": [{"input", "output", "testtype": "stdin"}]}` | LiveCodeBench |
| function call | `{"function": name, "inputs": [[argument]], "outputs": [value]}` | ours |
| | `{"fn_name": name, "inputs": [[argument]], "outputs": [[value]]}` | TACO, APPS |
| | `{"test_cases": [{"fn_name", "input", "output"}]}` | open-r1 |
| | `{"public_test_cases": [{..., "testtype": "functional"}], "metadata": {"func_name"}}` | LiveCodeBench |
| assertions | `{"test": code with check(candidate), "entry_point": name, "prompt": code}` | HumanEval |
| | `{"test_list": [code], "test_setup_code": code, "test_imports": [code]}` | MBPP |

Every shape may be JSON text instead, or stand under `tests`, `verification_info` or `input_output`; a value of `None`
counts as absent, since Arrow fills up structs with it. Nothing is guessed: what fits no shape is refused with the
reason.
"""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trl_r1.errors import DataError


@dataclass(frozen=True, slots=True)
class ProgramTests:
    """A whole program: what it reads and what it must print, one text of each a test."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionTests:
    """A function: positional arguments and the value it must return, one of each a test."""

    function: str  # a name of the program, or of a method of its class `Solution`
    inputs: tuple[tuple[Any, ...], ...]
    outputs: tuple[Any, ...]
    wrapped: bool = False  # TACO writes the value v as [v] in some rows: both are then right


@dataclass(frozen=True, slots=True)
class AssertTests:
    """Code that calls functions of the program and asserts. Each entry of `checks` is one test."""

    functions: tuple[str, ...]  # what the program must define
    checks: tuple[str, ...]
    setup: str = ""  # run once before the checks
    given: str = ""  # imports and helpers of the prompt: trusted, and defined for the program and for the checks
    stub: str = ""  # the prompt, where it is code that a completion may continue
    indent: str = ""  # of the body of the stub's function


CodeTests = ProgramTests | FunctionTests | AssertTests

_BUILTINS = frozenset({*dir(builtins), "__name__"})
MAX_DEPTH = 60
_NESTED = ("tests", "verification_info", "input_output")


def read_code_tests(source: Any) -> CodeTests:
    """
    Read the tests of one row.

    Args:
        source (`Mapping[str, Any]`, `list` or `str`):
            Tests in a shape of the table above, or JSON of it.

    Returns:
        `ProgramTests`, `FunctionTests` or `AssertTests`

    Raises:
        [`DataError`]: when there are no tests, or they cannot be used; it says why.
    """
    source = _decode(source)
    if isinstance(source, list):
        return _from_cases(source, None)
    row = {key: value for key, value in source.items() if value is not None}
    for name in _NESTED:
        if name in row:
            return read_code_tests(row[name])
    if "test_cases" in row:
        language = str(row.get("language", "python")).lower()
        if language not in {"python", "python3", "py"}:
            raise DataError(f"tests: language {language!r} cannot be run; only Python can")
        return _from_cases(_list(row, "test_cases"), row.get("fn_name"))
    if "public_test_cases" in row or "private_test_cases" in row:
        return _from_livecodebench(row)
    if "inputs" in row or "outputs" in row:
        return _from_lists(row)
    if "test" in row:
        return _from_check(row)
    if "test_list" in row:
        return _from_asserts(row)
    raise DataError(f"tests: none found among {sorted(map(str, row)) or 'no keys'}; see the shapes in docs/rewards.md")


def check_code_tests(source: Any) -> str | None:
    """
    Why the tests of a row are unusable, or `None`: for when a dataset is loaded.

    Args:
        source (`Mapping[str, Any]`, `list` or `str`):
            As for [`read_code_tests`].
    """
    try:
        read_code_tests(source)
    except DataError as error:
        return str(error)
    return None


def _decode(source: Any) -> Mapping[str, Any] | list[Any]:
    if source is None:
        raise DataError("tests: they are missing")
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except ValueError as error:
            raise DataError(f"tests: the text is no JSON ({error})") from error
    if not isinstance(source, Mapping | list):
        raise DataError(f"tests: they are a {type(source).__name__}, neither a mapping nor a list")
    return source


def _list(row: Mapping[str, Any], key: str) -> list[Any]:
    values = row.get(key, [])
    if isinstance(values, str):
        values = _decode(values)
    if not isinstance(values, list | tuple):
        raise DataError(f"tests: {key} is a {type(values).__name__}, not a list")
    return list(values)


def _from_lists(row: Mapping[str, Any]) -> ProgramTests | FunctionTests:
    inputs, outputs = _list(row, "inputs"), _list(row, "outputs")
    name = row.get("function") or row.get("fn_name")
    if not name:
        return _program_tests(inputs, outputs)
    wrapped = "function" not in row and all(isinstance(value, list) and len(value) == 1 for value in outputs)
    return _function_tests(name, inputs, [value[0] for value in outputs] if wrapped else outputs, wrapped)


def _from_cases(cases: list[Any], name: Any) -> CodeTests:
    """Tests kept one by one: open-r1's dictionaries, or lines of code that assert."""
    if cases and all(isinstance(case, str) for case in cases):
        return _from_asserts({"test_list": cases})
    if not all(isinstance(case, Mapping) and "input" in case and "output" in case for case in cases):
        raise DataError("tests: every test case must hold an input and an output")
    names = {case.get("fn_name") or name for case in cases}
    if len(names) > 1:
        raise DataError(f"tests: the test cases call different functions, {sorted(map(str, names))}")
    inputs, outputs = [case["input"] for case in cases], [case["output"] for case in cases]
    function = names.pop() if names else None
    if not function:
        return _program_tests(inputs, outputs)
    if inputs and all(isinstance(text, str) for text in inputs):
        return _function_tests(function, *_from_text(inputs, outputs))
    return _function_tests(function, inputs, outputs)


def _from_livecodebench(row: Mapping[str, Any]) -> CodeTests:
    cases = _list(row, "public_test_cases") + _list(row, "private_test_cases")
    kinds = {case.get("testtype", "stdin") for case in cases if isinstance(case, Mapping)}
    if kinds != {"functional"}:
        return _from_cases(cases, None)
    metadata = _decode(row.get("metadata", {}))
    name = metadata.get("func_name") if isinstance(metadata, Mapping) else None
    if not name:
        raise DataError("tests: functional test cases need metadata with func_name")
    return _from_cases(cases, name)


def _from_text(inputs: list[str], outputs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Arguments written as one line of JSON each, and a value as JSON."""
    try:
        arguments = [[json.loads(line) for line in text.splitlines() if line.strip()] for text in inputs]
        return arguments, [json.loads(value) if isinstance(value, str) else value for value in outputs]
    except ValueError as error:
        raise DataError(f"tests: an argument or a value is no JSON ({error})") from error


def _program_tests(inputs: list[Any], outputs: list[Any]) -> ProgramTests:
    _check_lengths(inputs, outputs)
    tests = ProgramTests(*(tuple(_as_text(value) for value in values) for values in (inputs, outputs)))
    if not any(text.strip() for text in tests.outputs):
        raise DataError("tests: every output is empty, which a program that does nothing gives too")
    return tests


def _as_text(value: Any) -> str:
    """A text, or the lines of one as APPS keeps some."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise DataError(f"tests: an input or output is a {type(value).__name__}, not a text; name a function to call")
    return value


def _function_tests(name: Any, inputs: list[Any], outputs: list[Any], wrapped: bool = False) -> FunctionTests:
    _check_lengths(inputs, outputs)
    if not isinstance(name, str) or not name.isidentifier():
        raise DataError(f"tests: {name!r} is not the name of a function")
    if not all(isinstance(arguments, list | tuple) for arguments in inputs):
        raise DataError("tests: every input of a function must be the list of its arguments")
    _check_plain([inputs, outputs], MAX_DEPTH)
    if all(value is None for value in outputs):
        raise DataError("tests: every output is None, which a function that does nothing gives too")
    return FunctionTests(name, tuple(tuple(arguments) for arguments in inputs), tuple(outputs), wrapped)


def _check_plain(value: Any, depth: int) -> None:
    """Refuse what cannot be sent to a process, or is nested too deeply to be compared."""
    if depth == 0:
        raise DataError(f"tests: an argument or a value is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _check_plain(item, depth - 1)
    elif not isinstance(value, bool | int | float | complex | str | bytes | None):
        raise DataError(f"tests: an argument or a value is a {type(value).__name__}, which is no plain data")


def _check_lengths(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    if not inputs and not outputs:
        raise DataError("tests: there are none")
    if len(inputs) != len(outputs):
        raise DataError(f"tests: {len(inputs)} inputs but {len(outputs)} outputs")


def _from_check(row: Mapping[str, Any]) -> AssertTests:
    """HumanEval: `test` defines `check(candidate)`, and the prompt may define helpers that it uses."""
    name, test = row.get("entry_point"), row["test"]
    if not isinstance(name, str) or not name.isidentifier():
        raise DataError(f"tests: entry_point is {name!r}, not the name of a function")
    tree = _parse(test, "test")
    bound = _bound_names(tree)
    if "check" not in bound:
        raise DataError("tests: test defines no check(candidate)")
    _check_arguments([tree], {name, "candidate"})
    given, stub, indent = _split_stub(row.get("prompt"), name)
    known = bound | _bound_names(_parse(given, "prompt")) | _BUILTINS | {name}
    if "*" not in known and (unknown := [used for used in _used_names(tree) if used not in known]):
        raise DataError(f"tests: test uses {unknown[0]}, which neither it nor the prompt defines")
    return AssertTests((name,), (f"check({name})",), test, given, stub, indent)


def _split_stub(prompt: Any, name: str) -> tuple[str, str, str]:
    """What a prompt defines before the function it asks for, the prompt, and its body's indent; nothing of no code."""
    if not isinstance(prompt, str):
        return "", "", ""
    try:
        tree = _parse(prompt, "prompt")
    except DataError:
        return "", "", ""  # words, or a chat template around the code
    lines = prompt.splitlines(keepends=True)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = node.body[0]
            indent = lines[first.lineno - 1][: first.col_offset] if first.lineno > node.lineno else ""
            return "".join(lines[: node.lineno - 1]), prompt, indent
    return "", "", ""


def _from_asserts(row: Mapping[str, Any]) -> AssertTests:
    """MBPP: assertions that call functions by name. Which names are the program's follows from the code."""
    checks = tuple(map(str, _list(row, "test_list")))
    if not checks:
        raise DataError("tests: there are none")
    imports = [str(line) for line in _list(row, "test_imports")]
    setup = "\n".join([*imports, str(row.get("test_setup_code", ""))]).strip()
    trees = [_parse(setup, "test_setup_code"), *(_parse(check, "test_list") for check in checks)]
    known = _BUILTINS.union(*(_bound_names(tree) for tree in trees))
    names = tuple(dict.fromkeys(name for tree in trees for name in _used_names(tree) if name not in known))
    if not names:
        raise DataError("tests: the assertions call no function of the program")
    owners = {id(node.value) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    plain = {
        node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in owners
    }
    if modules := [name for name in names if name not in plain]:
        raise DataError(f"tests: they use {modules[0]}, which they do not import")
    if classes := [name for name in names if name[:1].isupper()]:
        raise DataError(
            f"tests: they make objects of the program's class {classes[0]}, which cannot leave its process"
        )
    _check_arguments(trees, set(names))
    return AssertTests(names, checks, setup)


def _check_arguments(trees: Sequence[ast.Module], names: set[str]) -> None:
    """Refuse tests that pass a function to the program."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(value, ast.Lambda) or (isinstance(value, ast.Name) and value.id in functions):
                    raise DataError(f"tests: they pass a function to {node.func.id}, and it cannot leave its process")


def _parse(code: Any, field: str) -> ast.Module:
    if not isinstance(code, str):
        raise DataError(f"tests: {field} is a {type(code).__name__}, not code")
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"tests: {field} is not Python ({error})") from error


def _bound_names(tree: ast.AST) -> set[str]:
    """Names that the code itself defines, imports or assigns, anywhere."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def _used_names(tree: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
