"""Check the entries of an evaluation recipe: checkpoints, suites and their modes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from trl_r1.chat_template import RESPONSE_FORMATS
from trl_r1.presets import nearest
from trl_r1.recipe.inputs import template_problems
from trl_r1.verifiers.verdict import VerifierName


_CHECKPOINT_FIELDS: Final = ("name", "path", "revision", "prompt_template", "chat_template", "response_format")
_SUITE_FIELDS: Final = (
    *("name", "dataset_name", "dataset_config", "split", "modes", "group_by", "metrics", "max_rows"),
    *("dataset_prompt_column", "dataset_solution_column", "language_ignored_tokens", "max_completion_length"),
    *("verifier", "task_id"),
)
_TEXT_FIELDS: Final = frozenset(
    (
        "revision",
        "prompt_template",
        "chat_template",
        "dataset_config",
        "split",
        "group_by",
        "dataset_prompt_column",
        "task_id",
    )
)
_LIST_FIELDS: Final = frozenset(("metrics", "language_ignored_tokens"))
_MODE_FIELDS: Final = ("temperature", "top_p", "prefill", "prefill_column", "num_samples", "max_completion_length")
_DEFAULT_MODES: Final = ("sampled", "greedy")  # of a suite that names none
_COMPARISON_FIELDS: Final = ("before", "after", "suite", "mode", "metric")


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
        if suite.get("verifier", "math") not in get_args(VerifierName):
            yield f"suites[{index}].verifier: {suite['verifier']!r} is none of {get_args(VerifierName)}"
        modes = suite.get("modes") or {}
        if not isinstance(modes, Mapping):
            yield f"suites[{index}].modes: {modes!r} is not a mapping of names to sampling settings"
            continue
        for mode, settings in modes.items():
            where = f"suites[{index}].modes.{mode}"
            if isinstance(settings, Mapping):
                yield from _mode_problems(where, settings)
            elif settings is not None:  # nothing behind the name: all defaults
                yield f"{where}: {settings!r} is not a mapping; write {{temperature: 1.0}}"


def _mode_problems(where: str, settings: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, settings, _MODE_FIELDS)
    temperature, top_p, samples = (settings.get(name, 1) for name in ("temperature", "top_p", "num_samples"))
    if not _is_number(temperature) or temperature < 0:
        yield f"{where}.temperature: {temperature!r} is not a number of at least 0"
    if not _is_number(top_p) or not 0 < top_p <= 1:
        yield f"{where}.top_p: {top_p!r} is not a number above 0 and at most 1"
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        yield f"{where}.num_samples: {samples!r} is not a whole number of at least 1"
    elif temperature == 0 and samples > 1:
        yield f"{where}.num_samples: {samples} copies of one greedy answer; set it to 1 or the temperature above 0"
    if not isinstance(settings.get("prefill", ""), str):
        yield f"{where}.prefill: {settings['prefill']!r} is not text; put it in quotes"


def comparison_problems(
    comparisons: Sequence[Mapping[str, Any]],
    checkpoints: Sequence[Mapping[str, Any]],
    suites: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """What is wrong with an evaluation's `comparisons`, a line each, which else would show after all the measuring."""
    modes = {
        str(suite.get("name")): list(suite["modes"]) if isinstance(suite.get("modes"), Mapping) else _DEFAULT_MODES
        for suite in suites
    }
    policies = [str(checkpoint.get("name")) for checkpoint in checkpoints]
    for index, entry in enumerate(comparisons):
        where = f"comparisons[{index}]"
        yield from _unknown(where, entry, _COMPARISON_FIELDS)
        known = {
            "before": policies,
            "after": policies,
            "suite": list(modes),
            "mode": modes.get(str(entry.get("suite"))),
        }
        for name in _COMPARISON_FIELDS:
            allowed = known.get(name)
            if not isinstance(entry.get(name), str):
                yield f"{where}.{name}: {entry.get(name)!r} is not text; every comparison needs one"
            elif allowed is not None and entry[name] not in allowed:
                hint = nearest(entry[name], allowed) or f"use one of {', '.join(allowed)}"
                yield f"{where}.{name}: {entry[name]!r} is not measured; {hint}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
        for name in _LIST_FIELDS & entry.keys():
            if not isinstance(entry[name], list) or not all(isinstance(item, str) for item in entry[name]):
                yield f"{field}[{index}].{name}: {entry[name]!r} is not a list of words; write [{entry[name]}]"
        if names.index(entry.get("name")) != index:
            yield f"{field}[{index}].name: {entry.get('name')!r} stands twice; results would overwrite each other"


def _unknown(where: str, entry: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for name in entry:
        if name not in known:
            yield f"{where}.{name}: no such field; {nearest(str(name), known) or 'use one of ' + ', '.join(known)}"
