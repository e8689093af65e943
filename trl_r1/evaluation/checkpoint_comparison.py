"""
Two checkpoints' evaluations, suite by suite: is one better, how sure is that, and what could the questions show?

Evaluations of another protocol are refused: a difference of prompts, sampling or verifiers is none of checkpoints.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import R1Error
from trl_r1.evaluation.compare import COUNTED, compare_metric, read_pair, unmeasured
from trl_r1.evaluation.paired import PairedComparison, holm
from trl_r1.evaluation.protocols import protocol_differences, protocol_notes
from trl_r1.stage_record import hash_file, read_stage_record


ALPHA: Final = 0.05
BETTER_IF_HIGHER: Final = ("accuracy", "well_formed", "language_consistency")
_UNCHECKED: Final = "Files of answers do not say how they were made: whether the protocols were alike is not checked."


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """
    One metric of one suite and mode, of both checkpoints.

    Args:
        suite, mode, variant, metric (`str`):
            What was compared; the variant is `None` where the question is asked in one way.
        result ([`PairedComparison`]):
            The difference, after less before, its intervals and its p value.
        p_adjusted (`float`, *optional*):
            By Holm's method, for all that is compared here.
        left_out (`int`):
            Questions the metric does not apply to in both.
        verdict (`str`):
            In words.
    """

    suite: str
    mode: str
    variant: str | None = None
    metric: str
    result: PairedComparison
    p_adjusted: float | None = None
    left_out: int = 0
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        names = ("suite", "mode", "variant", "metric", "p_adjusted", "left_out", "verdict")
        return {**{name: getattr(self, name) for name in names}, **self.result.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointComparison:
    """
    Two checkpoints side by side.

    Args:
        before, after (`str`):
            Their names.
        rows (`tuple[ComparedMetric, ...]`):
            One a suite, mode, variant and metric.
        protocol_differences (`tuple[str, ...]`):
            What was not alike and compared anyway.
        notes (`tuple[str, ...]`):
            What else is worth knowing.
    """

    before: str
    after: str
    rows: tuple[ComparedMetric, ...]
    protocol_differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "before": self.before,
            "after": self.after,
            "rows": [row.to_dict() for row in self.rows],
            "protocol_differences": list(self.protocol_differences),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Measured:
    """A record, its file of answers, and the hash that this had when the record was written."""

    record: Mapping[str, Any]
    samples: Path
    sha256: str | None

    @property
    def key(self) -> tuple[str, str, str | None]:
        return str(self.record["suite"]), str(self.record["mode"]), self.record.get("variant")


Key = tuple[str, str, str | None]


def compare_checkpoints(
    first: str | Path,
    second: str | Path | None = None,
    *,
    before: str | None = None,
    after: str | None = None,
    metrics: Sequence[str] | None = None,
    anyway: bool = False,
) -> CheckpointComparison:
    """
    Compare the evaluations of two checkpoints.

    Args:
        first (`str` or `Path`):
            Output folder of `trl-r1 evaluate`, or a file of answers.
        second (`str` or `Path`, *optional*):
            The other one; the same folder by default.
        before, after (`str`, *optional*):
            Names of the checkpoints in them; needed where a folder holds several.
        metrics (`Sequence[str]`, *optional*):
            What to compare; by default all that both have.
        anyway (`bool`, *optional*, defaults to `False`):
            Whether to go on where the protocols differ, with the questions both have.

    Raises:
        [`R1Error`]: when a name is unknown or missing, nothing was measured of both, or the protocols differ.
        [`DataError`]: when a file cannot be read, or the questions differ.
        [`RecordError`]: when a folder holds no record.
    """
    first, second = Path(first), Path(second) if second is not None else Path(first)
    if first.is_file() and second.is_file():
        if first == second and not anyway:
            raise R1Error(f"{first}: one file of answers; name a second one to compare it with")
        rows, known = _compare_files(None, first, second, metrics, anyway)
        _check_metrics(metrics or (), known)
        return _finish(before or first.stem, after or second.stem, rows, (), [_UNCHECKED])
    if first.is_file() != second.is_file():
        raise R1Error(f"folders: {first} and {second}: one is a file and one is not; compare two of one kind")
    old = _evaluations(first, before, "before", alone=first != second)
    new = _evaluations(second, after, "after", alone=first != second)
    if first == second and old[0].record["checkpoint"] == new[0].record["checkpoint"]:
        raise R1Error(f"{first}: both are {before!r}; name two checkpoints, or two folders")
    theirs = {each.key: each for each in new}
    pairs = [(each, theirs[each.key]) for each in old if each.key in theirs]
    if not pairs:
        raise R1Error(f"{second}: no suite and mode was measured of both; first: {_names(old)}; second: {_names(new)}")
    _check_unchanged(each for pair in pairs for each in pair)
    differences = list(
        dict.fromkeys(text for pair in pairs for text in protocol_differences(*(e.record for e in pair)))
    )
    if differences and not anyway:
        raise R1Error(
            f"{second}: it was measured by another protocol: {'; '.join(differences)}. Evaluate both alike, or "
            "compare them with --anyway"
        )
    parts = [_compare_files(one.key, one.samples, other.samples, metrics, anyway) for one, other in pairs]
    found = [row for rows, _ in parts for row in rows]
    _check_metrics(metrics or (), list(dict.fromkeys(name for _, known in parts for name in known)))
    notes = list(_notes(old, new, pairs))
    names = [each[0].record["checkpoint"] for each in (old, new)]
    if names[0] == names[1]:
        names = [f"{name} ({folder.name})" for name, folder in zip(names, (first, second), strict=True)]
    return _finish(names[0], names[1], found, differences, notes)


def verdict_of(metric: str, before: str, after: str, result: PairedComparison, p_adjusted: float | None) -> str:
    """
    A comparison in words.

    Args:
        metric (`str`), before, after (`str`):
            What was compared of whom.
        result ([`PairedComparison`]):
            What was found.
        p_adjusted (`float`, *optional*):
            What decides; the result's own p value unless given.
    """
    p = result.p_value if p_adjusted is None else p_adjusted
    if p is None:
        return "cannot say: all questions are one cluster"
    if p < ALPHA:
        good = metric in BETTER_IF_HIGHER or COUNTED.fullmatch(metric)
        higher = after if result.difference > 0 else before
        return f"{higher} is {'better' if good else 'higher'}"
    if result.p_value is not None and result.p_value < ALPHA:
        return f"no difference that stands among so many comparisons (p {_number(result.p_value)} alone)"
    if result.smallest_detectable is not None:
        return (
            "no difference seen; compared alone, these questions can only show one of "
            f"{_number(result.smallest_detectable)} or more"
        )
    hidden = max(abs(result.low or 0.0), abs(result.high or 0.0))
    return f"no difference seen; one of up to {_number(hidden)} could hide"


def _finish(
    before: str, after: str, found: Sequence[ComparedMetric], differences: Sequence[str], notes: Sequence[str]
) -> CheckpointComparison:
    """With p values adjusted for their number, and verdicts by them."""
    if not found:
        raise R1Error("metrics: none applies to a question of both; evaluate both with the same metrics")
    known: dict[Hashable, float] = {
        place: row.result.p_value for place, row in enumerate(found) if row.result.p_value is not None
    }
    adjusted = holm(known)
    rows = [
        ComparedMetric(
            suite=row.suite,
            mode=row.mode,
            variant=row.variant,
            metric=row.metric,
            result=row.result,
            left_out=row.left_out,
            p_adjusted=(p := adjusted.get(place)),
            verdict=verdict_of(row.metric, before, after, row.result, p),
        )
        for place, row in enumerate(found)
    ]
    return CheckpointComparison(
        before=before, after=after, rows=tuple(rows), protocol_differences=tuple(differences), notes=tuple(notes)
    )


def _compare_files(
    key: Key | None, first: Path, second: Path, metrics: Sequence[str] | None, anyway: bool
) -> tuple[list[ComparedMetric], list[str]]:
    """Each metric's comparison, and the names of all that could have been asked for."""
    answers = read_pair(first, second, common_only=anyway)
    suite, mode, variant = key or ("answers", "", None)
    rows = [
        ComparedMetric(
            suite=suite,
            mode=mode,
            variant=variant,
            metric=name,
            result=found.result,
            left_out=found.left_out + answers.left_out,
            verdict="",
        )
        for name in (answers.shared_metrics if metrics is None else metrics)
        if (found := compare_metric(answers, name)) is not None
    ]
    return rows, answers.shared_metrics


