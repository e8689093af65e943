"""From the mappings of a recipe to what an evaluation is made of."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from trl_r1.data.phrasings import as_variant, load_variants
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.errors import RecipeError
from trl_r1.recipe.suite_checks import BENCHMARK_FIXES, MODE_SHORTCUTS
from trl_r1.recipe.variant_checks import variants_problems


Entry = TypeVar("Entry")
BENCHMARK_GIVES: Final = ("instruction", "max_completion_length", "pass_at", "cons_at", "verifier")


def with_benchmark(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    A suite's entry with what its benchmark says of all it leaves open.

    `num_samples`, `temperature` and `top_p` are those of its one mode, `sampled`, where it names no modes. What a mode
    leaves open is the benchmark's too; greedy decoding draws one sample.

    Args:
        values (`Mapping[str, Any]`):
            The entry.

    Raises:
        [`RecipeError`]: when the benchmark is unknown, or says what the entry says too.
    """
    from trl_r1.evaluation.benchmarks import get_benchmark

    benchmark = get_benchmark(values["benchmark"])
    where = f"suites.{values.get('name', benchmark.name)}"
    shortcuts = {name: values[name] for name in MODE_SHORTCUTS if name in values}
    problems = [
        f"{where}.{name}: it is the benchmark's to say; leave it out" for name in BENCHMARK_FIXES if name in values
    ]
    if shortcuts and "modes" in values:
        problems += [f"{where}.{name}: it has no effect beside modes; set it in a mode" for name in shortcuts]
    if problems:
        raise RecipeError(problems)
    paper = {name: getattr(benchmark, name) for name in MODE_SHORTCUTS}
    defaults = {
        "name": benchmark.name,
        **{name: getattr(benchmark, name) for name in BENCHMARK_GIVES},
        "group_by": "group" if benchmark.group_by else None,
        "cluster_by": "cluster" if benchmark.cluster_by else None,
    }
    filled = {name: value for name, value in {**defaults, **values}.items() if value is not None}
    modes = filled.pop("modes", {"sampled": shortcuts})
    if isinstance(modes, Mapping):
        modes = {
            name: _fill_mode(mode or {}, paper) if isinstance(mode or {}, Mapping) else mode
            for name, mode in modes.items()
        }
        drawn = [mode["num_samples"] for mode in modes.values() if isinstance(mode, Mapping)]
        for name in {"pass_at", "cons_at"} - values.keys():  # as far as these samples go
            filled[name] = tuple(k for k in filled[name] if k <= max(drawn, default=1))
    return {**{name: value for name, value in filled.items() if name not in MODE_SHORTCUTS}, "modes": modes}


def _fill_mode(mode: Mapping[str, Any], paper: Mapping[str, Any]) -> dict[str, Any]:
    """A mode with the benchmark's sampling where it leaves it open."""
    greedy = {"num_samples": 1, "top_p": 1.0} if mode.get("temperature") == 0 else {}
    return {**paper, **greedy, **mode}


def read_variants(given: Any, where: str) -> Iterator[PromptVariant]:
    """
    Prompt variants.

    Args:
        given (*optional*):
            The name or file of a bank, or a list of such and of mappings.
        where (`str`):
            The field, for errors.

    Raises:
        [`RecipeError`]: when one is unknown, or has a field that there is not.
    """
    entries = given if isinstance(given, (list, tuple)) else [given]
    written = [entry for entry in entries if not isinstance(entry, PromptVariant)]
    if problems := list(variants_problems(where, written or None)):
        raise RecipeError(problems)
    for entry in entries:
        if isinstance(entry, PromptVariant):
            yield entry
        elif isinstance(entry, Mapping):
            yield as_variant(entry)
        else:
            yield from load_variants(entry)


def build_entry(kind: type[Entry], values: Mapping[str, Any], where: str, problems: list[str]) -> Entry | None:
    """Build a dataclass of a recipe's entry, adding what is wrong with its fields to `problems`."""
    found = list(_field_problems(kind, values, where))
    problems += found
    return None if found else kind(**values)


def _field_problems(kind: Any, values: Mapping[str, Any], where: str) -> Iterator[str]:
    fields = {spec.name: spec for spec in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(fields)}"
            yield f"{where}.{name}: no such field; {hint}"
    for name, spec in fields.items():
        needed = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if needed and not values.get(name):
            yield f"{where}.{name}: it is missing; every entry needs one"
