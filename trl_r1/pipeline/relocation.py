"""Running a pipeline in another folder than its own, with recipes that stay plain and can be launched alone.

Recipes name paths as they are by default (`outputs/tiny/base`). Asked for another `output_dir`, the runner writes each
recipe anew with that beginning replaced, as text, so that its comments and layout stay.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from trl_r1.pipeline.graph import Pipeline


RECIPE_FOLDER = ".recipes"


def is_relocated(pipeline: Pipeline) -> bool:
    """Whether the outputs go elsewhere than the pipeline file says."""
    return os.path.normpath(pipeline.output_dir) != os.path.normpath(pipeline.default_output_dir)


def relocate_text(pipeline: Pipeline, text: str) -> str:
    """`text` with every path under the pipeline's own output folder moved under the one asked for."""
    if not is_relocated(pipeline):
        return text
    path = rf"(?<![\w./-]){re.escape(pipeline.default_output_dir)}(?=[/\s\"',\]}}]|$)"
    return re.sub(path, lambda _: str(pipeline.output_dir), text, flags=re.MULTILINE)


def relocate_values(pipeline: Pipeline, value: Any) -> Any:
    """A parsed YAML value with every path in it moved."""
    if isinstance(value, str):
        return relocate_text(pipeline, value)
    if isinstance(value, dict):
        return {key: relocate_values(pipeline, item) for key, item in value.items()}
    return [relocate_values(pipeline, item) for item in value] if isinstance(value, list) else value


def stage_recipe(pipeline: Pipeline, name: str) -> Path:
    """The recipe a stage is started with: its own, or a relocated copy, which says where it came from."""
    config = pipeline.stages[name].config
    if config is None:
        raise ValueError(f"stage {name!r} has no recipe")
    if not is_relocated(pipeline):
        return config
    copy = pipeline.output_dir / RECIPE_FOLDER / f"{name}.yaml"
    copy.parent.mkdir(parents=True, exist_ok=True)
    origin = f"# {config}, written anew by `trl-r1 run` for {pipeline.output_dir}\n"
    copy.write_text(origin + relocate_text(pipeline, config.read_text(encoding="utf-8")), encoding="utf-8")
    return copy
