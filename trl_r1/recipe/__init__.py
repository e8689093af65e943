"""Recipes: YAML files checked whole before anything heavy starts."""

from trl_r1.recipe.loading import (
    Recipe,
    header_of,
    inspect_recipe,
    is_pipeline,
    load_recipe,
    validate_recipe,
)
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.stage_record.kinds import VERBS


__all__ = [
    "VERBS",
    "Recipe",
    "header_of",
    "inspect_recipe",
    "is_pipeline",
    "load_recipe",
    "load_yaml",
    "validate_recipe",
]
