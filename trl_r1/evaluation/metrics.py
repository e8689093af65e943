"""What is measured of one answer. Each metric gives a bool, a number, or `None` where it does not apply."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from trl_r1.data.filters import count_tokens, language_of
from trl_r1.data.judging import JudgedSample
from trl_r1.errors import R1Error, RecipeError
from trl_r1.rewards.reflection import count_reflective
from trl_r1.rewards.words import count_words
from trl_r1.user_code import load_callable


Value = bool | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMetric:
    """
    A named measurement of one answer.

    Args:
        name (`str`):
            Key in the record.
        measure (`Callable`):
            From a sample to its value; `None` where the metric does not apply: the answer is left out of the mean.
        share (`bool`):
            Whether numbers lie in [0, 1].
        count (`bool`):
            Whether they are counts, of which none is below zero.
    """

    name: str
    measure: Callable[[JudgedSample], Value]
    share: bool = False
    count: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricContext:
    """What some metrics need beside the sample."""

    tokenizer: Any
    language_ignored_tokens: tuple[str, ...] = ()


def accuracy(sample: JudgedSample) -> bool | None:
    """Whether the answer is right; `None` without a gold answer, or where the verifier could not decide."""
    return sample.correct


def well_formed(sample: JudgedSample) -> bool:
    """Whether the response has no format defect."""
    return sample.parsed.well_formed


def chain_tokens(sample: JudgedSample, context: MetricContext) -> float | None:
    """Tokens of the chain of thought; 0 without one, `None` where a server keeps its tokenizer to itself."""
    if context.tokenizer is None:
        return None
    return float(count_tokens(sample.parsed.reasoning or "", context.tokenizer))


def completion_tokens(sample: JudgedSample) -> float:
    """Tokens the policy wrote, the end token included, as TRL logs them."""
    return float(sample.completion.num_tokens)


def truncated(sample: JudgedSample) -> bool:
    """Whether the length limit ended the answer."""
    return sample.completion.finish_reason == "length"


def reflections(sample: JudgedSample) -> float:
    """Words of self-reflection in the chain of thought (paper, v2 C.2); 0 without one."""
    return float(count_reflective(sample.parsed.reasoning)[0])


def language_consistency(sample: JudgedSample, context: MetricContext) -> float | None:
    """Share of the chain's words that are in the question's language; `None` for a chain without words."""
    target, counts = _chain_words(sample, context)
    total = sum(counts.values())
    return counts.get(target, 0.0) / total if total else None


def mixed(sample: JudgedSample, context: MetricContext) -> bool | None:
    """Whether words of more than one language occur in the chain; `None` for a chain without words."""
    _, counts = _chain_words(sample, context)
    return len(counts) > 1 if counts else None


def _chain_words(sample: JudgedSample, context: MetricContext) -> tuple[str, dict[str, float]]:
    target = language_of(sample.row, context.language_ignored_tokens)
    chain = sample.parsed.reasoning or ""
    return target, count_words(chain, target, ignored_tokens=context.language_ignored_tokens)


def built_in_metrics(context: MetricContext) -> dict[str, SampleMetric]:
    """The metrics that need no path, by name, in the order of a record."""
    metrics = (
        SampleMetric(name="accuracy", measure=accuracy),
        SampleMetric(name="well_formed", measure=well_formed),
        SampleMetric(name="language_consistency", measure=partial(language_consistency, context=context), share=True),
        SampleMetric(name="mixed", measure=partial(mixed, context=context)),
        SampleMetric(name="chain_tokens", measure=partial(chain_tokens, context=context), count=True),
        SampleMetric(name="completion_tokens", measure=completion_tokens, count=True),
        SampleMetric(name="reflections", measure=reflections, count=True),
        SampleMetric(name="truncated", measure=truncated),
    )
    return {metric.name: metric for metric in metrics}


def resolve_metrics(names: Sequence[str], context: MetricContext) -> list[SampleMetric]:
    """
    The metrics a suite names.

    Args:
        names (`Sequence[str]`):
            Built-in names, and functions `(answer: str) -> bool | float | None` as `"package.module.name"` or
            `"file.py:name"`. The answer is the text after the thoughts; where there is none, the metric does not
            apply. Empty: all built-in metrics.
        context ([`MetricContext`]):
            For the built-in ones.

    Raises:
        [`RecipeError`]: with every name that is unknown or stands twice.
    """
    known = built_in_metrics(context)
    if not names:
        return list(known.values())
    found: dict[str, SampleMetric] = {}
    problems = []
    for name in names:
        try:
            metric = known[name] if name in known else _own_metric(name, list(known))
        except RecipeError as error:
            problems += error.problems
            continue
        if metric.name in found:
            problems.append(f"metrics: {metric.name!r} stands twice; give the functions different names")
        found[metric.name] = metric
    if problems:
        raise RecipeError(problems)
    return list(found.values())


def _own_metric(name: str, known: list[str]) -> SampleMetric:
    if ":" not in name and "." not in name:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}, or file.py:name"
        raise RecipeError([f"metrics: {name!r} is unknown; {hint}"])
    try:
        function = load_callable(name)
    except R1Error as error:
        raise RecipeError([f"metrics: {name}: {error}"]) from error
    own_name = name.rpartition(":")[2] if ":" in name else name.rpartition(".")[2]
    if own_name in (*known, "tokens_per_correct"):
        raise RecipeError(
            [f"metrics: {name}: {own_name!r} is the name of a metric that is built in; give the function another"]
        )
    return SampleMetric(name=own_name, measure=partial(_call_own, name=own_name, function=function))


def _call_own(sample: JudgedSample, name: str, function: Callable[[str], Any]) -> Value:
    answer = sample.parsed.answer
    if answer is None:
        return None  # there is nothing to be rude, or polite, in: `well_formed` and `n` tell how often
    try:
        value = function(answer)
    except Exception as error:
        raise R1Error(f"metrics: {name} raised {type(error).__name__}: {error} on {answer!r}; mend it") from error
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise R1Error(f"metrics: {name} returned {value!r}; it must return a bool, a finite number or None")
