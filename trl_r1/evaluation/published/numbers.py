"""
Numbers that others published, one versioned YAML file a source beside this module.

A file says what was printed and what is known of how it was measured; what is not known is left out, never guessed.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import DataError, R1Error
from trl_r1.recipe.yaml_files import load_yaml


FOLDER: Final = files("trl_r1") / "evaluation" / "published"
PERCENT: Final = "percent"
DIGITS: Final = 1  # after the point, as the tables print


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNumber:
    """
    One printed number.

    Args:
        model, benchmark, metric (`str`):
            What was measured of whom; benchmarks have the names of [`~trl_r1.evaluation.benchmarks.list_benchmarks`]
            where we have them.
        value (`float`):
            As printed, in `unit`.
        unit (`str`):
            `"percent"`, `"rating"` or `"percentile"`.
        num_questions (`int`, *optional*):
            Of the benchmark; `None` where it is not known for sure.
        num_samples (`int`, *optional*):
            Answers a question; `None` where it is not said.
        protocol (`dict[str, Any]`):
            Temperature, top-p, longest answer and system prompt.
        source, version (`str`):
            Where it is printed, and the date of our file.
        collection (`str`):
            Name of our file.
    """

    model: str
    benchmark: str
    metric: str
    value: float
    unit: str = PERCENT
    num_questions: int | None = None
    num_samples: int | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    source: str
    version: str
    collection: str

    @property
    def share(self) -> float | None:
        """The value as a share of 1; `None` for what is none."""
        return self.value / 100 if self.unit == PERCENT else None


def list_published() -> list[str]:
    """Names of the built-in collections, in order."""
    return sorted(path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))


def published_numbers(
    model: str | None = None, benchmark: str | None = None, collections: tuple[str, ...] | None = None
) -> list[PublishedNumber]:
    """
    Published numbers.

    Args:
        model (`str`, *optional*):
            Of this model only. Case and the organisation before a slash do not count.
        benchmark (`str`, *optional*):
            Of this benchmark only.
        collections (`tuple[str, ...]`, *optional*):
            Names of [`list_published`], or YAML files of the same form; all built-in ones by default.

    Returns:
        `list[PublishedNumber]`: empty where nothing is published of a known model and that benchmark.

    Raises:
        [`R1Error`]: when a collection or the model is unknown, with the nearest name.
        [`DataError`]: when a file is not of this form.

    Example:

    ```python
    >>> [found] = published_numbers("deepseek-r1-distill-qwen-7b", "math_500", ("distilled_students",))
    >>> found.value, found.num_samples
    (92.8, 16)
    ```
    """
    found = [number for name in collections or tuple(list_published()) for number in _collection(name)]
    if model is not None:
        wanted = model.rpartition("/")[2].casefold()
        models = dict.fromkeys(number.model.casefold() for number in found)
        if wanted not in models:
            near = difflib.get_close_matches(wanted, models, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(models)}"
            raise R1Error(f"model: nothing is published of {model!r} that we know; {hint}")
        found = [number for number in found if number.model.casefold() == wanted]
    return [number for number in found if benchmark is None or number.benchmark == benchmark]


@functools.lru_cache(maxsize=32)
def _collection(name: str) -> tuple[PublishedNumber, ...]:
    if name in list_published():
        return tuple(_read(load_yaml(Path(str(FOLDER / f"{name}.yaml"))), name))
    if not name.endswith((".yaml", ".yml")):
        near = difflib.get_close_matches(name, list_published(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(list_published())}, or a YAML file"
        raise R1Error(f"published: {name!r} is unknown; {hint}")
    return tuple(_read(load_yaml(Path(name)), name))


def _read(content: Mapping[str, Any], where: str) -> Iterator[PublishedNumber]:
    try:
        benchmarks, others = content["benchmarks"], set(content.get("others") or ())
        for model, results in content["results"].items():
            for benchmark, printed in results.items():
                known = benchmarks[benchmark] or {}
                main = known.get("metric", "accuracy")
                for metric, value in (printed if isinstance(printed, Mapping) else {main: printed}).items():
                    yield PublishedNumber(
                        model=model,
                        benchmark=benchmark,
                        metric=metric,
                        value=float(value),
                        unit=metric if metric in ("rating", "percentile") else PERCENT,
                        num_questions=known.get("num_questions"),
                        num_samples=None if model in others else known.get("num_samples"),
                        protocol={} if model in others else dict(content.get("protocol") or {}),
                        source=content["source"],
                        version=str(content["version"]),
                        collection=where,
                    )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: {type(error).__name__}: {error}; it needs source, version, benchmarks and results, as "
            "those in trl_r1/evaluation/published"
        ) from error
