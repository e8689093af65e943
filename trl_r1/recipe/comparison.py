"""How a recipe differs from the paper and from TRL's defaults: the table `trl-r1 validate` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.presets import PRESETS, PROMPTS_PER_STEP, PUBLISHED, STUDENT_RATES, UPDATES_PER_ROLLOUT
from trl_r1.recipe.fields import dataclasses_of
from trl_r1.recipe.hub_checks import HUB_FIELDS
from trl_r1.recipe.loading import Recipe
from trl_r1.recipe.specs import field_specs


# Told by the derived sizes instead: they alone can be compared between one process and a thousand.
BATCH_FIELDS: Final = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation", "generation_batch_size"),
)
_ROWS_PER_STEP: Final = "rows_per_step"
_OURS: Final = ("skip_unscorable",)  # in the presets, not in a paper
_HOUSEKEEPING: Final = ("output_dir", "report_to", "run_name", "seed", "use_cpu", "disable_tqdm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedValue:
    """
    One setting of a recipe beside the paper's.

    Args:
        field (`str`):
            Name of the field, or of a size derived from several.
        value, trl_default (`Any`):
            The recipe's value, and what TRL would take.
        paper (`Any`):
            The published value; `None` where none is published.
    """

    field: str
    value: Any
    trl_default: Any
    paper: Any

    @property
    def as_published(self) -> bool | None:
        """Whether the value is the paper's; `None` where the paper has none."""
        return None if self.paper is None else bool(self.value == self.paper)


def compare_recipe(recipe: Recipe) -> list[ComparedValue]:
    """
    The training settings in which a recipe differs from TRL's defaults or from the paper.

    Args:
        recipe ([`Recipe`]):
            A loaded or inspected recipe; verbs that do not train give no rows.

    Returns:
        `list[ComparedValue]`: published settings first, each part in a fixed order.
    """
    training = dataclasses_of(recipe.verb).get("training_args")
    if training is None:
        return []
    specs = field_specs([training])
    defaults = {name: _plain(spec.default) for name, spec in specs.items()}
    values = defaults | {name: value for name, value in recipe.resolved.items() if name in specs}
    paper = published_values(recipe)
    names = dict.fromkeys([*paper, *(name for name in recipe.resolved if name in specs)])
    sizes, default_sizes = step_sizes(values, recipe.processes), step_sizes(defaults, recipe.processes)
    rows = []
    for name in names:
        if name in (*BATCH_FIELDS, *_HOUSEKEEPING, *HUB_FIELDS):
            continue
        value, default = (source.get(name) for source in (values | sizes, defaults | default_sizes))
        if value != default or value != paper.get(name, default):
            rows.append(ComparedValue(field=name, value=value, trl_default=default, paper=paper.get(name)))
    return rows


def compared_stage(recipe: Recipe) -> str:
    """Which stage of the paper a recipe is compared with: a preset for RL, else a key of `PUBLISHED` or the verb."""
    if recipe.verb == "sft" and recipe.resolved.get("model_name_or_path") in STUDENT_RATES:
        return "distillation"
    if recipe.verb != "grpo":
        return recipe.verb
    script = recipe.script_args
    zero = (script.response_format or ("r1_zero" if script.prompt_template else "r1")) == "r1_zero"
    return "r1_zero_paper" if zero else "r1_paper"


def published_values(recipe: Recipe) -> dict[str, Any]:
    """What the R1 paper publishes for the kind of stage a recipe is."""
    stage = compared_stage(recipe)
    if stage == "distillation":
        return {"learning_rate": STUDENT_RATES[recipe.resolved["model_name_or_path"]], **PUBLISHED[stage]}
    values = PRESETS.get(stage) or PUBLISHED.get(stage, {})
    return {name: value for name, value in values.items() if name not in _OURS}


def step_sizes(values: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """
    The size of a step over all processes, however it is split: rows or prompts an update, and updates a rollout.

    Args:
        values (`Mapping[str, Any]`):
            Every field of the training arguments, the unset ones with their default.
        processes (`int`):
            World size.
    """
    accumulation = values["gradient_accumulation_steps"]
    rows = values["per_device_train_batch_size"] * processes * accumulation
    if "num_generations" not in values:
        return {_ROWS_PER_STEP: rows}
    rollout = values["generation_batch_size"] or (
        values["per_device_train_batch_size"] * processes * (values["steps_per_generation"] or accumulation)
    )
    return {
        PROMPTS_PER_STEP: _whole(rows / values["num_generations"]),
        UPDATES_PER_ROLLOUT: _whole(rollout / rows),
    }


def _whole(number: float) -> float:
    return int(number) if number == int(number) else round(number, 3)


def _plain(value: Any) -> Any:
    """An enumeration's value, as a YAML file would write it."""
    return getattr(value, "value", value)
