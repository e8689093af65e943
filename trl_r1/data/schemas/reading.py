"""Bring a source from the schema it is written in to the columns a stage reads, and say how."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trl_r1.data.mixture import PLACE, RawSource
from trl_r1.data.rows import is_main_process
from trl_r1.data.schemas.detection import detect_schema, find_schema
from trl_r1.data.schemas.forms import Form, Purpose, Schema
from trl_r1.data.sharing import Batch, code_key, main_process_first, map_batches
from trl_r1.errors import DataError
from trl_r1.stage_record import hash_json


if TYPE_CHECKING:
    from datasets import Dataset, Features

    from trl_r1.script_arguments import R1ScriptArguments

logger = logging.getLogger(__name__)

REASON = "why_left_out"
_CONVERTERS = ("trl_r1.data.schemas.answers", "trl_r1.data.schemas.chats", "trl_r1.chat_template")
DEFAULT_COLUMNS = {"dataset_prompt_column": "problem", "dataset_solution_column": "solution"}


def read_as(
    source: RawSource, script_args: R1ScriptArguments, purpose: Purpose
) -> tuple[RawSource, R1ScriptArguments]:
    """
    Read a source as its schema says. The mapping is logged, a line a source.

    Args:
        source ([`RawSource`]):
            As it was read.
        script_args ([`R1ScriptArguments`]):
            `dataset_schema`. Columns named by the recipe are read as they are, unless it names a schema too.
        purpose (`str`):
            `"prompts"`, `"sft"` or `"preferences"`.

    Returns:
        `tuple[RawSource, R1ScriptArguments]`: the source with the columns its rows now have, and the arguments with
        the names of these columns.

    Raises:
        [`DataError`]: when the schema does not fit, several fit, or no row can be read.
    """
    named = script_args.dataset_schema
    own = any(getattr(script_args, name) != default for name, default in DEFAULT_COLUMNS.items())
    if named == "columns" or (named == "auto" and own):
        schema = None
    elif named == "auto":
        schema = detect_schema(source.dataset, purpose, source.name)
    else:
        schema = find_schema(named, source.dataset, purpose, source.name)
    if schema is None:
        return source, script_args
    form = schema.feeds[purpose]
    logger.info("%s: read as %s: %s", source.name, schema.name, form.mapping)
    if form.convert is None:
        return source, script_args
    standard = copy.copy(script_args)
    for name, column in DEFAULT_COLUMNS.items():
        setattr(standard, name, column)
    return _convert(source, schema, form), standard


def _convert(source: RawSource, schema: Schema, form: Form) -> RawSource:
    convert = form.convert
    assert convert is not None
    kept_columns = _kept_columns(source.dataset, form)
    features = _features(source.dataset, form, kept_columns)

    def rows_of(batch: Batch) -> Batch:
        names = list(batch)
        columns: Batch = {name: [] for name in features}
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(names, values, strict=True))
            for made in convert({name.lower(): value for name, value in row.items()}):
                own = {name: row[name] for name in kept_columns}
                new = {REASON: made} if isinstance(made, str) else {**own, **made}
                for name, column in columns.items():
                    column.append(new.get(name))
        return columns

    key = hash_json([schema.name, str(features), code_key(__name__, *_CONVERTERS)])
    with main_process_first():
        made = map_batches(source.dataset, rows_of, features, key=key, desc=f"Reading {schema.name}")
    reasons = made[REASON][:]
    counts = dict(Counter(reason for reason in reasons if reason is not None).most_common())
    left = len(reasons) - sum(counts.values())
    told = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    if not left:
        raise DataError(
            f"dataset: none of the {len(reasons)} rows of {source.name!r} can be read as {schema.name} ({told}); "
            "set another dataset_schema, or mend the data"
        )
    if counts and is_main_process():
        logger.warning("%s: left out %d of %d rows: %s", source.name, sum(counts.values()), len(reasons), told)
    kept = made.select([index for index, reason in enumerate(reasons) if reason is None]) if counts else made
    whole = source.dataset if source.whole is None else source.whole
    set_aside = {**source.set_aside, **counts}
    return replace(source, dataset=kept.remove_columns(REASON), whole=whole, set_aside=set_aside)


def _kept_columns(dataset: Dataset, form: Form) -> list[str]:
    """Columns that go on beside the new ones; of SFT rows and pairs only the place in the mixture is of use."""
    if "solution" not in form.columns:
        return [name for name in dataset.column_names if name == PLACE]
    taken = {*form.columns, *form.replaced}
    return [name for name in dataset.column_names if name.lower() not in taken]


def _features(dataset: Dataset, form: Form, kept_columns: list[str]) -> Features:
    from datasets import Features

    kinds = {name: _feature(kind) for name, kind in form.columns.items()}
    return Features({**{name: dataset.features[name] for name in kept_columns}, **kinds, REASON: _feature("string")})


def _feature(kind: Any) -> Any:
    from datasets import Value

    if isinstance(kind, list):
        return [_feature(kind[0])]
    return {name: Value(inner) for name, inner in kind.items()} if isinstance(kind, dict) else Value(kind)
