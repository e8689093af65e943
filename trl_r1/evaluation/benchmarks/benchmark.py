"""What a benchmark is: a data set, the words around its questions, the published way to sample, and a verifier."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

from trl_r1.errors import RecipeError
from trl_r1.recipe.variant_checks import PROBLEM_FIELD
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.verifiers.verdict import VerifierName


VERIFIERS: Final = ("auto", *get_args(VerifierName))
_MAY_LACK: Final = ("hub_id", "config", "revision", "group_by", "cluster_by", "license")
_TEXTS: Final = ("name", "title", "reader", "source", "split", "instruction", *_MAY_LACK)
_WHOLE: Final = ("max_completion_length", "num_samples", "num_questions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    r"""
    A benchmark.

    Args:
        name, title (`str`):
            Key in recipes and records, and what people call it.
        reader (`str`):
            How a row of the data set becomes a question: a name of
            [`~trl_r1.evaluation.benchmarks.readers.READERS`], or a function of your own as `"file.py:name"` or
            `"package.module.name"`. It takes a row and the columns, and returns `problem` and what judges an answer:
            `solution`, `choices`, `tests`, `entry`, `instructions` or `repair_task`.
        hub_id, config, split (`str`, *optional*):
            The data set on the Hub. A reader that makes its questions needs none.
        revision (`str`, *optional*):
            Commit. Without it the newest is read; the record names the commit that was.
        columns (`dict[str, str]`, *optional*):
            From what the reader asks for to the data set's own column, where its default is another; and the reader's
            options.
        instruction (`str`, *optional*, defaults to `"{problem}"`):
            The question with the words around it.
        temperature, top_p, max_completion_length, num_samples (*optional*):
            The published way to sample. Defaults: 0.6, 0.95, 32,768 tokens and 1.
        pass_at, cons_at (`tuple[int, ...]`, *optional*):
            The k that are reported.
        verifier (`str`, *optional*, defaults to `"auto"`):
            What decides; `"auto"` is what a row's columns ask for.
        group_by, cluster_by (`str`, *optional*):
            Columns of the data set: for a table by group; and for questions that are not independent of one another.
        num_questions (`int`, *optional*):
            How many there are; another number is said. Of a reader that makes its questions, how many it makes.
        license (`str`, *optional*):
            Of the data set.
        source (`str`):
            Where these values are from.

    Raises:
        [`RecipeError`]: when a value cannot be.

    Example:

    ```python
    >>> from trl_r1.evaluation.benchmarks import Benchmark, register_benchmark
    >>> register_benchmark(
    ...     Benchmark(
    ...         name="my_sums",
    ...         title="My sums",
    ...         reader="math",
    ...         hub_id="me/sums",
    ...         columns={"problem": "question", "solution": "result"},
    ...         instruction="{problem}\nPut the answer in \\boxed{}.",
    ...         num_samples=4,
    ...         source="mine",
    ...     )
    ... )
    ```
    """

    name: str
    title: str
    reader: str
    source: str
    hub_id: str | None = None
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    instruction: str = PROBLEM_FIELD
    temperature: float = 0.6
    top_p: float = 0.95
    max_completion_length: int = 32768
    num_samples: int = 1
    pass_at: tuple[int, ...] = (1,)
    cons_at: tuple[int, ...] = ()
    verifier: str = "auto"
    group_by: str | None = None
    cluster_by: str | None = None
    num_questions: int | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        problems = [f"benchmarks.{self.name}.{problem}" for problem in self._problems()]
        if problems:
            raise RecipeError(problems)

    def to_dict(self) -> dict[str, Any]:
        """As records keep it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Benchmark:
        """
        From a file.

        Args:
            path (`str` or `Path`):
                YAML with the fields above.

        Raises:
            [`RecipeError`]: when it cannot be read, or with every field that is unknown, missing or cannot be.
        """
        return cls.from_mapping(load_yaml(Path(path)), str(path))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "benchmark") -> Benchmark:
        """
        From a mapping, as a file holds it.

        Raises:
            [`RecipeError`]: with every field that is unknown, missing or cannot be.
        """
        fields = {spec.name: spec for spec in dataclasses.fields(cls)}
        problems = []
        for name in values:
            if name not in fields:
                near = difflib.get_close_matches(str(name), fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(fields)}"
                problems.append(f"{where}: {name}: no such field; {hint}")
        for name in ("name", "title", "reader", "source"):
            if not values.get(name):
                problems.append(f"{where}: {name}: it is missing; every benchmark needs one")
        if problems:
            raise RecipeError(problems)
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**{name: value for name, value in given.items() if value is not None})

    def _problems(self) -> list[str]:
        problems = [f"{name}: {getattr(self, name)!r} is no text" for name in _TEXTS if not self._is_text(name)]
        if isinstance(self.instruction, str) and self.instruction.count(PROBLEM_FIELD) != 1:
            problems.append(f"instruction: {self.instruction!r} must hold {PROBLEM_FIELD} once")
        if self.verifier not in VERIFIERS:
            problems.append(f"verifier: {self.verifier!r} is unknown; use one of {', '.join(VERIFIERS)}")
        for name in _WHOLE:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                problems.append(f"{name}: {value!r} is no whole number of at least 1")
        if not _is_number(self.temperature) or self.temperature < 0:
            problems.append(f"temperature: {self.temperature!r} is no number of at least 0")
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            problems.append(f"top_p: {self.top_p!r} does not lie in (0, 1]")
        if not isinstance(self.columns, Mapping):
            problems.append(f"columns: {self.columns!r} is no mapping; write {{problem: question}}")
        for name in ("pass_at", "cons_at"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or any(type(k) is not int for k in value):
                problems.append(f"{name}: {value!r} is no list of whole numbers; write [1, 4]")
            elif type(self.num_samples) is int and any(k > self.num_samples or k < 1 for k in value):
                problems.append(f"{name}: {list(value)} must lie in 1 to num_samples, {self.num_samples}")
        return problems

    def _is_text(self, name: str) -> bool:
        value = getattr(self, name)
        return isinstance(value, str) or (value is None and name in _MAY_LACK)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
