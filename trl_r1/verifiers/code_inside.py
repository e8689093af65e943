"""What runs inside the sandbox around a program, and around the assertions that test it.

This file is sent there as text and imports nothing of the package. The program's process runs `given`, `start`,
`defines` and `call`; the process of the assertions runs `prepare` and `check`, and reaches the program through
`trl_r1_ask`, a proxy that the sandbox puts here. Nothing that the program could tamper with decides anything: its
process only ever hands out data, and the process of the assertions never runs a line of it.

Across the two processes go plain values. To the assertions a call looks as if it were local, but for this: an argument
or result is a copy, so identity (`is`) is lost, and functions or objects of a class cannot be passed. Lists,
dictionaries and sets change as the program changed its copies, but only if the function returns `None`, as one that
works in place does: else a program could bend what its result is then compared with.
"""

from __future__ import annotations

import builtins
import collections
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any


MAX_ITEMS = 100_000  # of an iterator: enough for any test, and an endless one ends
MAX_ORDINARY = 100  # characters of a result that is neither deep nor large
MUTABLE = (list, dict, set)
PLAIN = (type(None), bool, int, float, complex, str, bytes)

_solution = types.ModuleType("solution")
_unsupported: list[str] = []
_strange: set[str] = set()  # kinds of results that could be what an argument cannot be passed for
_ask_program: Any = globals().get("trl_r1_ask")  # the proxy, where the sandbox put one


# The program's side


def start(code: str, name: str) -> None:
    """Run code in the program's namespace."""
    sys.modules["solution"] = _solution  # dataclasses and pickle look a class's module up
    exec(compile(code, name, "exec", dont_inherit=True), _solution.__dict__)


def defines(name: str) -> bool:
    """Whether the program defines a function of that name."""
    return callable(_find(name))


def call(name: str, args: list[list[Any]], kwargs: dict[str, Any]) -> list[Any]:
    """
    Call a function of the program.

    Args:
        name (`str`):
            Function, or method of the class `Solution`.
        args (`list[list[Any]]`):
            Arguments, each as a kind and the data it is built from.
        kwargs (`dict[str, Any]`):
            Arguments by name, plain.

    Returns:
        `list`: how it ended, what it gave, and if that is `None` the arguments as they are now. It ended with
        `"value"`, with the kind of an iterable that is built again on the other side, with `"raise"` (the names of
        the exception's classes, and its message), or with `"opaque"` (the type of a result that is no data).
    """
    function = _find(name)
    arguments = [_rebuilt(*pair) for pair in args]
    try:
        kind, value = _portable(function(*arguments, **kwargs))
        changed = [_plain(item) if type(item) in MUTABLE else None for item in arguments] if value is None else []
        return [kind, value, changed]
    except _OpaqueError as error:
        return ["opaque", str(error), []]
    except MemoryError:
        raise  # for the sandbox to report
    except Exception as error:  # noqa: BLE001  (whatever a program raises is its answer)
        return ["raise", [[kind.__name__ for kind in type(error).__mro__], str(error)[:1000]], []]


class _OpaqueError(Exception):
    """A value that is no plain data, such as an object whose `__eq__` says yes to everything."""


def _find(name: str) -> Any:
    """A function of the program, or of an object of its class `Solution`."""
    found = getattr(_solution, name, None)
    if found is None and hasattr(_solution, "Solution"):
        found = getattr(_solution.Solution(), name, None)
    return found


def _portable(value: Any, lower: bool = True) -> tuple[str, Any]:
    """The kind of a result and plain data that it can be built from again."""
    if isinstance(value, range):
        return "range", [value.start, value.stop, value.step]
    for kind, view in (("keys", {}.keys()), ("values", {}.values()), ("items", {}.items())):
        if type(value) is type(view):
            return kind, _plain(list(value), lower)
    if isinstance(value, collections.deque):
        return "deque", _plain(list(value), lower)
    if isinstance(value, Iterator):
        return "iterator", _plain(list(itertools.islice(value, MAX_ITEMS)), lower)
    return "value", _plain(value, lower)


def _plain(value: Any, lower: bool = True) -> Any:
    """Plain data as it is; with `lower`, subclasses (named tuples, counters) as the plain types they extend."""
    if isinstance(value, PLAIN) and (lower or type(value) in PLAIN):
        return value  # the sandbox lowers these
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind) and (lower or type(value) is kind):
            return kind([_plain(item, lower) for item in value])
    if isinstance(value, dict) and (lower or type(value) is dict):
        return {_plain(key, lower): _plain(item, lower) for key, item in value.items()}
    if lower and type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return _plain(value.item())  # a number of NumPy's, as sums and means of its arrays are
    raise _OpaqueError(type(value).__name__)


