"""What the runner does about `push_to_hub` in the recipes of its stages.

A stage publishes itself when it ends. What the run writes afterwards, the results of its evaluations on the cards, is
published when the run ends, and with it whatever a killed or disconnected stage did not get to.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import PublishError
from trl_r1.pipeline.graph import Pipeline
from trl_r1.pipeline.relocation import read_secrets
from trl_r1.recipe.loading import HUB_TOKEN_VARIABLE
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.stage_record import has_stage_record


if TYPE_CHECKING:
    from trl_r1.hub.publishing import HubTarget

# Read when huggingface_hub is imported, so that the runner cannot take them over from the pipeline's `env`.
_READ_AT_IMPORT: Final = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HOME", "HF_TOKEN_PATH", "TRANSFORMERS_OFFLINE")

logger = logging.getLogger(__name__)


def stage_target(pipeline: Pipeline, name: str) -> HubTarget | None:
    """Where a stage's recipe asks it to be published, as the recipe says it now; `None` if it does not ask."""
    stage = pipeline.stages[name]
    if stage.config is None or stage.kind == "script":
        return None
    recipe = load_yaml(stage.config)
    values: Mapping[str, Any] = recipe | stage.args
    if not values.get("push_to_hub"):
        return None
    from trl_r1.hub.publishing.recipe_target import recipe_target

    environment = stage_environment(pipeline, name)
    token = environment.get(HUB_TOKEN_VARIABLE) or environment.get("HF_TOKEN")
    return recipe_target(stage.kind, values, pipeline.folder(name), token=token)


def stage_environment(pipeline: Pipeline, name: str) -> dict[str, str]:
    """What a stage's process has in its environment beside the runner's: the pipeline's, and its recipe's secrets."""
    config = pipeline.stages[name].config
    return {**pipeline.env, **(read_secrets(load_yaml(config)) if config else {})}


def check_targets(pipeline: Pipeline, names: Iterable[str]) -> None:
    """
    Ask the Hub, before any stage runs, whether those that are to be published may be.

    Raises:
        [`PublishError`]: naming every stage that may not.
    """
    problems = []
    for name in names:
        target = stage_target(pipeline, name)
        if target is None or any(key in pipeline.env for key in _READ_AT_IMPORT):
            continue  # the stage asks for itself before it trains
        from trl_r1.hub.publishing import check_target

        try:
            check_target(target, new=True)
        except PublishError as error:
            problems.append(f"stages.{name}: push_to_hub: {error}")
    if problems:
        raise PublishError("\n".join(problems))


def publish_stages(pipeline: Pipeline) -> None:
    """Publish the finished stages that ask for it; only what changed is sent, and a failure is a warning."""
    failed = False
    for name in pipeline.stages:
        target = stage_target(pipeline, name)
        if target is not None and has_stage_record(pipeline.folder(name)):
            failed |= not _publish_stage(pipeline, name, target, ["--patience", "60"] if failed else [])


def _publish_stage(pipeline: Pipeline, name: str, target: HubTarget, options: Sequence[str]) -> bool:
    """Publish in a process of its own, which has the stage's environment from its beginning; whether it was."""
    from trl_r1.hub.publishing import publish_command
    from trl_r1.hub.publishing.published import keep_first_tag

    folder = pipeline.folder(name)
    target = keep_first_tag(folder, target)
    words = [*shlex.split(publish_command(folder, target))[1:], *options]
    environment = os.environ | stage_environment(pipeline, name)
    if target.token:
        environment[HUB_TOKEN_VARIABLE] = target.token
        words += ["--token_env", HUB_TOKEN_VARIABLE]
    done = subprocess.run(
        [sys.executable, "-m", "trl_r1.cli", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()[-80:]) or f"exit code {done.returncode}"
        command = publish_command(folder, target)
        logger.warning("%s is not published: %s\nAll is on disk. Publish it later with\n  %s", name, reason, command)
    else:
        logger.info("%s: %s", name, (done.stdout.strip().splitlines() or ["published"])[-1])
    return not done.returncode
