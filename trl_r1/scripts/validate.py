"""Check recipes and pipelines whole, and show how a recipe differs from the paper and from TRL's defaults."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from trl_r1.errors import RecipeError
from trl_r1.recipe import inspect_recipe, is_pipeline, load_yaml
from trl_r1.recipe.comparison import ComparedValue, compare_recipe
from trl_r1.scripts.common import report_error


def validate(paths: Sequence[str], verb: str | None = None) -> int:
    """
    Check files and print what was found.

    Args:
        paths (`Sequence[str]`):
            Recipes and pipelines.
        verb (`str`, *optional*):
            Script of the recipes; by default what each header says.

    Returns:
        `int`: 0 when all are good, else 2.
    """
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    failed = False
    for path in paths:
        try:
            _validate_one(path, verb, console)
        except RecipeError as error:
            failed = True
            report_error(error)
    return 2 if failed else 0


def _validate_one(path: str, verb: str | None, console: Console) -> None:
    if is_pipeline(load_yaml(path)):
        from trl_r1.pipeline import load_pipeline
        from trl_r1.pipeline.loading import check_recipes

        pipeline = load_pipeline(path)
        check_recipes(pipeline, pipeline.stages)
        console.print(f"{path}: a good pipeline of {len(pipeline.stages)} stages", markup=False)
        return
    recipe = inspect_recipe(path, verb)
    console.print(f"{path}: a good {recipe.verb} recipe", markup=False)
    rows = compare_recipe(recipe)
    if rows:
        console.print(comparison_table(rows))


def comparison_table(rows: Sequence[ComparedValue]) -> Table:
    """Settings beside TRL's default and the paper's value."""
    table = Table(box=None, header_style="bold")
    for name in ("field", "this recipe", "TRL default", "paper"):
        table.add_column(name)
    for row in rows:
        paper = "not published" if row.paper is None else str(row.paper)
        style = None if row.as_published is None else ("green" if row.as_published else "yellow")
        table.add_row(row.field, str(row.value), str(row.trl_default), paper, style=style)
    return table
