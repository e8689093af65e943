"""Check the ways to ask a question that a recipe names: banks of the package, files of your own, and single ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from trl_r1.chat_template import load_prompt_template
from trl_r1.errors import R1Error, RecipeError
from trl_r1.presets import nearest
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.user_code import find_file


PROBLEM_FIELD: Final = "{problem}"
VARIANT_FIELDS: Final = ("name", "instruction", "system_prompt", "examples", "prompt_template", "language")
YAML_ENDS: Final = (".yaml", ".yml")
_TEXTS: Final = ("system_prompt", "prompt_template", "language")
_BANKS: Final = Path(str(files("trl_r1"))) / "data" / "phrasings"


def bank_names() -> list[str]:
    """Names of the built-in banks of prompt variants."""
    return sorted(path.stem for path in _BANKS.glob("*.yaml"))


def read_bank(where: str, name_or_path: str) -> list[Any]:
    """
    The entries of a bank, not yet looked at.

    Args:
        where (`str`):
            The field that names it, for errors.
        name_or_path (`str`):
            A name of the package's, or a YAML file.

    Raises:
        [`RecipeError`]: when there is no such bank, it cannot be read, or it holds no list of variants.
    """
    known = bank_names()
    path = find_file(name_or_path) if name_or_path.endswith(YAML_ENDS) else _BANKS / f"{name_or_path}.yaml"
    if not path.is_file():
        if name_or_path.endswith(YAML_ENDS):
            text = f"there is no file {name_or_path!r}; give a YAML file, or one of {', '.join(known)}"
        else:
            text = f"{name_or_path!r} is unknown; {nearest(name_or_path, known) or 'use ' + ', '.join(known)}"
        raise RecipeError([f"{where}: {text}"])
    content = load_yaml(path)
    entries = content.get("variants")
    if not isinstance(entries, list) or not entries or set(content) != {"variants"}:
        raise RecipeError([f"{where}: {path.name} must hold `variants`, a list of {{name: ..., instruction: ...}}"])
    return entries


def bank_problems(where: str, name_or_path: str) -> Iterator[str]:
    """What is wrong with a bank, a line each."""
    try:
        entries = read_bank(where, name_or_path)
    except RecipeError as error:
        yield from error.problems
        return
    place = f"{where}: {Path(name_or_path).name}: variants"
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            yield from variant_problems(f"{place}[{index}]", entry)
        else:
            yield f"{place}[{index}]: {entry!r} is not a mapping; write {{name: ..., instruction: ...}}"


def variants_problems(where: str, given: Any) -> Iterator[str]:
    """What is wrong with a bank's name, or with a list of banks and of single variants, a line each."""
    if given is None:
        return
    entries = given if isinstance(given, (list, tuple)) else [given]
    if not entries:
        yield f"{where}: it is empty; name a bank such as default, or leave it out"
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]" if isinstance(given, (list, tuple)) else where
        if isinstance(entry, Mapping):
            yield from variant_problems(place, entry)
        elif isinstance(entry, str):
            yield from bank_problems(place, entry)
        else:
            yield f"{place}: {entry!r} is neither a bank's name nor a mapping; write {{name: ..., instruction: ...}}"
    names = variant_names(given)
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"{where}: the name {name!r} stands twice; give each a name of its own"


def variant_names(given: Any) -> list[str]:
    """The names of all ways to ask, in order; what cannot be read, which is told elsewhere, has none."""
    names: list[str] = []
    for entry in given if isinstance(given, (list, tuple)) else [given]:
        found: list[Any] = [entry]
        if isinstance(entry, str):
            try:
                found = read_bank("", entry)
            except RecipeError:
                continue
        names += [str(one["name"]) for one in found if isinstance(one, Mapping) and one.get("name")]
    return names


def variant_problems(where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one way to ask, a line each."""
    for name in entry:
        if name not in VARIANT_FIELDS:
            hint = nearest(str(name), VARIANT_FIELDS) or f"use one of {', '.join(VARIANT_FIELDS)}"
            yield f"{where}.{name}: no such field; {hint}"
    if not isinstance(entry.get("name"), str) or not entry["name"]:
        yield f"{where}.name: {entry.get('name')!r} is not text; every variant needs one"
    yield from instruction_problems(where, entry)
    for name in _TEXTS:
        if not isinstance(entry.get(name), (str, type(None))):
            yield f"{where}.{name}: {entry[name]!r} is not text; put it in quotes"
    yield from _example_problems(f"{where}.examples", entry.get("examples"))
    if isinstance(entry.get("prompt_template"), str):
        try:
            load_prompt_template(entry["prompt_template"])
        except (R1Error, OSError, UnicodeDecodeError) as error:
            yield f"{where}.prompt_template: {str(error).removeprefix('prompt_template: ')}"


def instruction_problems(where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the words around a question, which hold it once."""
    text = entry.get("instruction")
    if text is None:
        return
    if not isinstance(text, str):
        yield f"{where}.instruction: {text!r} is not text; put it in quotes"
    elif text.count(PROBLEM_FIELD) != 1:
        yield f"{where}.instruction: holds {PROBLEM_FIELD} {text.count(PROBLEM_FIELD)} times; write it exactly once"


def _example_problems(where: str, given: Any) -> Iterator[str]:
    if given is None:
        return
    if not isinstance(given, (list, tuple)):
        yield f"{where}: {given!r} is no list of pairs; write [[question, response]]"
        return
    for index, pair in enumerate(given):
        whole = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        if not whole:
            yield f"{where}[{index}]: {pair!r} is no pair of texts; write [question, response], both in quotes"
