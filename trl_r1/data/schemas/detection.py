"""Which schema a data set is written in, by its columns and first rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.schemas.answers import ANSWER_SCHEMAS
from trl_r1.data.schemas.chats import CHAT_SCHEMAS
from trl_r1.data.schemas.forms import Purpose, Schema
from trl_r1.errors import DataError


if TYPE_CHECKING:
    from datasets import Dataset

SCHEMAS: Final = {schema.name: schema for schema in (*ANSWER_SCHEMAS, *CHAT_SCHEMAS)}
LOOKED_AT: Final = 100  # rows


def detect_schema(dataset: Dataset, purpose: Purpose, source: str) -> Schema | None:
    """
    The schema that fits a data set and feeds a purpose; `None` when none does.

    Raises:
        [`DataError`]: when several fit, none of which says all that the others say.
    """
    rows = first_rows_of(dataset)
    fitting = [
        schema
        for schema in SCHEMAS.values()
        if purpose in schema.feeds and not schema.missing(dataset.column_names) and schema.fits(rows)
    ]
    refined = {name for schema in fitting for name in schema.refines}
    left = [schema for schema in fitting if schema.name not in refined]
    if len(left) > 1:
        said = "; ".join(f"{schema.name} ({schema.feeds[purpose].mapping})" for schema in left)
        raise DataError(f"dataset_schema: {source!r} can be read in {len(left)} ways; set it to one of {said}")
    return left[0] if left else None


def find_schema(name: str, dataset: Dataset, purpose: Purpose, source: str) -> Schema:
    """
    The schema a recipe names.

    Raises:
        [`DataError`]: when it does not feed the purpose, or the data set lacks its columns.
    """
    schema = SCHEMAS[name]
    if purpose not in schema.feeds:
        able = ", ".join(schema.name for schema in SCHEMAS.values() if purpose in schema.feeds)
        raise DataError(f"dataset_schema: {name!r} cannot feed {purpose}; use one of {able}")
    missing = schema.missing(dataset.column_names)
    if missing:
        present = ", ".join(dataset.column_names)
        raise DataError(
            f"dataset_schema: {name!r} needs a column {missing[0]}, which {source!r} has not; it has {present}; "
            "set another schema, or columns for the columns as they are"
        )
    return schema


def first_rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    """The first rows, with column names in lower case."""
    rows = dataset.select(range(min(LOOKED_AT, len(dataset))))
    return [{name.lower(): value for name, value in row.items()} for row in rows]
