"""Banks of ways to ask a question: YAML files of prompt variants, those of the package and your own."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.errors import RecipeError
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.user_code import find_file


BANKS: Final = Path(__file__).parent
_ENDS: Final = (".yaml", ".yml")


def load_variants(name_or_path: str) -> list[PromptVariant]:
    """
    The ways to ask of a bank.

    Args:
        name_or_path (`str`):
            `"default"` (phrasings of the instruction), `"formats"` (the form of the answer, system prompts, worked
            examples), `"languages"` (the instruction in other languages), or a YAML file of your own:
            `variants: [{name: boxed, instruction: "{problem} Put the answer in \\boxed{}."}]`.

    Returns:
        `list[PromptVariant]`: all of different names.

    Raises:
        [`RecipeError`]: when there is no such bank, or with everything that is wrong with its variants.
    """
    path = find_file(name_or_path) if name_or_path.endswith(_ENDS) else BANKS / f"{name_or_path}.yaml"
    if not path.is_file():
        known = sorted(bank.stem for bank in BANKS.glob("*.yaml"))
        near = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}, or a YAML file"
        raise RecipeError([f"prompt variants: there is no bank {name_or_path!r}; {hint}"])
    content = load_yaml(path)
    entries = content.get("variants")
    if not isinstance(entries, list) or not entries or set(content) != {"variants"}:
        raise RecipeError([f"{path.name}: it must hold `variants`, a list of {{name: ..., instruction: ...}}"])
    problems: list[str] = []
    found = [_variant(entry, f"{path.name}: variants[{index}]", problems) for index, entry in enumerate(entries)]
    names = [variant.name for variant in found if variant is not None]
    problems += [
        f"{path.name}: variants.{name}: it stands twice" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    if problems:
        raise RecipeError(problems)
    return [variant for variant in found if variant is not None]


def _variant(entry: Any, where: str, problems: list[str]) -> PromptVariant | None:
    """A variant, or what is wrong with it added to `problems`."""
    known = [spec.name for spec in dataclasses.fields(PromptVariant)]
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        problems.append(f"{where}: {entry!r} is no mapping with a name")
        return None
    for name in entry:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
            problems.append(f"{where}.{name}: no such field; {hint}")
            return None
    pairs = entry.get("examples") or ()
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        problems.append(f"{where}.examples: {pairs!r} is no list of pairs; write [[question, response]]")
        return None
    try:
        return PromptVariant(**{**entry, "examples": tuple((str(one), str(two)) for one, two in pairs)})
    except RecipeError as error:
        problems += error.problems
        return None
