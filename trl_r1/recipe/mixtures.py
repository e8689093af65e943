"""open-r1's `dataset_mixture` read as TRL's `datasets`, and what is wrong with a mixture of either form."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trl_r1.presets import nearest


logger = logging.getLogger(__name__)

MIXTURE: Final = "dataset_mixture"
_TARGETS: Final = {"id": "path", "config": "name", "split": "split", "columns": "columns"}  # open-r1's -> TRL's
_ENTRY_KEYS: Final = (*_TARGETS, "weight")
_MIXTURE_KEYS: Final = ("datasets", "seed", "test_split_size")


def translate_mixture(content: dict[str, Any], problems: list[str]) -> None:
    """
    Replace open-r1's `dataset_mixture` in a recipe's content by the fields that say the same here.

    Its weights are no shares as TRL's `fraction` is: open-r1 shuffles each data set with the seed, keeps the first
    `int(weight * rows)`, joins what is left and shuffles that with the same seed. So they have a field of their own.

    Args:
        content (`dict[str, Any]`):
            Of the YAML file; changed in place.
        problems (`list[str]`):
            What cannot be translated is added, a line each.
    """
    if MIXTURE not in content:
        return
    mixture = content.pop(MIXTURE)
    found = list(_mixture_problems(mixture))
    for other in ("datasets", "dataset_name"):
        if content.get(other):
            found.append(f"{other}: given beside {MIXTURE}; keep one of them")
    if found:
        problems += found
        content.setdefault("datasets", [{"path": "unread"}])  # so that it is not called missing as well
        return
    entries = mixture["datasets"]
    content["datasets"] = [_translate(entry) for entry in entries]
    content["dataset_mixture_weights"] = [float(entry.get("weight", 1.0)) for entry in entries]
    content["dataset_mixture_seed"] = mixture.get("seed", 0)
    if mixture.get("test_split_size") is not None:
        content["test_split_size"] = mixture["test_split_size"]
    logger.info("dataset_mixture read as: %s", describe_translation(content))


def describe_translation(content: Mapping[str, Any]) -> str:
    """One line that says what became of a `dataset_mixture`."""
    names = ", ".join(f"{new} <- {old}" for old, new in _TARGETS.items())
    weights = zip(content["datasets"], content["dataset_mixture_weights"], strict=True)
    shares = ", ".join(f"{weight:g} of {entry['path']}" for entry, weight in weights)
    test = content.get("test_split_size")
    return (
        f"datasets ({names}); dataset_mixture_weights <- weight ({shares}, each shuffled and cut, then all shuffled); "
        f"dataset_mixture_seed {content['dataset_mixture_seed']} <- seed"
        + (f"; test_split_size {test:g}" if test is not None else "")
    )


def _translate(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {new: entry[old] for old, new in _TARGETS.items() if entry.get(old) is not None}


def _mixture_problems(mixture: Any) -> Iterator[str]:
    if not isinstance(mixture, Mapping) or not isinstance(mixture.get("datasets"), list) or not mixture["datasets"]:
        yield (
            f"{MIXTURE}: is not a mapping with a list `datasets`; write "
            "`dataset_mixture: {datasets: [{id: ..., weight: 0.5}], seed: 0}`"
        )
        return
    yield from _unknown(mixture, _MIXTURE_KEYS, MIXTURE)
    if not isinstance(mixture.get("seed", 0), int) or isinstance(mixture.get("seed", 0), bool):
        yield f"{MIXTURE}.seed: {mixture['seed']!r} is not a whole number"
    yield from _size_problems(mixture.get("test_split_size"), f"{MIXTURE}.test_split_size")
    chosen = []
    for index, entry in enumerate(mixture["datasets"]):
        place = f"{MIXTURE}.datasets[{index}]"
        if not isinstance(entry, Mapping):
            yield f"{place}: {entry!r} is not a mapping; write `id: {entry}`"
            continue
        yield from _unknown(entry, _ENTRY_KEYS, place)
        if not isinstance(entry.get("id"), str) or not entry["id"]:
            yield f"{place}.id: missing; give a folder or a Hub id"
        if not _is_weight(entry.get("weight", 1.0)):
            yield f"{place}.weight: {entry['weight']!r} must be above 0 and at most 1: the share of its rows to keep"
        if entry.get("columns") is not None:
            chosen.append((place, set(entry["columns"])))
    for place, columns in chosen[1:]:  # as open-r1 has it
        if columns != chosen[0][1]:
            yield f"{place}.columns: {sorted(columns)} are not those of {chosen[0][0]}; name the same columns"


def _unknown(mapping: Mapping[str, Any], known: tuple[str, ...], place: str) -> Iterator[str]:
    for key in mapping:
        if key not in known:
            yield f"{place}.{key}: no such field; {nearest(str(key), known) or 'use one of ' + ', '.join(known)}"


def mixture_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a recipe's mixture, a line each."""
    entries = values.get("datasets") or []
    weights, seed = values.get("dataset_mixture_weights"), values.get("dataset_mixture_seed")
    fractions = [index for index, entry in enumerate(entries) if entry.get("fraction") is not None]
    for index in fractions:
        if entries[index]["fraction"] <= 0:
            yield f"datasets[{index}].fraction: {entries[index]['fraction']} must be above 0; leave the entry out"
    if fractions and len(fractions) < len(entries):
        missing = next(index for index in range(len(entries)) if index not in fractions)
        yield f"datasets[{missing}].fraction: missing; give all entries one, or none"
    yield from _size_problems(values.get("test_split_size"), "test_split_size")
    if values.get("test_split_size") is not None and not entries:
        yield "test_split_size: TRL reads it with `datasets` only; write `datasets: [{path: ...}]` for dataset_name"
    if seed is not None and not 0 <= seed < 2**32:
        yield f"dataset_mixture_seed: {seed} must be at least 0 and below {2**32}"
    if seed is not None and not entries:
        yield "dataset_mixture_seed: it shuffles a mixture, and there is none; name the data in `datasets`"
    if weights is None:
        return
    if len(weights) != len(entries):
        yield f"dataset_mixture_weights: {len(weights)} weights for {len(entries)} datasets; give one each"
    if any(not _is_weight(weight) for weight in weights):
        yield f"dataset_mixture_weights: {weights} must each be above 0 and at most 1: the share of the rows to keep"
    if seed is None:
        yield "dataset_mixture_seed: missing; dataset_mixture_weights draw rows with it, such as 0"
    if fractions:
        yield "dataset_mixture_weights: they are shares of each data set, `fraction` is a share of all; keep one"


def _is_weight(weight: Any) -> bool:
    return isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight <= 1


def _size_problems(size: Any, place: str) -> Iterator[str]:
    if size is not None and (isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 1):
        yield f"{place}: {size!r} must be above 0 and below 1: the share of the rows to set aside"
