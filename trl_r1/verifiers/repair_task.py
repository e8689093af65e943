"""A repair task: a small repository that is wrong somewhere, what is wrong with it, and the tests that say so.

As a row of a dataset it is one column of plain values (a struct, or JSON of it):

    {"files": [{"path": "stats.py", "text": "def mean(values): ..."}],
     "description": "mean() is wrong for an odd number of values.",
     "failing_test": "from stats import mean\\nassert mean([1, 2]) == 1.5",          # shown to the policy
     "tests": [{"name": "pair", "function": "stats.mean", "arguments": "([1, 2],)", "expected": "1.5", "code": "",
                "broken": true}],                                                    # hidden
     "patch": "--- stats.py\\n+++ stats.py\\n@@ ..."}                                # the reference, may be empty
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trl_r1.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairTest:
    """
    One hidden test: a call with its result, or code that asserts.

    Args:
        name (`str`):
            For reports.
        broken (`bool`):
            Whether it fails before the repair (fail-to-pass), or passes and must go on passing (pass-to-pass).
        function (`str`):
            Function to call, with its module: `"stats.mean"`.
        arguments (`str`):
            Positional arguments: a tuple as a Python literal, `"([1, 2],)"`.
        expected (`str`):
            What it must return, a Python literal. Stays outside the sandbox.
        code (`str`):
            Instead of a call: trusted code that asserts, such as `"from stats import mean\\nassert mean([1]) == 1"`.
            It runs apart from the repository, whose functions it reaches through proxies (`from module import name`,
            or `import module`): plain data goes in and comes out, and arguments changed in place do not come back.
    """

    name: str
    broken: bool
    function: str = ""
    arguments: str = "()"
    expected: str = "None"
    code: str = ""

    def read_call(self) -> tuple[tuple[Any, ...], Any]:
        """Arguments and expected result, as values."""
        return ast.literal_eval(self.arguments), ast.literal_eval(self.expected)

    def proxies(self) -> dict[str, list[str]]:
        """Names that `code` takes from modules, by module."""
        found: dict[str, list[str]] = {}
        tree = ast.parse(self.code)
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.setdefault(node.module, []).extend(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
                found.setdefault(ast.unparse(node.value), []).append(node.attr)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairTask:
    """
    A repository snapshot with a fault, and the hidden tests that a repair must pass.

    Args:
        files (`Mapping[str, str]`):
            Text by relative path.
        description (`str`):
            What is wrong, as an issue would say it.
        tests (`tuple[RepairTest, ...]`):
            Hidden tests, at least one of them broken.
        failing_test (`str`):
            A test that fails, for the policy to see.
        patch (`str`):
            A repair that is known to work; empty if there is none.
    """

    files: Mapping[str, str]
    description: str
    tests: tuple[RepairTest, ...]
    failing_test: str = ""
    patch: str = ""

    @classmethod
    def from_row(cls, value: Mapping[str, Any] | str) -> RepairTask:
        """
        Read a task from a column's value.

        Args:
            value (`Mapping[str, Any]` or `str`):
                The struct above, or JSON of it.

        Raises:
            [`DataError`]: when it is no usable task; the message says why.
        """
        try:
            content = json.loads(value) if isinstance(value, str) else value
            task = cls(
                files={file["path"]: file["text"] for file in content["files"]},
                description=content.get("description") or "",
                tests=tuple(_read_test(test) for test in content["tests"]),
                failing_test=content.get("failing_test") or "",
                patch=content.get("patch") or "",
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"repair task: it cannot be read ({type(error).__name__}: {error})") from error
        if problem := task.problem():
            raise DataError(f"repair task: {problem}")
        return task

    def to_row(self) -> dict[str, Any]:
        """The value of a dataset's column: lists, dictionaries, text and booleans."""
        return {
            "files": [{"path": path, "text": text} for path, text in self.files.items()],
            "description": self.description,
            "failing_test": self.failing_test,
            "tests": [asdict(test) for test in self.tests],
            "patch": self.patch,
        }

    def problem(self) -> str | None:
        """Why the task cannot be used, as far as can be told without running it; `None` if it can."""
        if not any(path.endswith(".py") for path in self.files):
            return "no file of it ends in .py"
        if not all(isinstance(text, str) for text in (*self.files, *self.files.values())):
            return "a path or a file is no text"
        if not any(test.broken for test in self.tests):
            return "no test of it is broken, so there is nothing to repair"
        for test in self.tests:
            if problem := _test_problem(test, own_modules(self.files)):
                return f"test {test.name!r}: {problem}"
        return None

    def key(self, files: Mapping[str, str]) -> str:
        """SHA-256 of the tests and of a state of the files."""
        tests = [asdict(test) for test in self.tests]
        content = json.dumps([sorted(files.items()), tests], ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()


def _read_test(content: Mapping[str, Any]) -> RepairTest:
    return RepairTest(
        name=content.get("name") or content.get("function") or "test",
        broken=bool(content["broken"]),
        function=content.get("function") or "",
        arguments=content.get("arguments") or "()",
        expected=content.get("expected") or "None",
        code=content.get("code") or "",
    )


def _test_problem(test: RepairTest, modules: set[str]) -> str | None:
    if bool(test.code) == bool(test.function):
        return "give it either a function or code"
    try:
        if test.code:
            return None if test.proxies().keys() & modules else "its code imports nothing of the repository"
        arguments, _ = test.read_call()
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        return f"it cannot be read ({type(error).__name__})"
    if not isinstance(arguments, tuple):
        return "its arguments are no tuple; write (1,) for one"
    module = test.function.rpartition(".")[0]
    return None if module in modules else f"no module {module!r} is in the repository; write module.function"


def python_files(files: Mapping[str, str]) -> dict[str, str]:
    """The files that can be imported."""
    return {path: text for path, text in files.items() if path.endswith(".py")}


def own_modules(files: Mapping[str, str]) -> set[str]:
    """Names under which the files are imported: `"stats"`, `"pkg.core"`."""
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in python_files(files)}


def tests_in_order(tests: Sequence[RepairTest]) -> list[RepairTest]:
    """Broken tests first: most wrong repairs fail there, and then no other test need be run."""
    return sorted(tests, key=lambda test: not test.broken)
