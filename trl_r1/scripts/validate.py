"""Check recipes and pipelines whole, and show how a recipe differs from the paper and from TRL's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from trl_r1.errors import RecipeError
from trl_r1.recipe import inspect_recipe, is_pipeline, load_yaml
from trl_r1.recipe.comparison import ComparedValue, compare_recipe, compared_stage
from trl_r1.scripts.common import report_error
from trl_r1.scripts.publishing import output_folder


if TYPE_CHECKING:
    from trl_r1.hub.publishing import HubTarget

PLACEHOLDER: Final = "your-name"  # in the recipes of this repository
_PAPER: Final[Mapping[str, str]] = {
    "r1_zero_paper": "paper, R1-Zero",
    "r1_paper": "paper, R1",
    "sft": "paper, SFT of R1",
    "distillation": "paper, distillation",
}


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
        from trl_r1.pipeline.publication import stage_target

        pipeline = load_pipeline(path)
        check_recipes(pipeline, pipeline.stages)
        console.print(f"{path}: a good pipeline of {len(pipeline.stages)} stages", markup=False)
        _say_where({name: stage_target(pipeline, name) for name in pipeline.stages}, console)
        return
    from trl_r1.hub.publishing.recipe_target import recipe_target

    recipe = inspect_recipe(path, verb)
    console.print(f"{path}: a good {recipe.verb} recipe", markup=False)
    rows = compare_recipe(recipe)
    if rows:
        console.print(comparison_table(rows, _PAPER.get(compared_stage(recipe), "paper")))
    target = recipe_target(recipe.verb, recipe.resolved, output_folder(recipe))
    _say_where({"": target}, console)


def _say_where(targets: Mapping[str, HubTarget | None], console: Console) -> None:
    """Where results will be published, by stage, and whether that is somebody's place."""
    wanted = {name: target for name, target in targets.items() if target is not None}
    for name, target in wanted.items():
        place = f"{target.repo_type} {target.repo_id}, branch {target.revision}"
        visibility = "private" if target.private else "public"
        console.print(f"{name and f'{name}: '}published to {place}, {visibility} if new", markup=False)
    if any(target.repo_id.startswith(f"{PLACEHOLDER}/") for target in wanted.values()):
        console.print(f"{PLACEHOLDER} is a placeholder: put your name on the Hub there, or set push_to_hub to false")


def comparison_table(rows: Sequence[ComparedValue], paper_column: str = "paper") -> Table:
    """Settings beside TRL's default and the paper's value."""
    table = Table(box=None, header_style="bold")
    for name in ("field", "this recipe", "TRL default", paper_column):
        table.add_column(name)
    for row in rows:
        paper = "not published" if row.paper is None else str(row.paper)
        style = None if row.as_published is None else ("green" if row.as_published else "yellow")
        table.add_row(row.field, str(row.value), str(row.trl_default), paper, style=style)
    return table
