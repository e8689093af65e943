"""A folder's checkpoints and the recipe it is started with: a record names the settings its weights were made with.

A bare script that finds checkpoints goes on from the last. Had the recipe changed meanwhile, the record and the card
would name settings that most or all of the training never saw. A pipeline's runner empties the folder of such a stage;
a bare script refuses it, and what may change is listed here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import RecipeError
from trl_r1.pipeline.fingerprint import hash_named_files
from trl_r1.recipe.comparison import BATCH_FIELDS, step_sizes
from trl_r1.scripts.common import FINGERPRINT_VARIABLE, is_main_process
from trl_r1.stage_record import write_json


if TYPE_CHECKING:
    from trl_r1.recipe import Recipe

SETTINGS_NAME: Final = ".settings.json"
# How long, where, on what hardware, what is saved, shown and sent: none of it changes what a step learns. A step may
# be split otherwise (the first line); its size over all processes is compared instead.
_MAY_CHANGE: Final = frozenset(
    (
        *(*BATCH_FIELDS, "expected_processes"),
        *("max_steps", "num_train_epochs", "resume_from_checkpoint", "stop_on_alarm", "stage_name", "env", "run_name"),
        *("output_dir", "report_to", "project", "disable_tqdm", "reward_workers", "push_to_hub", "merge_adapter"),
        *("dataset_num_proc", "use_cpu", "deepspeed", "activation_checkpointing", "torch_empty_cache_steps"),
        *("dataloader_num_workers", "dataloader_pin_memory", "dataloader_prefetch_factor"),
        *("vllm_gpu_memory_utilization", "vllm_tensor_parallel_size", "vllm_group_port", "vllm_enable_sleep_mode"),
    )
)
_MAY_CHANGE_GROUPS: Final = (
    *("fast", "micro_batch_tokens", "ddp_", "fsdp", "gradient_checkpointing", "vllm_server_"),
    *("hub_", "save_", "log_", "logging_", "eval_", "per_device_eval_", "trackio_"),
)


def check_earlier_settings(recipe: Recipe) -> None:
    """
    Compare a recipe with the settings that the checkpoints in its folder were made with.

    Args:
        recipe ([`~trl_r1.recipe.Recipe`]):
            Of the stage that starts.

    Raises:
        [`RecipeError`]: with every setting and every named file that changed, unless `resume_from_checkpoint` names a
            checkpoint; then the change is noted, and stands in the record.
    """
    from trl_r1.trainer.callbacks import last_whole_checkpoint

    folder, named = Path(recipe.training_args.output_dir), recipe.training_args.resume_from_checkpoint
    settings = _comparable(recipe)
    files = hash_named_files(settings)
    goes_on = bool(named) or last_whole_checkpoint(folder) is not None
    # The runner compares more than the settings, and has emptied the folder of a stage that changed.
    compares = goes_on and not os.environ.get(FINGERPRINT_VARIABLE)
    earlier = _read((Path(named).parent if named else folder) / SETTINGS_NAME) if compares else None
    changed = [*_changes(earlier["settings"], settings), *_edited(earlier["files"], files)] if earlier else []
    if changed and not named:
        raise RecipeError(
            [
                *changed,
                f"output_dir: {folder} holds checkpoints of other settings; delete it to train anew, set them back to "
                "go on, or name a checkpoint in resume_from_checkpoint to go on with these, which the record will say",
            ]
        )
    if is_main_process() and (earlier or not goes_on):
        told = earlier["notes"] if earlier else []
        notes = [*told, *(f"Went on with another setting: {item}" for item in changed)]
        write_json(folder / SETTINGS_NAME, {"settings": settings, "files": files, "notes": notes})


def settings_notes(folder: str | Path) -> list[str]:
    """Which settings were changed between the checkpoints of a folder, for its record."""
    found = _read(Path(folder) / SETTINGS_NAME)
    return [str(note) for note in found["notes"]] if found else []


def _comparable(recipe: Recipe) -> dict[str, Any]:
    """The settings that decide what is learnt, as JSON has them."""
    kept = {
        name: value
        for name, value in recipe.resolved.items()
        if name not in _MAY_CHANGE and not name.startswith(_MAY_CHANGE_GROUPS)
    }
    sizes = step_sizes(vars(recipe.training_args), recipe.processes)
    content: dict[str, Any] = json.loads(json.dumps(kept | sizes, default=str))
    return content


def _changes(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line a setting that differs."""
    names = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    return [
        f"{name}: {_shown(now, name)}, and the checkpoints were made with {_shown(earlier, name)}" for name in names
    ]


def _edited(earlier: dict[str, str], now: dict[str, str]) -> list[str]:
    """A line a file that the recipe names, as it did, and that holds other things now."""
    names = [name for name in now if earlier.get(name, now[name]) != now[name]]
    return [f"{name}: its content is not what the checkpoints were made with" for name in names]


def _shown(settings: dict[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "its default"


def _read(path: Path) -> dict[str, Any] | None:
    """What the folder says of its checkpoints' settings; `None` where it says nothing that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kinds = {"settings": dict, "files": dict, "notes": list}
    if not isinstance(found, dict):
        return None
    found.setdefault("files", {})  # written before files were compared
    return found if all(isinstance(found.get(name), kind) for name, kind in kinds.items()) else None
