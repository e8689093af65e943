"""One candidate's process: take requests from the session's socket, run the code, answer in plain data.

Nothing here is trusted by the other side. A candidate that reaches into this module changes what it says about itself,
and it could say that anyway.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pkgutil
import random
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .enclose import SESSION, STDIN, STDOUT
from .wire import HEADER, WireError, decode, frame


_OWN_FRAMES = 20  # of this module and its callers, below a program's first


def serve(output_bytes: int) -> None:
    """Answer requests to the end of the process, which is the end of the session."""
    random.seed(0)  # the same verdict whenever it is asked for
    sys.setrecursionlimit(sys.getrecursionlimit() + _OWN_FRAMES)  # a program may go as deep as Python lets it
    _Session(output_bytes).serve()


class _Session:
    def __init__(self, output_bytes: int) -> None:
        self._output_bytes = output_bytes
        self._main: types.ModuleType | None = None

    def serve(self) -> None:
        handlers: dict[str, Callable[..., Any]] = {"load": self._load, "call": self._call, "program": self._program}
        self._send(["ready"])
        while True:
            operation, *arguments = self._receive()
            try:
                value = handlers[operation](*arguments)
                self._send(["value", value])
            except BaseException as error:  # noqa: BLE001  (a candidate may raise anything, SystemExit included)
                self._send(_describe(error))

    def _receive(self) -> list[Any]:
        (size,) = HEADER.unpack(self._read(HEADER.size))
        message: list[Any] = decode(self._read(size))
        return message

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = os.read(SESSION, size - len(data))
            if not piece:
                os._exit(0)
            data += piece
        return bytes(data)

    def _send(self, message: list[Any]) -> None:
        try:
            data = frame(message)
        except WireError as error:
            data = frame(["raise", "TypeError", str(error)])
        if len(data) > self._output_bytes:
            data = frame(["output"])
        while data:
            data = data[os.write(SESSION, data) :]

    def _load(self, files: dict[str, str], main: str, proxies: dict[str, list[str]]) -> None:
        sources = {_module_name(name): (source, name.endswith("__init__.py")) for name, source in files.items()}
        made = {module: self._proxy_module(module, names) for module, names in proxies.items() if module}
        for name in [*sources, *made]:  # a snapshot's own `queue` is meant, not the library's
            for loaded in [known for known in sys.modules if known == name or known.startswith(name + ".")]:
                del sys.modules[loaded]
        sys.modules.update(made)
        sys.meta_path.insert(0, _MemoryFinder(sources))
        spec = importlib.util.find_spec(main)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {main!r}")
        self._main = module = importlib.util.module_from_spec(spec)
        for name in proxies.get("", ()):
            setattr(module, name, self._proxy(name))
        sys.modules[main] = module
        spec.loader.exec_module(module)

    def _call(self, function: str, arguments: Sequence[Any], keywords: dict[str, Any]) -> Any:
        owner, _, name = function.rpartition(".")
        return getattr(self._find(owner), name)(*arguments, **keywords)

    def _find(self, dotted: str) -> Any:
        """The main module, another module, or something inside the main module such as a class."""
        if not dotted:
            return self._main
        try:
            return pkgutil.resolve_name(dotted)
        except ModuleNotFoundError:
            return functools.reduce(getattr, dotted.split("."), self._main)

    def _program(self, source: str) -> None:
        os.dup2(STDIN, 0)
        os.dup2(STDOUT, 1)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout)
        sys.argv = ["main.py"]
        main = types.ModuleType("__main__")
        main.__file__ = "main.py"
        sys.modules["__main__"] = main
        ended: list[Any] = ["exit", 0]
        try:
            exec(compile(source, "main.py", "exec", dont_inherit=True), main.__dict__)
        except SystemExit as error:
            ended = ["exit", _exit_code(error)]
        except BaseException as error:  # noqa: BLE001  (a candidate may raise anything)
            ended = _describe(error)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        streams: list[Any] = [sys.stdout, sys.__stdout__]  # a program may have put its own in place
        for stream in streams:
            with contextlib.suppress(ValueError, AttributeError):  # closed, or no stream
                stream.flush()
        self._send(ended)
        os._exit(0)

    def _proxy_module(self, name: str, functions: Sequence[str]) -> types.ModuleType:
        module = types.ModuleType(name)
        for function in functions:
            setattr(module, function, self._proxy(f"{name}.{function}"))
        return module

    def _proxy(self, name: str) -> Callable[..., Any]:
        def proxy(*args: Any, **kwargs: Any) -> Any:
            data = frame(["call", name, list(args), kwargs])
            if len(data) > self._output_bytes:
                raise ValueError(f"arguments of {name} are too large")
            while data:
                data = data[os.write(SESSION, data) :]
            kind, *rest = self._receive()
            if kind == "value":
                return rest[0]
            raise _exception(*rest)

        proxy.__name__ = proxy.__qualname__ = name.rpartition(".")[2]
        return proxy


def _exception(name: str, text: str) -> Exception:
    """
    The builtin exception of that name, or a `RuntimeError`: also instead of `StopIteration`, which would end a loop of
    the caller's as if all of it had been seen.
    """
    kind = getattr(builtins, name, None)
    ends_loops = (StopIteration, StopAsyncIteration)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, ends_loops):
        with contextlib.suppress(TypeError):  # Unicode errors want five arguments
            return kind(text)
    return RuntimeError(text)


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def _describe(error: BaseException) -> list[Any]:
    name = type(error).__name__
    try:
        text = str(error)[:500]
    except BaseException:  # noqa: BLE001  (its own `__str__` may raise anything)
        text = ""
    return ["raise", str(name)[:100], text]


class _MemoryFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the modules of a snapshot from their sources, with no file system."""

    def __init__(self, sources: Mapping[str, tuple[str, bool]]) -> None:
        self._sources = dict(sources)
        for name in sources:  # folders without an `__init__.py` are packages too
            while "." in name:
                name = name.rpartition(".")[0]
                self._sources.setdefault(name, ("", True))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._sources:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def is_package(self, fullname: str) -> bool:
        return self._sources[fullname][1]

    def get_source(self, fullname: str) -> str:
        return self._sources[fullname][0]
