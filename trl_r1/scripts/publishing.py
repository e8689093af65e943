"""`push_to_hub` in a recipe: asked for before training, done after it, and never a reason for a run to fail.

The trainer itself pushes nothing. Its own pushes send states that are not whole, wait for the Hub while all processes
wait for each other, and end the run when the Hub does not answer.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.errors import PublishError, RecordError
from trl_r1.scripts.common import is_main_process
from trl_r1.stage_record import has_stage_record, hash_json, read_stage_record


if TYPE_CHECKING:
    from trl_r1.hub.publishing import HubTarget
    from trl_r1.recipe import Recipe

logger = logging.getLogger(__name__)


def publishing(work: Callable[[Recipe], None]) -> Callable[[Recipe], None]:
    """
    A script's work, with what `push_to_hub` asks for around it.

    Before it, the main process asks the Hub whether the target may be written to, and all processes end if not. After
    it, when no process waits for another any more, the main process publishes the stage's folder. A folder that holds
    the finished stage of the same recipe, from a start whose push was cut off, is published without doing it again.

    Args:
        work (`Callable[[Recipe], None]`):
            Leaves a folder with `stage.json`.
    """

    def work_and_publish(recipe: Recipe) -> None:
        from trl_r1.hub.publishing.recipe_target import recipe_target

        folder = output_folder(recipe)
        target = recipe_target(recipe.verb, recipe.resolved, folder, token=recipe.hub_token)
        if target is None:
            work(recipe)
            return
        target, finished = _look_before(target, recipe, folder)
        if recipe.training_args is not None:
            recipe.training_args.push_to_hub = False
        if finished:
            logger.info("%s holds this recipe's finished stage; it is published, and not made again", folder)
        else:
            work(dataclasses.replace(recipe, hub_repo_id=target.repo_id))
        if is_main_process():
            from trl_r1.hub.publishing import publish_or_explain

            publish_or_explain(folder, target)

    return work_and_publish


def output_folder(recipe: Recipe) -> Path:
    """The folder a recipe's stage writes."""
    return Path((recipe.training_args or recipe.script_args).output_dir)


def _look_before(target: HubTarget, recipe: Recipe, folder: Path) -> tuple[HubTarget, bool]:
    """
    Look at the folder and ask the Hub on the main process, and tell the others what came of it.

    Each for itself might see another folder, and would wait in vain for a main process that was refused.

    Returns:
        `tuple[HubTarget, bool]`: the target, in full on the main process; whether the stage is finished.

    Raises:
        [`PublishError`] or [`RecordError`]: in every process.
    """
    from trl_r1.hub.publishing import check_target
    from trl_r1.hub.publishing.published import keep_first_tag

    error: PublishError | RecordError | None = None
    finished = False
    if is_main_process():
        try:
            finished = _is_finished(recipe, folder)
            target = check_target(keep_first_tag(folder, target) if finished else target, new=not finished)
        except RecordError as found:
            error = found
        except PublishError as found:
            error = PublishError(f"push_to_hub: {found}")
    if recipe.processes > 1:
        error, finished = _from_main_process((error, finished))
    if error is not None:
        raise error
    return target, finished


def _from_main_process(value: Any) -> Any:
    """The main process's value, in all of them."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState()  # joins the processes, should nothing have yet
    return broadcast_object_list([value])[0]


def _is_finished(recipe: Recipe, folder: Path) -> bool:
    """Whether the folder holds what the recipe makes, whatever was said of the Hub then."""
    from trl_r1.hub.publishing.recipe_target import without_hub_fields

    if not has_stage_record(folder):
        return False
    record = read_stage_record(folder)
    made, asked = (hash_json(without_hub_fields(config)) for config in (record.config, recipe.resolved))
    return record.kind == recipe.verb and made == asked
