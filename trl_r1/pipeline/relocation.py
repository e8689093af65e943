"""Running a pipeline in another folder than its own, with recipes that stay plain and can be launched alone.

Recipes name paths as they are by default (`outputs/tiny/base`). Asked for another `output_dir`, the runner writes each
recipe anew with that beginning replaced, as text, so that its comments and layout stay. Tokens are not copied: the
stage gets them in its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trl_r1.pipeline.graph import Pipeline
from trl_r1.recipe.loading import HUB_TOKEN_VARIABLE
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.redaction import hide_forms, is_secret, redact_values


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
    text = config.read_text(encoding="utf-8")
    content = load_yaml(config)
    if read_secrets(content):
        origin += "# without its secrets, which the runner hands over, and its comments, which might repeat them\n"
        text = yaml.safe_dump(redact_values(content), sort_keys=False, allow_unicode=True, width=119)
    copy.write_text(origin + hide_forms(relocate_text(pipeline, text)), encoding="utf-8")
    return copy


def read_secrets(content: Mapping[str, Any]) -> dict[str, str]:
    """The secrets of a recipe, as the environment its stage gets: its `hub_token`, and those in its `env`."""
    environment = content.get("env")
    found = {
        str(name): str(value)
        for name, value in (environment.items() if isinstance(environment, Mapping) else ())
        if is_secret(str(name), value)
    }
    token = content.get("hub_token")
    return found | ({HUB_TOKEN_VARIABLE: token} if isinstance(token, str) and token else {})
