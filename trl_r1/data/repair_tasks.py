"""
Repair tasks without a download: small functions of our own, each broken in one place.

A task is made by mutation: its tests are what the function returned before. A mutant that no test notices, or that
runs for ever, is no task. Which functions belong to which split is fixed, and functions that share a helper stay
together, so that a policy is never measured on a function it has seen.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from trl_r1.data.mutations import Mutant, MutationKind, mutate
from trl_r1.errors import DataError
from trl_r1.verifiers.code_comparison import values_equal
from trl_r1.verifiers.repair_running import TOLERANCE
from trl_r1.verifiers.repair_task import RepairTask, RepairTest
from trl_r1.verifiers.sandbox import Isolation, Limits, Outcome, shared_sandbox


RepairSplit = Literal["train", "validation", "test"]

BANK = "trl_r1.data.repair_bank"
BANK_MODULES = ("dates", "lists", "numbers", "strings", "tables")
HELPERS = "helpers"
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=20.0)  # a mutant that takes longer is no task
SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class BankFunction:
    """
    A function of the bank with what it needs.

    Args:
        name (`str`):
            Its name, and that of its file.
        summary (`str`):
            What it does, in a sentence.
        files (`Mapping[str, str]`):
            Its file, and `helpers.py` if it calls others.
        inputs (`tuple[tuple[Any, ...], ...]`):
            Arguments to call it with.
        expected (`tuple[Any, ...]`):
            What it returns for each.
        split (`str`):
            `"train"`, `"validation"` or `"test"`.
    """

    name: str
    summary: str
    files: Mapping[str, str]
    inputs: tuple[tuple[Any, ...], ...]
    expected: tuple[Any, ...]
    split: RepairSplit


@dataclass(frozen=True, slots=True)
class MadeTask:
    """A repair task, the function it is about, and what was done to it."""

    task: RepairTask
    function: str
    mutation: MutationKind

    def to_row(self) -> dict[str, Any]:
        """Row of a dataset: `problem`, `repair_task`, `function`, `mutation`, `reward_type`."""
        return {
            "problem": describe_task(self.task),
            "repair_task": self.task.to_row(),
            "function": self.function,
            "mutation": self.mutation,
            "reward_type": "repair",
        }


def make_repair_tasks(
    count: int, split: RepairSplit = "train", seed: int = 0, isolation: Isolation = "auto"
) -> list[MadeTask]:
    """
    Make repair tasks from the bank, the functions by turns.

    Args:
        count (`int`):
            Tasks wanted.
        split (`str`, *optional*, defaults to `"train"`):
            Which functions: `"train"`, `"validation"` or `"test"`.
        seed (`int`, *optional*, defaults to `0`):
            Decides which mutants, and their order.
        isolation (`str`, *optional*, defaults to `"auto"`):
            As for [`~trl_r1.verifiers.repair.verify_repair`]: mutants are run to see which tests notice them.

    Returns:
        `list[MadeTask]`: all different.

    Raises:
        [`DataError`]: when the bank does not give so many.
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when code cannot be isolated on this machine.
    """
    rng = random.Random(f"{seed}-{split}")
    functions = [function for function in load_bank() if function.split == split]
    rng.shuffle(functions)
    sources = [_make_from(function, random.Random(f"{seed}-{function.name}"), isolation) for function in functions]
    made: list[MadeTask] = []
    while sources and len(made) < count:
        for source in list(sources):
            task = next(source, None)
            if task is None:
                sources.remove(source)
            elif len(made) < count:
                made.append(task)
    if len(made) < count:
        raise DataError(f"count: the bank has {len(made)} repair tasks of split {split!r}, not {count}; ask for fewer")
    return made


def describe_task(task: RepairTask) -> str:
    """The prompt of a task: what is wrong, the files, a failing test, and what an answer looks like."""
    shown = "\n\n".join(f"```python {path}\n{text}```" for path, text in task.files.items())
    test = f"\n\nThis test fails:\n\n```python\n{task.failing_test}```" if task.failing_test else ""
    return (
        f"{task.description}\n\n{shown}{test}\n\n"
        "Repair it. Answer with a unified diff in a ```diff block, or with whole files, each in a block that names it "
        "as above."
    )


def _make_from(function: BankFunction, rng: random.Random, isolation: Isolation) -> Iterator[MadeTask]:
    """Tasks about one function, one a usable mutant."""
    for path, mutant in _mutants_by_turns(function, rng):
        broken = {**function.files, path: mutant.source}
        outcomes = _observe(function, broken, isolation)
        if outcomes is None:
            continue
        failed = [
            outcome.failure is not None or not values_equal(outcome.value, expected, TOLERANCE)
            for outcome, expected in zip(outcomes, function.expected, strict=True)
        ]
        if any(failed):
            yield MadeTask(_to_task(function, broken, path, outcomes, failed), function.name, mutant.kind)


def _mutants_by_turns(function: BankFunction, rng: random.Random) -> list[tuple[str, Mutant]]:
    """All mutants in random order, but the kinds by turns: there are far more wrong variables than missing returns."""
    kinds: dict[MutationKind, list[tuple[str, Mutant]]] = {}
    for path, text in function.files.items():
        for mutant in mutate(text):
            kinds.setdefault(mutant.kind, []).append((path, mutant))
    order = list(kinds.values())
    rng.shuffle(order)
    for mutants in order:
        rng.shuffle(mutants)
    rounds = itertools.zip_longest(*order)
    return [mutant for turn in rounds for mutant in turn if mutant is not None]


def _observe(function: BankFunction, broken: Mapping[str, str], isolation: Isolation) -> list[Outcome] | None:
    """What a broken function answers to each input; `None` if it does not end, or not with a value or an exception."""
    with shared_sandbox(isolation).session(LIMITS) as session:
        loaded = session.load(broken, main=function.name)
        if loaded.failure:
            return None
        outcomes = [session.call(function.name, arguments) for arguments in function.inputs]
    return None if any(outcome.failure not in (None, "exception") for outcome in outcomes) else outcomes


def _to_task(
    function: BankFunction, broken: Mapping[str, str], path: str, outcomes: Sequence[Outcome], failed: Sequence[bool]
) -> RepairTask:
    calls = [f"{function.name}({', '.join(map(repr, arguments))})" for arguments in function.inputs]
    tests = [
        RepairTest(
            name=call,
            broken=fails,
            function=f"{function.name}.{function.name}",
            arguments=repr(arguments),
            expected=repr(expected),
        )
        for call, arguments, expected, fails in zip(calls, function.inputs, function.expected, failed, strict=True)
    ]
    shown = failed.index(True)
    expected, outcome = function.expected[shown], outcomes[shown]
    found = f"raises {outcome.exception}" if outcome.failure else f"returns {_shorten(repr(outcome.value))}"
    return RepairTask(
        files=broken,
        description=(
            f"`{function.name}` is wrong. It should do this: {function.summary} "
            f"But `{_shorten(calls[shown])}` {found}."
        ),
        failing_test=f"from {function.name} import {function.name}\n\nassert {calls[shown]} == {expected!r}\n",
        tests=tuple(tests),
        patch=_diff(path, broken[path], function.files[path]),
    )


def _diff(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(lines)


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."


# ------------------------------------------------------------------------------------------------- the bank


@cache
def load_bank() -> tuple[BankFunction, ...]:
    """Every function of the bank, in a fixed order."""
    return tuple(function for module in BANK_MODULES for function in _load_module(module))


def _load_module(module: str) -> Iterator[BankFunction]:
    source = files(BANK).joinpath(f"{module}.py").read_text(encoding="utf-8")
    loaded = importlib.import_module(f"{BANK}.{module}")
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    texts = {node.name: ast.get_source_segment(source, node) or "" for node in functions}
    calls = {name: _calls(text, texts) for name, text in texts.items()}
    imports = _imports(source)
    for name in texts:
        inputs = tuple(loaded.INPUTS[name])
        yield BankFunction(
            name=name,
            summary=str(getattr(loaded, name).__doc__),
            files=_files_of(name, texts, calls, imports),
            inputs=inputs,
            expected=tuple(getattr(loaded, name)(*arguments) for arguments in inputs),
            split=_split_of(name, calls),
        )


def _calls(text: str, known: Mapping[str, str]) -> set[str]:
    """Other functions of the module that a function names."""
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    own = ast.parse(text).body[0]
    return {name for name in names & known.keys() if name != getattr(own, "name", "")}


def _closure(name: str, calls: Mapping[str, set[str]]) -> set[str]:
    """Functions that a function needs, itself left out."""
    found: set[str] = set()
    open_names = set(calls[name])
    while open_names:
        current = open_names.pop()
        found.add(current)
        open_names |= calls[current] - found
    return found - {name}


def _files_of(
    name: str, texts: Mapping[str, str], calls: Mapping[str, set[str]], imports: Mapping[str, str]
) -> dict[str, str]:
    """The function's own file and, where it calls others, `helpers.py`."""
    helpers = [other for other in texts if other in _closure(name, calls)]
    own_imports = [f"from {HELPERS} import {', '.join(sorted(calls[name]))}"] if helpers else []
    result = {f"{name}.py": _file([texts[name]], imports, own_imports)}
    if helpers:
        result[f"{HELPERS}.py"] = _file([texts[helper] for helper in helpers], imports, [])
    return result


def _file(functions: Sequence[str], imports: Mapping[str, str], own_imports: Sequence[str]) -> str:
    used = {node.id for text in functions for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    head = list(dict.fromkeys([line for name, line in imports.items() if name in used]))
    parts = ["\n".join([*head, *own_imports])] if head or own_imports else []
    return "\n\n\n".join([*parts, *functions]) + "\n"


def _imports(source: str) -> dict[str, str]:
    """Import lines of a module by the name they give."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.name: f"import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name: f"from {node.module} import {alias.name}" for alias in node.names}
    return found


def _split_of(name: str, calls: Mapping[str, set[str]]) -> RepairSplit:
    """The split of a function: that of all functions it is joined to through common helpers, by a hash."""
    joined = {one: calls[one] | {other for other in calls if one in calls[other]} for one in calls}
    family = min({name} | _closure(name, joined))
    bucket = hashlib.sha256(family.encode()).digest()[0] % 5
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"
