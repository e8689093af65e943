"""Functions that a recipe names: how a sample is refined, how an answer is measured."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from trl_r1.errors import RecipeError


def load_function(name: str, field: str) -> Callable[..., Any]:
    """
    The function behind a dotted path (`"package.module.name"`) or a file and a name in it (`"world.py:name"`).

    Args:
        name (`str`):
            The path; files are relative to the working directory.
        field (`str`):
            Field of the recipe that holds it, for the message.

    Raises:
        [`RecipeError`]: when there is no such file, module or function.
    """
    file, colon, attribute = name.rpartition(":")
    module_name, _, dotted_attribute = name.rpartition(".")
    if colon:
        module = _load_file(Path(file), f"{field}: {name!r}")
    elif module_name:
        attribute = dotted_attribute
        module = _import(module_name, f"{field}: {name!r}")
    else:
        raise RecipeError([f"{field}: {name!r} is no function; write package.module.name or file.py:name"])
    function = getattr(module, attribute, None)
    if not callable(function):
        raise RecipeError([f"{field}: {name!r}: there is no function {attribute!r}; check its name"])
    found: Callable[..., Any] = function
    return found


def _import(module_name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError([f"{where}: cannot import {module_name!r} ({error}); check the path"]) from error


def _load_file(path: Path, where: str) -> ModuleType:
    if not path.is_file():
        raise RecipeError([f"{where}: there is no file {str(path)!r}; check the path"])
    module_name = f"_trl_r1_functions_{path.stem}_{abs(hash(str(path.resolve()))):x}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise RecipeError([f"{where}: {str(path)!r} is no Python file; give a file that ends in .py"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: its dataclasses look themselves up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise RecipeError([f"{where}: it does not run ({type(error).__name__}: {error}); mend the file"]) from error
    return module
