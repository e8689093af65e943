"""Programming tasks: HumanEval, MBPP, LiveCodeBench and Codeforces, with tests the sandbox can run."""

from __future__ import annotations

import base64
import io
import json
import pickle
import random
import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from trl_r1.errors import RecipeError
from trl_r1.evaluation.benchmarks.unusable import UnusableRowError, text_of
from trl_r1.verifiers.code_tests import check_code_tests


Row = Mapping[str, Any]
Columns = Mapping[str, str]
SHOWN_TESTS: Final = 1  # of MBPP: it names the function and shows what it takes
MOST_BYTES: Final = 1 << 30  # of a task's tests, uncompressed


def read_humaneval(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A stub of a function with its docstring, and a `check` of it."""
    stub = row[columns.get("prompt", "prompt")]
    text_of(row, columns.get("prompt", "prompt"))  # as it stands: its indentation is code
    tests = {
        "test": row[columns.get("test", "test")],
        "entry_point": row[columns.get("entry_point", "entry_point")],
        "prompt": stub,
    }
    return code_row(f"```python\n{stub.strip()}\n```", tests, row.get("task_id"))


def read_mbpp(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A task in a sentence with a test that names the function; the others are hidden."""
    checks = list(row[columns.get("test_list", "test_list")] or [])
    imports = row.get("test_imports") or ([row["test_setup_code"]] if row.get("test_setup_code") else [])
    if not checks:
        raise UnusableRowError("tests_missing")
    text = text_of(row, columns.get("problem", "text"))
    shown = "\n".join(checks[:SHOWN_TESTS])
    tests = {"test_list": checks, "test_imports": [line for line in imports if line]}
    return code_row(f"{text}\n\nIt must pass this test:\n\n```python\n{shown}\n```", tests, row.get("task_id"))


def read_livecodebench(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A task of a contest, in the paper's window of dates or the benchmark's own (`after` and `before`)."""
    held = str(row[columns.get("contest_date", "contest_date")])[:10]
    first, last = (_date_of(name, columns.get(name, own)) for name, own in LIVE_WINDOW.items())
    try:
        inside = first <= date.fromisoformat(held) < last
    except ValueError as error:
        raise UnusableRowError("contest_date_unreadable") from error
    if not inside:
        raise UnusableRowError("outside_the_window")
    public = _cases(row[columns.get("public_test_cases", "public_test_cases")])
    private = _cases(row[columns.get("private_test_cases", "private_test_cases")])
    tests = {"public_test_cases": public, "private_test_cases": private, "metadata": row.get("metadata") or "{}"}
    starter = (row.get("starter_code") or "").strip()
    how = (
        f"Complete this code:\n\n```python\n{starter}\n```"
        if starter
        else "The program reads the input from standard input and writes the result to standard output."
    )
    text = text_of(row, columns.get("question_content", "question_content"))
    return code_row(f"{text}\n\n{how}", tests, row.get("question_id"))


def _date_of(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RecipeError([f"columns.{name}: {text!r} is no date; write 2024-08-01"]) from error


LIVE_WINDOW: Final = {"after": "2024-08-01", "before": "2025-02-01"}  # paper: August 2024 to January 2025


def read_codeforces(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A problem whose output is compared with the official one; those that need a checker are left out."""
    if row.get("generated_checker"):
        raise UnusableRowError("needs_a_checker")
    if row.get("interaction_format"):
        raise UnusableRowError("interactive")
    if row.get("input_mode") not in (None, "stdio"):
        raise UnusableRowError("reads_a_file")
    if row.get("official_tests_complete") is False:
        raise UnusableRowError("tests_incomplete")
    cases = list(row[columns.get("official_tests", "official_tests")] or [])
    if not cases:
        raise UnusableRowError("tests_missing")
    tests = {"inputs": [case["input"] for case in cases], "outputs": [case["output"] for case in cases]}
    return code_row(_statement(row, columns), tests, row.get("id"))


def _statement(row: Row, columns: Columns) -> str:
    """The whole of a problem as the contest shows it."""
    limits = [
        f"Time limit: {row['time_limit']} seconds" if row.get("time_limit") else "",
        f"memory limit: {row['memory_limit']} MB" if row.get("memory_limit") else "",
    ]
    parts = [
        f"# {row['title']}" if row.get("title") else "",
        ", ".join(filter(None, limits)),
        row[columns.get("description", "description")].strip(),
        f"## Input\n{row['input_format']}" if row.get("input_format") else "",
        f"## Output\n{row['output_format']}" if row.get("output_format") else "",
        *(_example(case) for case in row.get("examples") or []),
        f"## Note\n{row['note']}" if row.get("note") else "",
        "The program reads the input from standard input and writes the result to standard output.",
    ]
    return "\n\n".join(filter(None, parts))


def _example(case: Mapping[str, str]) -> str:
    return f"## Example\n```input\n{case['input'].strip()}\n```\n```output\n{case['output'].strip()}\n```"


def code_row(problem: str, tests: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """
    A programming task, and the tests that judge an answer to it.

    Raises:
        [`UnusableRowError`]: when the tests cannot be run.
    """
    if check_code_tests(tests) is not None:
        raise UnusableRowError("tests_cannot_be_run")
    made = {"problem": problem, "tests": json.dumps(tests), "reward_type": "code"}
    return made | ({"question_id": str(name)} if name is not None else {})


class _NoObjects(pickle.Unpickler):
    """Reads texts, numbers, lists and mappings, and nothing that code is run for."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is refused")


def _cases(value: Any) -> list[Any]:
    """
    Test cases: a list, JSON of one, or as LiveCodeBench packs its hidden ones (JSON, pickled, deflated, base 64).

    Raises:
        [`UnusableRowError`]: when they are none of these.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = _unpacked(value)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UnusableRowError("tests_unreadable")
    return list(value)


def _unpacked(text: str) -> Any:
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
        if inflate.unconsumed_tail:
            raise UnusableRowError("tests_too_large")
        content = _NoObjects(io.BytesIO(data)).load()
        return json.loads(content) if isinstance(content, str) else content
    except (ValueError, zlib.error, pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError) as error:
        raise UnusableRowError("tests_unreadable") from error
