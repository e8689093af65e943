"""Many cards at once: one that cannot be written costs none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from trl_r1.errors import RecordError
from trl_r1.run_records import FinishedStage


CARD_NAME: Final = "README.md"


def write_cards(stages: Iterable[FinishedStage], write: Callable[[FinishedStage], object]) -> list[Path]:
    """
    Write the card of each stage, and only then complain of those that cannot have one.

    Args:
        stages (`Iterable[FinishedStage]`):
            The stages.
        write (`Callable[[FinishedStage], object]`):
            Writes the card of one.

    Returns:
        `list[Path]`: the cards.

    Raises:
        [`RecordError`]: when all others are written: a line for each reason, with the stages it keeps from a card.
    """
    written: list[Path] = []
    refused: dict[str, list[str]] = {}
    for stage in stages:
        try:
            write(stage)
        except RecordError as error:
            refused.setdefault(str(error), []).append(stage.name)
        else:
            written.append(stage.folder / CARD_NAME)
    if refused:
        raise RecordError("\n".join(f"no card for {', '.join(names)}: {why}" for why, names in refused.items()))
    return written
