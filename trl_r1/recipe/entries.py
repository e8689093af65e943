"""Check the entries of an evaluation recipe: checkpoints, suites and comparisons."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from trl_r1.chat_template import RESPONSE_FORMATS
from trl_r1.presets import nearest
from trl_r1.recipe.engine_checks import LOWEST_VLLM_TEMPERATURE, engine_problems
from trl_r1.recipe.inputs import template_problems
from trl_r1.recipe.suite_checks import (
    SUITE_FIELDS,
    file_name_of,
    metrics_of,
    modes_of,
    name_of,
    samples_drawn,
    suite_entry_problems,
    variants_of,
)


_CHECKPOINT_FIELDS: Final = ("name", "path", "revision", "prompt_template", "chat_template", "response_format")
_TEXT_FIELDS: Final = frozenset(
    (
        *("revision", "prompt_template", "chat_template", "dataset_config", "split", "group_by", "cluster_by"),
        *("dataset_prompt_column", "dataset_solution_column", "task_id", "data_files", "system_prompt"),
    )
)
_LIST_FIELDS: Final = frozenset(("metrics", "language_ignored_tokens"))
_COMPARISON_FIELDS: Final = ("before", "after", "suite", "mode", "metric")
_COUNTED: Final = re.compile(r"(pass|cons)@([1-9]\d*)$")  # computed from the answers, whatever was measured
_VARIANT: Final = "variant"  # of a comparison, where the suite has several


def evaluation_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an evaluation recipe, a line each."""
    checkpoints, suites = values["checkpoints"], values["suites"]
    yield from checkpoint_problems(checkpoints)
    yield from suite_problems(suites)
    yield from comparison_problems(values["comparisons"], checkpoints, suites)
    yield from _engine_problems(values)
    if not 0 <= values["max_undecidable"] <= 1:
        yield f"max_undecidable: {values['max_undecidable']} must be between 0 and 1"


def _engine_problems(values: Mapping[str, Any]) -> Iterator[str]:
    yield from engine_problems({**values, "temperature": 1.0})
    if values["engine"] == "server":
        if not values["server_base_url"]:
            yield "server_base_url: missing; give the endpoint's address, such as http://localhost:8000/v1"
        if len(values["checkpoints"]) > 1:
            yield (
                f"checkpoints: {len(values['checkpoints'])} of them, but a server has one model; give each an "
                "evaluation of its own"
            )
        for index, entry in enumerate(values["checkpoints"]):
            if entry.get("chat_template") and not values["server_tokenizer"]:
                yield (
                    f"checkpoints[{index}].chat_template: a server shows chats in its own way; give server_tokenizer "
                    "to show them here"
                )
    for index, suite in enumerate(values["suites"]):
        modes = suite.get("modes") if isinstance(suite.get("modes"), Mapping) else {}
        for name, settings in {"": suite, **modes}.items():
            temperature = settings.get("temperature") if isinstance(settings, Mapping) else None
            if (
                values["engine"] == "vllm"
                and isinstance(temperature, float)
                and 0 < temperature < LOWEST_VLLM_TEMPERATURE
            ):
                where = f"suites[{index}]" + (f".modes.{name}" if name else "")
                yield (
                    f"{where}.temperature: {temperature} is below {LOWEST_VLLM_TEMPERATURE}, which vLLM would take "
                    "instead; set 0 for greedy decoding"
                )


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
        yield "suites: missing; list at least one {name: ..., dataset_name: ...} or {benchmark: ...}"
    named = [{**suite, "name": name_of(suite)} for suite in suites]
    yield from _entries("suites", named, SUITE_FIELDS, ("name",))
    for index, suite in enumerate(suites):
        where = f"suites[{index}]"
        name = suite.get("dataset_name")
        if suite.get("benchmark") is None and (not isinstance(name, str) or not name):
            yield f"{where}.dataset_name: {name!r} is not text; every entry needs one, or a benchmark"
        yield from suite_entry_problems(where, suite)


def comparison_problems(
    comparisons: Sequence[Mapping[str, Any]],
    checkpoints: Sequence[Mapping[str, Any]],
    suites: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """What is wrong with an evaluation's `comparisons`, a line each, which else would show after all the measuring."""
    modes = {str(name_of(suite)): modes_of(suite) for suite in suites}
    variants = {str(name_of(suite)): variants_of(suite) for suite in suites}
    metrics = {str(name_of(suite)): metrics_of(suite) for suite in suites}
    drawn = {str(name_of(suite)): samples_drawn(suite) for suite in suites}
    policies = [str(checkpoint.get("name")) for checkpoint in checkpoints]
    for index, entry in enumerate(comparisons):
        where = f"comparisons[{index}]"
        yield from _unknown(where, entry, (*_COMPARISON_FIELDS, _VARIANT))
        yield from _variant_problems(where, entry, variants.get(str(entry.get("suite"))))
        known = {
            "before": policies,
            "after": policies,
            "suite": list(modes),
            "mode": modes.get(str(entry.get("suite"))),
            "metric": None if _COUNTED.match(str(entry.get("metric"))) else metrics.get(str(entry.get("suite"))),
        }
        for name in _COMPARISON_FIELDS:
            allowed = known.get(name)
            if not isinstance(entry.get(name), str):
                yield f"{where}.{name}: {entry.get(name)!r} is not text; every comparison needs one"
            elif allowed is not None and entry[name] not in allowed:
                hint = nearest(entry[name], allowed) or f"use one of {', '.join(allowed)}"
                yield f"{where}.{name}: {entry[name]!r} is not measured; {hint}"
        yield from _k_problems(where, entry, drawn.get(str(entry.get("suite"))))
        if isinstance(entry.get("before"), str) and entry["before"] == entry.get("after"):
            yield f"{where}.after: {entry['after']!r} is before too; name another checkpoint"


def _k_problems(where: str, entry: Mapping[str, Any], drawn: int | None) -> Iterator[str]:
    """A k for which no mode draws enough answers."""
    counted = _COUNTED.match(str(entry.get("metric")))
    if counted and drawn is not None and int(counted[2]) > drawn:
        yield f"{where}.metric: {entry['metric']!r} needs more than the {drawn} samples drawn; raise num_samples"


def _variant_problems(where: str, entry: Mapping[str, Any], known: Collection[str] | None) -> Iterator[str]:
    given = entry.get(_VARIANT)
    if known and given not in known:
        yield f"{where}.{_VARIANT}: {given!r} is not measured; use one of {', '.join(known)}"
    elif known is not None and not known and given is not None:
        yield f"{where}.{_VARIANT}: {given!r}, but the suite has no prompt_variants; leave it out"


def _entries(
    field: str, entries: Sequence[Mapping[str, Any]], known: Collection[str], needed: Collection[str]
) -> Iterator[str]:
    """Unknown, missing and doubled things in a list of mappings."""
    names = [_place(entry.get("name")) for entry in entries]
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
        if names.index(names[index]) != index:
            yield f"{field}[{index}].name: {entry.get('name')!r} stands twice; results would overwrite each other"


def _place(name: Any) -> Any:
    """What a name becomes in the name of a file: two that differ in signs alone would share one."""
    return file_name_of(name) if isinstance(name, str) else name


def _unknown(where: str, entry: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for name in entry:
        if name not in known:
            yield f"{where}.{name}: no such field; {nearest(str(name), known) or 'use one of ' + ', '.join(known)}"