def _check_metrics(asked: Sequence[str], known: Sequence[str]) -> None:
    """
    Refuse metrics by which no suite was measured of both.

    Raises:
        [`R1Error`]: with every one, and the nearest.
    """
    if unknown := unmeasured(asked, known):
        raise R1Error(unknown)


def _evaluations(folder: Path, name: str | None, option: str, *, alone: bool) -> list[_Measured]:
    """What was measured of one checkpoint, in the order of the record."""
    record = read_stage_record(folder)
    if not record.evaluations:
        raise R1Error(f"{folder}: its record holds no evaluation; name a folder that `trl-r1 evaluate` wrote")
    names = list(dict.fromkeys(entry["checkpoint"] for entry in record.evaluations))
    if name is None:
        if len(names) > 1 or not alone:
            raise R1Error(f"{option}: {folder} holds {', '.join(names)}; say which, --{option} NAME")
        name = names[0]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"
        raise R1Error(f"{option}: {name!r} was not measured in {folder}; {hint}")
    hashes = {item.path: item.sha256 for item in record.artefacts}
    return [
        _Measured(entry, folder / entry["samples"], hashes.get(entry["samples"]))
        for entry in record.evaluations
        if entry["checkpoint"] == name
    ]


def _check_unchanged(measured: Iterable[_Measured]) -> None:
    """
    Refuse answers that are not those of the record, whose protocol would be taken for theirs.

    Raises:
        [`R1Error`]: naming the file.
    """
    for each in measured:
        if each.sha256 is not None and each.samples.is_file() and hash_file(each.samples) != each.sha256:
            raise R1Error(
                f"{each.samples}: these are not the answers of the record beside it; an evaluation was begun here "
                "with other settings and not finished, or the file was changed. Give the command of `trl-r1 evaluate` "
                "again"
            )


def _notes(
    old: Sequence[_Measured], new: Sequence[_Measured], pairs: Sequence[tuple[_Measured, _Measured]]
) -> Iterator[str]:
    compared = {first.key for first, _ in pairs}
    for which, own in (("first", old), ("second", new)):
        alone = [each for each in own if each.key not in compared]
        if alone:
            yield f"Measured of the {which} alone, and left out: {_names(alone)}."
    yield from protocol_notes([(one.record, other.record) for one, other in pairs])
    weights = [own[0].record.get("weights_sha256") for own in (old, new)]
    if weights[0] is not None and weights[0] == weights[1]:
        yield "Both have the same weights."


def _names(measured: Sequence[_Measured]) -> str:
    return ", ".join(" / ".join(part for part in each.key if part) for each in measured)


def _number(value: float) -> str:
    return f"{value:.3g}"
