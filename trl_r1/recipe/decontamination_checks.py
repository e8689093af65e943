"""What is wrong with the values of a `decontaminate` recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final


_MAX_PARTS: Final = 5  # path:config:split:question_column:answer_column


def decontamination_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """A line each."""
    if not values["benchmarks"]:
        yield "benchmarks: missing; name at least one, such as HuggingFaceH4/MATH-500 or a folder of questions"
    for name in values["benchmarks"]:
        if not name.split(":")[0].strip() or name.count(":") >= _MAX_PARTS:
            yield f"benchmarks: {name!r} cannot be read; write path:config:split:question_column:answer_column"
    if values["ngram_size"] < 2:
        yield f"ngram_size: {values['ngram_size']} must be at least 2"
    if not 0 <= values["min_coverage"] <= 1:
        yield f"min_coverage: {values['min_coverage']} must be between 0 and 1"
    if not 0 < values["near_duplicate_threshold"] <= 1:
        yield f"near_duplicate_threshold: {values['near_duplicate_threshold']} must be above 0 and at most 1"
    if values["max_train_rows"] is not None:
        yield "max_train_rows: the rest of the data would not be checked; leave it out"
    if values["check_only"] and values["push_to_hub"]:
        yield "push_to_hub: nothing is written with check_only; leave one of them out"
    yield from (f"samples: there is no {path!r}" for path in values["samples"] if not Path(path).exists())
