"""Recipes: YAML files checked whole before anything heavy starts."""

from trl_r1.recipe.fields import VERBS
from trl_r1.recipe.loading import (
    Recipe,
    header_of,
    inspect_recipe,
    is_pipeline,
    load_recipe,
    validate_recipe,
)
from trl_r1.recipe.yaml_files import find_recipe, load_yaml


__all__ = [
    "VERBS",
    "Recipe",
    "find_recipe",
    "header_of",
    "inspect_recipe",
    "is_pipeline",
    "load_recipe",
    "load_yaml",
    "validate_recipe",
]
