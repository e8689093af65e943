"""
Does a score agree with a published one? In standard errors, with only those errors that are there.

Both were measured on the same questions, so the choice of questions is no error of their difference: what is left is
that each policy would have answered otherwise another time, and that the print is rounded. Of a published number only
the mean is known, not each question's rate. Its sampling error is then bounded: the variance of a mean of N questions
with k answers each is `sum p (1 - p) / (k N^2)`, largest for a given mean when all questions are equally hard. So a
distance of x sigma is one of x at least.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.errors import R1Error
from trl_r1.evaluation.interval_forms import quantile
from trl_r1.evaluation.published.numbers import DIGITS, PublishedNumber, published_numbers


AGREE_SIGMAS: Final = 2.0  # 19 of 20 repetitions of one protocol are nearer
_ROUNDING: Final = 0.01 * 10**-DIGITS / math.sqrt(12)  # standard error of a share printed with that many digits
_COUNTED: Final = re.compile(r"(pass|cons)@\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    A score as a share, and what is known of its sampling error.

    Args:
        value (`float`):
            In [0, 1].
        num_questions, num_samples (`int`, *optional*):
            Questions, and answers to each.
        error (`float`, *optional*):
            Standard error over samples on these very questions; bounded where it is not given.
        rounded (`bool`):
            Whether the value is a printed one.
    """

    value: float
    num_questions: int | None = None
    num_samples: int | None = None
    error: float | None = None
    rounded: bool = False

    def sampling_error(self, *, worst_case: bool = False) -> float | None:
        """Its standard error, or the largest it can be; `None` where the number of questions is not known."""
        if self.error is not None and not worst_case:
            return math.hypot(self.error, _ROUNDING if self.rounded else 0.0)
        if self.num_questions is None:
            return None
        bound = largest_sampling_error(self.num_questions, self.num_samples or 1, None if worst_case else self.value)
        if worst_case:
            return bound
        return math.hypot(bound, _ROUNDING if self.rounded else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """
    One of our numbers beside a published one.

    Args:
        ours, published (`float`):
            In the unit of the published one, percent but for ratings.
        difference (`float`, *optional*):
            Ours less the published one.
        error (`float`, *optional*):
            Standard error of that, over samples and rounding; at most.
        sigmas (`float`, *optional*):
            `|difference| / error`; at least.
        sigmas_worst_case (`float`, *optional*):
            The same if every question were answered right half of the time: what holds whatever their rates.
        verdict (`str`):
            `"agrees"`, `"differs by x sigma: look at the protocol"` or `"not comparable: ..."`.
        protocol_differences (`tuple[str, ...]`):
            What is not alike, or not known to be.
        number ([`PublishedNumber`]):
            The published one with its source.
    """

    ours: float | None
    published: float
    difference: float | None = None
    error: float | None = None
    sigmas: float | None = None
    sigmas_worst_case: float | None = None
    verdict: str
    protocol_differences: tuple[str, ...] = ()
    number: PublishedNumber

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dataclasses.asdict(self)


def largest_sampling_error(num_questions: int, num_samples: int, value: float | None = None) -> float:
    """
    The largest standard error of a mean over fixed questions.

    Args:
        num_questions, num_samples (`int`):
            Questions, and answers to each.
        value (`float`, *optional*):
            The mean, in [0, 1]; without one, the largest over all means.

    Raises:
        [`R1Error`]: when a count is below 1 or the mean is no share.

    Example:

    ```python
    >>> round(100 * largest_sampling_error(30, 64), 2)
    1.14
    ```
    """
    if num_questions < 1 or num_samples < 1:
        raise R1Error(f"num_questions, num_samples: {num_questions}, {num_samples} must be at least 1")
    value = 0.5 if value is None else value
    if not 0 <= value <= 1:
        raise R1Error(f"value: {value!r} is no share; give a number from 0 to 1")
    return math.sqrt(value * (1 - value) / (num_questions * num_samples))


def compare_numbers(
    ours: Measured, number: PublishedNumber, protocol_differences: Sequence[str] = (), *, comparable: bool = True
) -> Agreement:
    """
    Compare a score with a published one.

    Args:
        ours ([`Measured`]):
            The score.
        number ([`PublishedNumber`]):
            The published one.
        protocol_differences (`Sequence[str]`, *optional*):
            What is known not to be alike, in words.
        comparable (`bool`, *optional*, defaults to `True`):
            Whether the two mean the same in spite of that.

    Raises:
        [`R1Error`]: when a count of ours cannot be.
    """
    differences = tuple(protocol_differences)
    share = number.share
    if share is None:
        return _not_comparable(None, number, (f"a {number.unit} is not measured here", *differences))
    if not comparable:
        return _not_comparable(100 * ours.value, number, differences)
    theirs = Measured(
        value=share,
        num_questions=number.num_questions or ours.num_questions,
        num_samples=_trials(number.metric, number.num_samples),
        rounded=True,
    )
    difference = ours.value - share
    error, worst = (_joint(ours, theirs, worst_case=worst_case) for worst_case in (False, True))
    if error is None or worst is None:
        return _not_comparable(100 * ours.value, number, ("the number of questions is not known", *differences))
    sigmas = abs(difference) / error
    agrees = sigmas <= AGREE_SIGMAS
    return Agreement(
        ours=100 * ours.value,
        published=number.value,
        difference=100 * difference,
        error=100 * error,
        sigmas=sigmas,
        sigmas_worst_case=abs(difference) / worst,
        verdict="agrees" if agrees else f"differs by {sigmas:.1f} sigma: look at the protocol",
        protocol_differences=differences,
        number=number,
    )


def compare_with_published(
    record: Mapping[str, Any], model: str, collections: tuple[str, ...] | None = None
) -> list[Agreement]:
    """
    Compare an evaluation's record with all that is published of a model on its benchmark.

    Answers drawn with other settings, or to other questions, are another measurement: such a row is "not comparable",
    and says what differs. Another number of answers a question only changes the error of a mean; of `pass@k` and
    `cons@k` the k is part of the name.

    Args:
        record (`Mapping[str, Any]`):
            One of `StageRecord.evaluations`, of a suite that names a benchmark.
        model (`str`):
            As the collection names it, `"deepseek-r1-distill-qwen-7b"` say; a Hub id will do.
        collections (`tuple[str, ...]`, *optional*):
            Of [`published_numbers`].

    Returns:
        `list[Agreement]`: one a published number; empty where none is published of that benchmark.

    Raises:
        [`R1Error`]: when the record names no benchmark, or the model is unknown.
    """
    benchmark = (record.get("benchmark") or {}).get("name")
    if not benchmark:
        raise R1Error(f"suites.{record.get('suite')}: it names no benchmark, so nothing is published of it")
    rows = []
    for number in published_numbers(model, benchmark, collections):
        measured = _measured(record, number.metric)
        differences, notes = list(_protocol_differences(record, number)), list(_notes(record, number))
        if measured is None:
            rows.append(_not_comparable(None, number, (f"{number.metric} was not measured", *differences, *notes)))
        else:
            rows.append(compare_numbers(measured, number, (*differences, *notes), comparable=not differences))
    return rows


def _not_comparable(ours: float | None, number: PublishedNumber, reasons: Sequence[str]) -> Agreement:
    verdict = f"not comparable: {'; '.join(reasons)}"
    return Agreement(
        ours=ours, published=number.value, verdict=verdict, protocol_differences=tuple(reasons), number=number
    )


def _joint(ours: Measured, theirs: Measured, *, worst_case: bool) -> float | None:
    errors = [each.sampling_error(worst_case=worst_case) for each in (ours, theirs)]
    known = [error for error in errors if error is not None]
    if len(known) < 2:
        return None
    return math.hypot(*known)  # never 0: a print of 100.0 may be of 99.96


def _trials(metric: str, num_samples: int | None) -> int | None:
    """Independent answers a question: a majority or a best of k is one, of whatever k."""
    return 1 if _COUNTED.fullmatch(metric) or metric == "self_consistency" else num_samples


def _measured(record: Mapping[str, Any], metric: str) -> Measured | None:
    """A metric of a record with its sampling error, where the record shows it."""
    uncertain = (record.get("uncertainty") or {}).get(metric)
    shown = uncertain or (record.get("metrics") or {}).get(metric)
    if not shown:
        return None
    questions = shown.get("num_questions") or record["num_questions"]
    answers = shown.get("num_samples") or shown.get("n") or record["n"]
    low, high = shown.get("sampling_low"), shown.get("sampling_high")
    within = shown.get("sampling_sd")
    if _COUNTED.fullmatch(metric):
        error = (high - low) / (2 * quantile()) if low is not None and high is not None else None
    else:
        error = within / math.sqrt(answers) if within else None  # none: all alike, so bounded by its mean
    trials = _trials(metric, max(1, answers // questions))
    return Measured(value=shown["value"], num_questions=questions, num_samples=trials, error=error)


def _protocol_differences(record: Mapping[str, Any], number: PublishedNumber) -> Iterator[str]:
    """What makes the answers another measurement."""
    sampling = record.get("sampling") or {}
    pairs = {"temperature": "temperature", "top_p": "top_p", "max_completion_length": "max_new_tokens"}
    for name, own_name in pairs.items():
        published, own = number.protocol.get(name), sampling.get(own_name)
        if published is not None and own != published:
            yield f"{name} {own} against {published}"
    if "system_prompt" in number.protocol and record.get("system_prompt") != number.protocol["system_prompt"]:
        yield "a system prompt against none" if record.get("system_prompt") else "no system prompt"
    definition = record.get("benchmark") or {}
    if definition.get("instruction") is not None and record.get("instruction") != definition["instruction"]:
        yield f"prompt {record.get('instruction')!r} against the benchmark's own"
    if record.get("examples"):
        yield f"{len(record['examples'])} examples against none"
    if number.num_questions is not None and record.get("num_questions") != number.num_questions:
        yield f"{record.get('num_questions')} questions against {number.num_questions}"


def _notes(record: Mapping[str, Any], number: PublishedNumber) -> Iterator[str]:
    """What is worth saying beside it, and changes no mean."""
    own = (record.get("sampling") or {}).get("num_samples")
    if number.num_samples is None:
        yield "how many answers were averaged is not published"
    elif own != number.num_samples:
        yield f"{own} answers a question against {number.num_samples}"
    if not number.protocol:
        yield "the published protocol is not known"