# The side of the assertions

_tests: dict[str, Any] = {"__name__": "tests"}
_sources = {"setup": "", "check": ""}  # of the tests


def prepare(given: str, setup: str, functions: list[str]) -> None:
    """Run what the assertions build on, and define the functions that ask the program."""
    exec(compile(given, "<prompt>", "exec", dont_inherit=True), _tests)
    _sources["setup"] = setup
    exec(compile(setup, "<tests>", "exec", dont_inherit=True), _tests)
    _tests.update({name: _asker(name) for name in functions})


def check(code: str) -> str:
    """
    Run one check.

    Returns:
        `str`: empty, or why it cannot be run across two processes. A check that fails raises.
    """
    _unsupported.clear()
    _sources["check"] = code
    try:
        exec(compile(code, "<tests>", "exec", dont_inherit=True), _tests)
    except BaseException as error:
        if not _unsupported:
            if isinstance(error, Exception):
                raise
            raise RuntimeError(type(error).__name__) from error  # the program's way of leaving must not become ours
    return _unsupported[0] if _unsupported else ""


class _UnsupportedError(BaseException):
    """An assertion passes what cannot leave its process. No `except Exception` of the tests may hide it."""


def _asker(name: str) -> Callable[..., Any]:
    def ask(*args: Any, **kwargs: Any) -> Any:
        try:
            portable = [list(_portable(argument, lower=False)) for argument in args]
            plain = {key: _plain(argument, lower=False) for key, argument in kwargs.items()}
            kind, value, after = _ask_program(name, portable, plain)
        except _OpaqueError as error:
            raise _refusal(f"{name} is called with a {error}, which cannot leave its process") from None
        except ValueError as error:  # of the sandbox: too large, or too deep
            raise _refusal(f"{name} is called with what cannot leave its process: {error}") from None
        if kind == "raise":
            raise _exception(*value)
        if kind != "value" or not _is_ordinary(value):
            _strange.add(kind)
        if value is None:
            for argument, changed in zip(args, after, strict=True):
                _write_back(argument, changed)
        return _rebuilt(kind, value)

    ask.__name__ = name
    return ask


def _is_ordinary(value: Any) -> bool:
    try:
        return len(repr(value)) <= MAX_ORDINARY
    except ValueError:
        return False  # an integer with more digits than Python spells


def _refusal(reason: str) -> BaseException:
    """What to raise where an argument cannot be passed."""
    if _strange:
        return TypeError(reason)  # it may be the program's own result: to return such must not spare it the verdict
    _unsupported.append(reason)
    return _UnsupportedError(reason)


def _exception(classes: list[str], message: str) -> BaseException:
    """
    The exception the program raised, as the first of its classes that is a built-in one.

    `StopIteration` is a `RuntimeError`, as if it left a generator, unless the tests name it: in `all(map(...))` or
    `zip(map(...), ...)` it would end their loop, and all would have been well.
    """
    for name in classes:
        if name in {"StopIteration", "StopAsyncIteration"} and not any(name in text for text in _sources.values()):
            return RuntimeError(message)
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(message)
            except TypeError:
                continue  # it wants other arguments, as UnicodeDecodeError does
    return RuntimeError(message)


def _write_back(argument: Any, changed: Any) -> None:
    """Let a list, dictionary or set of the assertions change as the program changed its copy."""
    if type(argument) is not type(changed) or argument == changed:
        return
    if isinstance(argument, list):
        for mine, theirs in zip(argument, changed, strict=False):
            _write_back(mine, theirs)
        argument[:] = [_kept(*pair) for pair in itertools.zip_longest(argument[: len(changed)], changed)]
    elif isinstance(argument, dict):
        for key in argument.keys() & changed.keys():
            _write_back(argument[key], changed[key])
        merged = {key: _kept(argument.get(key), value) for key, value in changed.items()}
        argument.clear()
        argument.update(merged)
    elif isinstance(argument, set):
        argument.clear()
        argument.update(changed)


def _kept(mine: Any, theirs: Any) -> Any:
    """An object of the assertions where it now holds what the program's does, so that other names still see it."""
    return mine if type(mine) is type(theirs) and isinstance(mine, list | dict | set) else theirs


def _rebuilt(kind: str, value: Any) -> Any:
    makers: dict[str, Callable[[Any], Any]] = {
        "value": lambda data: data,
        "range": lambda data: range(*data),
        "keys": lambda data: dict.fromkeys(data).keys(),
        "values": lambda data: dict(enumerate(data)).values(),
        "items": lambda data: dict(data).items(),
        "deque": collections.deque,
        "iterator": iter,
    }
    return makers[kind](value)
