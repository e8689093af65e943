"""Check the entries of an evaluation recipe: checkpoints, suites and their modes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from trl_r1.chat_template import RESPONSE_FORMATS
from trl_r1.presets import nearest
from trl_r1.recipe_inputs import template_problems


_CHECKPOINT_FIELDS: Final = ("name", "path", "revision", "prompt_template", "chat_template", "response_format")
_SUITE_FIELDS: Final = (
    *("name", "dataset_name", "dataset_config", "split", "modes", "group_by", "metrics", "max_rows"),
    *("dataset_prompt_column", "dataset_solution_column", "language_ignored_tokens", "max_completion_length"),
)
_TEXT_FIELDS: Final = frozenset(
    ("revision", "prompt_template", "chat_template", "dataset_config", "split", "group_by", "dataset_prompt_column")
)
_MODE_FIELDS: Final = ("temperature", "top_p", "prefill", "num_samples", "max_completion_length")


def checkpoint_problems(checkpoints: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with an evaluation's `checkpoints`, a line each."""
    if not checkpoints:
        yield "checkpoints: missing; list at least one {name: ..., path: ...}"
    yield from _entries("checkpoints", checkpoints, _CHECKPOINT_FIELDS, ("name", "path"))
    for index, entry in enumerate(checkpoints):
        yield from (f"checkpoints[{index}].{problem}" for problem in template_problems(entry))
        if entry.get("response_format") not in (None, *RESPONSE_FORMATS):
            yield f"checkpoints[{index}].response_format: {entry['response_format']!r} is none of {RESPONSE_FORMATS}"


def suite_problems(suites: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with an evaluation's `suites`, a line each."""
    if not suites:
        yield "suites: missing; list at least one {name: ..., dataset_name: ...}"
    yield from _entries("suites", suites, _SUITE_FIELDS, ("name", "dataset_name"))
    for index, suite in enumerate(suites):
        modes = suite.get("modes", {})
        if not isinstance(modes, Mapping):
            yield f"suites[{index}].modes: {modes!r} is not a mapping of names to sampling settings"
            continue
        for mode, settings in modes.items():
            where = f"suites[{index}].modes.{mode}"
            if settings is None:  # all defaults
                continue
            if not isinstance(settings, Mapping):
                yield f"{where}: {settings!r} is not a mapping; write {{temperature: 1.0}}"
                continue
            yield from _unknown(where, settings, _MODE_FIELDS)
            temperature = settings.get("temperature", 1.0)
            if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or temperature < 0:
                yield f"{where}.temperature: {temperature!r} is not a number of at least 0"


def _entries(
    field: str, entries: Sequence[Mapping[str, Any]], known: Collection[str], needed: Collection[str]
) -> Iterator[str]:
    """Unknown, missing and doubled things in a list of mappings."""
    names = [entry.get("name") for entry in entries]
    for index, entry in enumerate(entries):
        yield from _unknown(f"{field}[{index}]", entry, known)
        for name in needed:
            if not isinstance(entry.get(name), str) or not entry[name]:
                yield f"{field}[{index}].{name}: {entry.get(name)!r} is not text; every entry needs one"
        for name in _TEXT_FIELDS & entry.keys() - set(needed):
            if not isinstance(entry[name], (str, type(None))):
                yield f"{field}[{index}].{name}: {entry[name]!r} is not text; put it in quotes"
        if names.index(entry.get("name")) != index:
            yield f"{field}[{index}].name: {entry.get('name')!r} stands twice; results would overwrite each other"


def _unknown(where: str, entry: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for name in entry:
        if name not in known:
            yield f"{where}.{name}: no such field; {nearest(str(name), known) or 'use one of ' + ', '.join(known)}"
