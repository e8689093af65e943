"""Where a recipe asks to be published: its `push_to_hub` fields, as TRL names them, read as a place on the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trl_r1.hub.publishing.target import MAIN, HubTarget, RepoType
from trl_r1.recipe.hub_checks import HUB_FIELDS
from trl_r1.stage_record.kinds import DATA_VERBS, TRAINING_VERBS


_TYPES: Final[Mapping[str, tuple[str, RepoType]]] = {
    **dict.fromkeys(TRAINING_VERBS, ("hub_model_id", "model")),
    **dict.fromkeys(DATA_VERBS, ("hub_dataset_id", "dataset")),
}


def recipe_target(
    kind: str, values: Mapping[str, Any], folder: str | Path, *, token: str | None = None
) -> HubTarget | None:
    """
    Where a recipe asks its result to be published, if it does.

    Args:
        kind (`str`):
            The verb.
        values (`Mapping[str, Any]`):
            The recipe's fields, at least those that differ from their defaults.
        folder (`str` or `Path`):
            The stage's folder; its name is the repository's unless the recipe names one.
        token (`str`, *optional*):
            The recipe's own.

    Returns:
        [`HubTarget`] or `None`: `None` without `push_to_hub`, and for verbs that publish nothing.
    """
    if kind not in _TYPES or not values.get("push_to_hub"):
        return None
    name, repo_type = _TYPES[kind]
    return HubTarget(
        repo_id=values.get(name) or Path(folder).resolve().name,
        repo_type=repo_type,
        revision=values.get("hub_revision") or MAIN,
        tag=values.get("hub_tag"),
        private=values.get("hub_private_repo") is not False,
        token=token,
    )


def without_hub_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what only says where the result goes: two that agree in the rest make the same."""
    return {name: value for name, value in values.items() if name not in HUB_FIELDS}
