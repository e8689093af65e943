"""Banks of ways to ask a question: YAML files of prompt variants, those of the package and your own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.errors import RecipeError
from trl_r1.recipe.variant_checks import read_bank, variants_problems


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
    where = "prompt variants"
    if problems := list(variants_problems(where, name_or_path)):
        raise RecipeError(problems)
    return [as_variant(entry) for entry in read_bank(where, name_or_path)]


def as_variant(entry: Mapping[str, Any]) -> PromptVariant:
    """A variant of a recipe's or a bank's entry that was found to be sound."""
    said = {name: value for name, value in entry.items() if value is not None}
    return PromptVariant(**{**said, "examples": tuple((one, two) for one, two in said.get("examples", ()))})
