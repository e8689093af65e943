"""What a schema is: the columns it is known by, and for each purpose a mapping of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal


Purpose = Literal["prompts", "sft", "preferences"]
Row = Mapping[str, Any]
Rows = Sequence[dict[str, Any]]

TEXT: Final = "string"
TEXTS: Final = ["string"]
CHAT: Final = [{"role": "string", "content": "string"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """
    How a schema feeds one purpose.

    Args:
        mapping (`str`):
            The mapping as the log shows it.
        convert (`Callable`, *optional*):
            A row, with its column names in lower case, to new rows, or for each row that cannot be made the reason.
            Without it rows are read as they are.
        columns (`dict[str, Any]`, *optional*):
            Columns of the new rows, with their types.
        replaced (`tuple[str, ...]`, *optional*):
            Columns left out beside those of the same name: they say the same, or too much.
    """

    mapping: str
    convert: Callable[[Row], list[dict[str, Any] | str]] | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """
    A way rows are written.

    Args:
        name (`str`):
            Value of `dataset_schema`.
        needs (`tuple[tuple[str, ...], ...]`):
            Columns it is known by, whatever their capitals; of each inner tuple one must be there.
        feeds (`dict[Purpose, Form]`):
            What it can be read for.
        fits (`Callable`, *optional*):
            Whether the first rows look like it, where columns alone do not tell.
        refines (`tuple[str, ...]`, *optional*):
            Schemas that fit the same columns and say less.
        known (`str`, *optional*):
            Data sets of that schema.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    feeds: dict[Purpose, Form]
    fits: Callable[[Rows], bool] = lambda rows: True
    refines: tuple[str, ...] = ()
    known: str = ""

    def missing(self, columns: Sequence[str]) -> list[str]:
        """What of `needs` is not among columns."""
        present = {name.lower() for name in columns}
        return [" or ".join(choice) for choice in self.needs if present.isdisjoint(choice)]
