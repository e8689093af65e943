"""What makes two evaluations' records another measurement, and what of them is only worth knowing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final


_OWN_SAMPLING: Final = ("seed", "batch_size", "logprobs", "num_samples")  # they change no mean
_PROMPTING: Final = ("instruction", "system_prompt", "examples", "prefill", "prefill_column")
_JUDGING: Final = ("verifier", "references_sha256", "language_ignored_tokens", "own_metrics")
_OF_THE_POLICY: Final = ("response_format", "engine")  # of each its own, perhaps: said where they differ
_ENGINE: Final = ("engine", "dtype", "versions")
_CHECKED: Final = (*_PROMPTING, "verifier", "sampling", "versions", "data")
_JUDGING_PACKAGES: Final = ("trl_r1", "math-verify", "latex2sympy2_extended", "sympy", "reasoning-gym")


def protocol_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """
    What makes two records of one suite and mode another measurement.

    What only one of them says is no difference. Nor are templates, as each checkpoint is asked in its own, seeds, and
    numbers of answers.

    Args:
        first, second (`Mapping[str, Any]`):
            Of `StageRecord.evaluations`.

    Returns:
        `Iterator[str]`: in words, each with the place and both values.
    """
    where = f"{first['suite']} / {first['mode']}"
    for name in (*_PROMPTING, *_JUDGING):
        if name in first and name in second and first[name] != second[name]:
            yield f"{where}: {name} {_short(first[name])} and {_short(second[name])}"
    for group, names in (("sampling", None), ("versions", _JUDGING_PACKAGES)):
        own, other = (record.get(group) or {} for record in (first, second))
        for name in own.keys() & other.keys() if names is None else names:
            if name in _OWN_SAMPLING or name not in own or name not in other:
                continue
            if own[name] != other[name]:
                yield f"{where}: {name} {_short(own[name])} and {_short(other[name])}"
    asked, other_asked = ((record.get("data") or {}).get("fingerprint") for record in (first, second))
    if asked and other_asked and asked != other_asked:
        yield f"{where}: the questions, {asked[:12]} and {other_asked[:12]}"


def protocol_notes(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[str]:
    """
    What differs and may be a checkpoint's own way, and what the records do not say.

    Args:
        pairs (`Sequence[tuple[Mapping, Mapping]]`):
            Of `StageRecord.evaluations`, a suite, mode and way to ask each.
    """
    if any(first.get("template_sha256") != second.get("template_sha256") for first, second in pairs):
        yield "The two were asked in different templates."
    for name in _OF_THE_POLICY:
        told = next(_apart([_said(each, name) for each in pair] for pair in pairs), None)
        if told:
            yield f"The two were measured with another {name}: {told}."
    for which, own in (("first", [one for one, _ in pairs]), ("second", [other for _, other in pairs])):
        silent = [name for name in _CHECKED if any(name not in each for each in own)]
        if silent:
            yield f"The record of the {which} does not say its {', '.join(silent)}: not checked."


def _said(record: Mapping[str, Any], name: str) -> Any:
    """A record's value; of an engine what would be the same for another policy."""
    value = record.get(name)
    return {part: value[part] for part in _ENGINE if part in value} if isinstance(value, Mapping) else value


def _apart(said: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Of pairs of values those that differ, in words; of mappings, which of their entries."""
    for one, other in said:
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names = [name for name in one if name in other and one[name] != other[name]]
            if names:
                yield ", ".join(f"{name} {_short(one[name])} and {_short(other[name])}" for name in names)
        elif None not in (one, other) and one != other:
            yield f"{_short(one)} and {_short(other)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
