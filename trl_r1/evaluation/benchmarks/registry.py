"""The benchmarks there are: those that come with the package, files of your own, and those your code registers."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Final

from trl_r1.errors import RecipeError
from trl_r1.evaluation.benchmarks.benchmark import Benchmark
from trl_r1.user_code import find_file


DEFINITIONS: Final = Path(__file__).parent / "definitions"
GYM: Final = "reasoning_gym/"  # before the name of a family of puzzles
_ENDS: Final = (".yaml", ".yml")

_registered: dict[str, Benchmark] = {}


def get_benchmark(name_or_path: str) -> Benchmark:
    """
    A benchmark by name.

    Args:
        name_or_path (`str`):
            A built-in or registered name, `"reasoning_gym/<family>"`, or a YAML file.

    Raises:
        [`RecipeError`]: when there is none of that name, with the nearest.
    """
    if name_or_path.endswith(_ENDS):
        path = find_file(name_or_path)
        if not path.is_file():
            raise RecipeError([f"benchmark: there is no file {name_or_path!r}; give a YAML file or a name"])
        return Benchmark.from_yaml(path)
    if name_or_path in _registered:
        return _registered[name_or_path]
    if name_or_path.startswith(GYM):
        return _family(name_or_path.removeprefix(GYM))
    known = {**_built_in(), **_registered}
    if name_or_path not in known:
        near = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}, {GYM}<family> or a YAML file"
        raise RecipeError([f"benchmark: {name_or_path!r} is unknown; {hint}"])
    return known[name_or_path]


def list_benchmarks() -> list[Benchmark]:
    """The built-in and the registered ones, by name. Families of reasoning-gym are not listed one by one."""
    return sorted({**_built_in(), **_registered}.values(), key=lambda benchmark: benchmark.name)


def register_benchmark(benchmark: Benchmark) -> None:
    """
    Add a benchmark for this process.

    Args:
        benchmark ([`Benchmark`]):
            Of a new name, or the same one again.

    Raises:
        [`RecipeError`]: when another one has its name.
    """
    known = {**_built_in(), **_registered}.get(benchmark.name)
    if known is not None and known != benchmark:
        raise RecipeError([f"benchmarks.{benchmark.name}: there is another of this name; choose a name of its own"])
    _registered[benchmark.name] = benchmark


@lru_cache
def _built_in() -> dict[str, Benchmark]:
    found = [Benchmark.from_yaml(path) for path in sorted(DEFINITIONS.glob("*.yaml"))]
    return {benchmark.name: benchmark for benchmark in found}


def _family(name: str) -> Benchmark:
    """
    A family of reasoning-gym's puzzles.

    Raises:
        [`RecipeError`]: when it has none of that name.
        [`R1Error`]: when reasoning-gym is not installed.
    """
    from trl_r1.verifiers.reasoning_gym import require_reasoning_gym

    require_reasoning_gym()
    from reasoning_gym.factory import DATASETS

    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"did you mean {GYM + near[0]!r}?" if near else "see reasoning_gym.factory.DATASETS for its names"
        raise RecipeError([f"benchmark: reasoning-gym has no family {name!r}; {hint}"])
    return Benchmark(
        name=GYM + name,
        title=f"reasoning-gym: {name}",
        reader="reasoning_gym",
        columns={"family": name, "seed": "0"},
        instruction="{problem}\nPlease reason step by step, and put your final answer within \\boxed{}.",
        num_samples=4,
        pass_at=(1, 4),
        num_questions=100,
        license="apache-2.0",
        source="puzzles and scorers of reasoning-gym; instruction as of the paper's maths (R1 README); k is ours",
    )
