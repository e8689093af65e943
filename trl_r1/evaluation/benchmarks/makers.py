"""Benchmarks whose questions are made and not read: puzzles of reasoning-gym, and faulty programs to repair."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Final

from trl_r1.data.mixture import RawSource
from trl_r1.errors import RecipeError
from trl_r1.evaluation.benchmarks.benchmark import Benchmark


DEFAULT_QUESTIONS: Final = 100
Maker = Callable[[Benchmark, int | None], RawSource]


def make_puzzles(benchmark: Benchmark, max_rows: int | None) -> RawSource:
    """
    Puzzles of one family of reasoning-gym. A puzzle depends on seed and place alone: more of them begin with the same.

    Raises:
        [`R1Error`]: when reasoning-gym is not installed.
    """
    from trl_r1.verifiers.reasoning_gym import require_reasoning_gym

    require_reasoning_gym()
    import reasoning_gym
    from datasets import Dataset
    from reasoning_gym.factory import DATASETS

    family, seed = benchmark.columns.get("family"), _seed(benchmark.columns, benchmark.name)
    if family not in DATASETS:
        hint = difflib.get_close_matches(str(family), DATASETS, n=1)
        told = f"did you mean {hint[0]!r}?" if hint else "see reasoning_gym.factory.DATASETS for its names"
        raise RecipeError([f"benchmarks.{benchmark.name}.columns.family: there is no family {family!r}; {told}"])
    made = reasoning_gym.create_dataset(family, size=_size(benchmark, max_rows), seed=seed)
    rows = [{"question": entry["question"], "entry": json.dumps(entry, default=str)} for entry in made]
    return RawSource(name=f"{benchmark.name}, seed {seed}", split="made", dataset=Dataset.from_list(rows))


def make_repairs(benchmark: Benchmark, max_rows: int | None) -> RawSource:
    """
    Faulty functions of the bank's test split, which no training data of ours is made of.

    Raises:
        [`DataError`]: when the bank does not give so many.
        [`~trl_r1.verifiers.sandbox.SandboxError`]: when code cannot be isolated on this machine.
    """
    from datasets import Dataset

    from trl_r1.data.repair_tasks import make_repair_tasks

    seed = _seed(benchmark.columns, benchmark.name)
    rows = [task.to_row() for task in make_repair_tasks(_size(benchmark, max_rows), "test", seed)]
    return RawSource(name=f"{benchmark.name}, seed {seed}", split="test", dataset=Dataset.from_list(rows))


MAKERS: Final[Mapping[str, Maker]] = {"reasoning_gym": make_puzzles, "repair_bank": make_repairs}


def _size(benchmark: Benchmark, max_rows: int | None) -> int:
    return max_rows or benchmark.num_questions or DEFAULT_QUESTIONS


def _seed(columns: Mapping[str, str], name: str) -> int:
    value = columns.get("seed", "0")
    if not str(value).isdecimal():
        raise RecipeError([f"benchmarks.{name}.columns.seed: {value!r} is no whole number"])
    return int(value)
