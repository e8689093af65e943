"""Stages, what each needs, and the order that follows."""

from __future__ import annotations

import dataclasses
import difflib
import graphlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_r1.errors import RecipeError
from trl_r1.stage_record.kinds import VERBS


LOG_FOLDER = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """
    One stage of a pipeline.

    Args:
        name (`str`):
            Its name in the file.
        script (`str`):
            A verb of `trl-r1`, or the path of a Python file.
        config (`Path` or `None`):
            Its recipe.
        needs (`tuple[str, ...]`):
            Stages that must be finished before it starts.
        args (`dict[str, Any]`):
            Command-line arguments that win over the recipe.
        output (`str`):
            Name of its folder in the pipeline's.
    """

    name: str
    script: str
    config: Path | None
    needs: tuple[str, ...]
    args: dict[str, Any]
    output: str

    @property
    def kind(self) -> str:
        """What its record calls it: its verb, or `"script"`."""
        return self.script if self.script in VERBS else "script"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """
    A checked pipeline.

    Args:
        path (`Path`):
            The file it was read from.
        output_dir (`Path`):
            Folder that gets one folder a stage.
        default_output_dir (`str`):
            The file's own `output_dir`: what the recipes' paths begin with.
        seed (`int` or `None`):
            Handed to every stage; `None` leaves each its own.
        jobs (`int`):
            Stages that may run at the same time.
        stages (`dict[str, Stage]`):
            In an order in which every stage comes after those it needs.
        env (`dict[str, str]`):
            Added to the environment of every stage.
        license (`str` or `None`):
            Licence of the checkpoints, for their cards.
        report (`dict[str, Any]`):
            Settings of the report: `title`, `questions` (how many are shown with each stage's answer).
    """

    path: Path
    output_dir: Path
    default_output_dir: str
    seed: int | None
    jobs: int
    stages: dict[str, Stage]
    env: dict[str, str] = field(default_factory=dict, repr=False)  # it may hold secrets
    license: str | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """Folder of a stage."""
        return self.output_dir / self.stages[name].output

    def log(self, name: str) -> Path:
        """File that takes what a stage prints."""
        return self.output_dir / LOG_FOLDER / f"{name}.log"

    def select(self, names: Iterable[str]) -> Pipeline:
        """
        The part of the pipeline that makes `names`: those stages and all they need.

        Raises:
            [`RecipeError`]: when a name is no stage.
        """
        names = list(names)
        unknown = [name for name in names if name not in self.stages]
        if unknown:
            problems = [f"only: {describe_unknown(name, self.stages, 'stage')}" for name in unknown]
            raise RecipeError(problems, str(self.path))
        wanted = set(names).union(*(ancestors(self.stages, name) for name in names))
        stages = {name: stage for name, stage in self.stages.items() if name in wanted}
        return dataclasses.replace(self, stages=stages)


def ancestors(stages: Mapping[str, Stage], name: str) -> set[str]:
    """Every stage that `name` needs, directly or through others."""
    found: set[str] = set()
    waiting = list(stages[name].needs)
    while waiting:
        need = waiting.pop()
        if need not in found:
            found.add(need)
            waiting += stages[need].needs
    return found


def sort_stages(stages: Mapping[str, Stage], problems: list[str]) -> dict[str, Stage]:
    """Stages with each after those it needs, otherwise in the order they were written in."""
    try:
        graphlib.TopologicalSorter({name: stage.needs for name, stage in stages.items()}).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        problems.append(f"stages: {circle} is a circle of needs; no stage of it could ever start")
        return dict(stages)
    ordered: dict[str, Stage] = {}
    while len(ordered) < len(stages):
        free = (name for name in stages if name not in ordered and all(need in ordered for need in stages[name].needs))
        name = next(free)
        ordered[name] = stages[name]
    return ordered


def stages_behind(stages: Mapping[str, Stage]) -> dict[str, int]:
    """Length of the longest chain of stages that wait for each: the longer, the more urgent it is to start."""
    behind = dict.fromkeys(stages, 0)
    for name in reversed(list(stages)):  # in an order in which every stage comes after those it needs
        for need in stages[name].needs:
            if need in behind:
                behind[need] = max(behind[need], behind[name] + 1)
    return behind


def describe_unknown(name: str, known: Collection[str], noun: str) -> str:
    """`'bse' is no stage; did you mean 'base'?`"""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
    return f"{name!r} is no {noun}; {hint}"
