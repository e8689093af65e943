"""Files and functions that recipes name: where they lie, and what is wrong when they do not load."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from trl_r1.errors import R1Error


def shipped_recipes() -> Path | None:
    """Folder of the recipes that come with trl_r1: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    if (package / "_recipes").is_dir():
        return package / "_recipes"
    checkout = package.parent
    return checkout / "recipes" if (checkout / "pyproject.toml").is_file() else None


def find_file(path: str | Path) -> Path:
    """
    A file by its path, taken from the working directory, else from the recipes that come with trl_r1.

    Returns:
        `Path`: the file found, or `path` as given when there is none.
    """
    given, shipped = Path(path), shipped_recipes()
    if given.exists() or given.is_absolute() or shipped is None:
        return given
    inside = Path(*given.parts[1:]) if given.parts[:1] == ("recipes",) else given
    return shipped / inside if (shipped / inside).is_file() else given


def load_callable(name: str) -> Callable[..., Any]:
    """
    The function or class behind a dotted path (`"package.module.name"`) or a file and a name (`"world.py:name"`).

    Modules are looked for in the working directory too, which a console script does not do by itself.

    Args:
        name (`str`):
            The path; files as [`find_file`] finds them.

    Raises:
        [`R1Error`]: one line saying what is missing or broken.
    """
    file, colon, attribute = name.rpartition(":")
    module_name, _, dotted = name.rpartition(".")
    if colon:
        module = _load_file(file)
    elif module_name:
        module, attribute = _import(module_name), dotted
    else:
        raise R1Error(f"{name!r} is no function; write package.module.name or file.py:name")
    found = getattr(module, attribute, None)
    if found is None:
        near = difflib.get_close_matches(attribute, dir(module), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise R1Error(f"there is no {attribute!r} there{hint}")
    if not callable(found):
        raise R1Error(f"it is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def _import(module_name: str) -> ModuleType:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise R1Error(f"cannot import {module_name} ({first_line(error)})") from error


def _load_file(file: str) -> ModuleType:
    path = find_file(file).resolve()
    if not path.is_file():
        raise R1Error(f"there is no file {file!r}")
    module_name = f"_trl_r1_{path.stem}_{abs(hash(str(path))):x}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise R1Error(f"{file!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: its dataclasses look themselves up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise R1Error(f"{file!r} does not run ({first_line(error)})") from error
    return module


def first_line(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
