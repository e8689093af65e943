"""The reward bench: completions made to fool or freeze a reward, and honest ones that must not lose."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from trl_r1.bench.case import Case, Problem, Row, Want
    from trl_r1.bench.kinds import KINDS, cases_of, kind_of
    from trl_r1.bench.report import BenchReport, CaseResult
    from trl_r1.bench.runner import run_bench

__all__ = [
    "KINDS",
    "BenchReport",
    "Case",
    "CaseResult",
    "Problem",
    "Row",
    "Want",
    "cases_of",
    "kind_of",
    "run_bench",
]

_HOMES = {
    "KINDS": "kinds",
    "BenchReport": "report",
    "Case": "case",
    "CaseResult": "report",
    "Problem": "case",
    "Row": "case",
    "Want": "case",
    "cases_of": "kinds",
    "kind_of": "kinds",
    "run_bench": "runner",
}


def __getattr__(name: str) -> Any:
    # Late, because pytest imports this package wherever trl_r1 is installed.
    if name not in _HOMES:
        raise AttributeError(f"module 'trl_r1.bench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"trl_r1.bench.{_HOMES[name]}"), name)
