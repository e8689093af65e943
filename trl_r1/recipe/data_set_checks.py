"""What is wrong with the recipes of the verbs that compose data, answer general prompts and measure difficulty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def composition_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a composition, a line each."""
    threshold = values["near_duplicate_threshold"]
    if threshold is not None and not 0 < threshold <= 1:
        yield f"near_duplicate_threshold: {threshold} must be above 0 and at most 1"
    if values["domain_targets"] is not None:
        yield from target_problems(values["domain_targets"])
    yield from _domain_problems(values)
    for name in ("prompt_template", "chat_template", "max_train_rows"):
        if values[name] is not None:
            yield f"{name}: {values[name]!r} does nothing here: rows are composed as they are; delete the line"


def _domain_problems(values: Mapping[str, Any]) -> Iterator[str]:
    paths = [entry["path"] if isinstance(entry, Mapping) else entry.path for entry in values["datasets"] or []]
    for path, domain in (values["source_domains"] or {}).items():
        if path not in (*paths, values["dataset_name"]):
            yield f"source_domains: {path!r} is none of the data sets; write its path as it stands there"
        if not isinstance(domain, str) or not domain.strip():
            yield f"source_domains: {domain!r} of {path!r} is no name of a domain"


def target_problems(targets: Any) -> list[str]:
    """What is wrong with `domain_targets`, a line each."""
    if not isinstance(targets, Mapping):
        return [f"domain_targets: {targets!r} is no mapping; write {{math: 1000, general: 0.25}}, say"]
    problems = []
    for name, target in targets.items():
        if isinstance(target, bool) or not isinstance(target, (int, float)):
            problems.append(f"domain_targets: {target!r} of {name!r} is no number; give rows (1000) or a share (0.25)")
        elif isinstance(target, int) and target < 0:
            problems.append(f"domain_targets: {target} rows of {name!r} must be at least 0")
        elif isinstance(target, float) and not 0 < target <= 1:
            problems.append(
                f"domain_targets: {target} of {name!r} is no share (above 0, up to 1.0); rows are whole numbers"
            )
    shares = [target for target in targets.values() if isinstance(target, float)]
    if not problems and sum(shares) > 1 + 1e-9:
        problems.append(f"domain_targets: shares of {sum(shares):g} in all are more than the whole; lower them")
    return problems


def difficulty_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an estimate of difficulty, a line each."""
    low, high = values["min_pass_rate"], values["max_pass_rate"]
    for name, rate in (("min_pass_rate", low), ("max_pass_rate", high)):
        if rate is not None and not 0 <= rate <= 1:
            yield f"{name}: {rate} is no share; give a number from 0 to 1"
    if low is not None and high is not None and low > high:
        yield f"min_pass_rate: {low} is above max_pass_rate {high}, so that no row would be kept"
    cache = values["difficulty_cache"]
    if cache and Path(cache).is_file():
        yield f"difficulty_cache: {cache!r} is a file; name a folder"


def general_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a recipe for general data, a line each."""
    if values["max_repetition"] is not None and not 0 <= values["max_repetition"] <= 1:
        yield f"max_repetition: {values['max_repetition']} must be between 0 and 1"
    if values["max_paragraph_words"] is not None and values["max_paragraph_words"] < 1:
        yield f"max_paragraph_words: {values['max_paragraph_words']} must be at least 1"
    if values["max_trivial_words"] < 0:
        yield f"max_trivial_words: {values['max_trivial_words']} must be at least 0"
    if values["prompt_template"] is not None:
        yield f"prompt_template: {values['prompt_template']!r}, but general prompts are asked as chats; delete it"
