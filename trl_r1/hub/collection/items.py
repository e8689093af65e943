"""Keeping a collection on the Hub as a pipeline's: what is missing is added, notes and order are mended."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import PublishError
from trl_r1.hub.collection.plan import LONGEST_NOTE, PlannedItem, shorten
from trl_r1.hub.publishing.patience import Patience


if TYPE_CHECKING:
    from huggingface_hub import Collection, CollectionItem, HfApi

LONGEST_TITLE: Final = 60  # letters of a collection's title

logger = logging.getLogger(__name__)


def bring_up_to_date(
    items: Sequence[PlannedItem], *, namespace: str, title: str, private: bool, token: str, patience: float
) -> tuple[str, str]:
    """
    Make the collection of a pipeline, or bring it up to date.

    Args:
        items (`Sequence[PlannedItem]`):
            What is on the Hub, in order. Two branches of a repository are one item of a collection.
        namespace, title (`str`):
            Which collection.
        private (`bool`):
            Whether one made for it is private.
        token (`str`):
            With write permission.
        patience (`float`):
            Seconds of waiting and failed tries.

    Returns:
        `tuple[str, str]`: its address, and why it is not up to date if it is not.
    """
    from huggingface_hub import HfApi

    if not items:
        return "", "none of its repositories could be published"
    api, trying = HfApi(token=token), Patience(patience)
    notes: dict[tuple[str, str], list[str]] = {}
    for item in items:
        notes.setdefault((item.target.repo_type, item.target.repo_id), []).append(item.note)
    try:
        collection = trying.attempt(
            f"making collection {title!r}",
            lambda: api.create_collection(
                title, namespace=namespace, private=private, description=_description(items), exists_ok=True
            ),
        )
        wanted = {place: shorten("; ".join(lines), LONGEST_NOTE) for place, lines in notes.items()}
        _fill(api, collection, wanted, trying)
    except PublishError as error:
        logger.error("collection %r: %s", title, error)
        return "", str(error)
    return collection.url, ""


def _fill(api: HfApi, collection: Collection, wanted: Mapping[tuple[str, str], str], trying: Patience) -> None:
    """Add what is missing, then mend notes and order; what others put there stays."""
    slug = collection.slug
    present = _by_place(collection)
    for (kind, name), note in wanted.items():
        if (kind, name.lower()) not in present:
            collection = trying.attempt(
                f"adding {name!r} to the collection",
                lambda kind=kind, name=name, note=note: api.add_collection_item(  # type: ignore[misc]
                    slug, item_id=name, item_type=kind, note=note, exists_ok=True
                ),
            )
    found, order = _by_place(collection), [(kind, name.lower()) for kind, name in wanted]
    moved = [place for place in found if place in order] != order
    for position, (place, note) in enumerate(zip(order, wanted.values(), strict=True)):
        item = found.get(place)
        if item is None:  # renamed on the Hub, which leads from the old name to the new one
            continue
        changes: dict[str, Any] = ({"position": position} if moved else {}) | (
            {"note": note} if item.note != note else {}
        )
        if changes:
            trying.attempt(
                f"ordering {place[1]!r} in the collection",
                lambda item=item, changes=changes: api.update_collection_item(  # type: ignore[misc]
                    slug, item.item_object_id, **changes
                ),
            )


def _by_place(collection: Collection) -> dict[tuple[str, str], CollectionItem]:
    """Items by type and name: upper and lower case are the same on the Hub, which shows its own spelling."""
    return {(item.item_type, item.item_id.lower()): item for item in collection.items}


def _description(items: Sequence[PlannedItem]) -> str:
    kinds = [item.target.repo_type for item in items]
    parts = [
        f"{kinds.count(kind)} {name}{'' if kinds.count(kind) == 1 else 's'}"
        for kind, name in (("model", "checkpoint"), ("dataset", "data set"), ("space", "report"))
        if kind in kinds
    ]
    return f"A DeepSeek-R1 pipeline run with trl_r1: {', '.join(parts)}, each with its lineage."
