"""
The metrics of an evaluation as `evaluate.Metric` classes, for whoever scores answers of their own.

Each is a script in a folder of its own name, which [`evaluate.load`] takes by path, and [`evaluate.combine`] by path
or loaded. Nothing is fetched from the Hub. The scripts hold no arithmetic: `trl-r1 evaluate` computes by the same
functions.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import R1Error


if TYPE_CHECKING:
    from evaluate import EvaluationModule

METRIC_NAMES: Final = (
    "accuracy",
    "cons_at_k",
    "language_consistency",
    "pass_at_k",
    "response_format",
    "self_reflection",
    "think_length",
    "tokens_per_correct",
)


def metric_path(name: str) -> str:
    """
    Folder of a metric, as [`evaluate.load`] and [`evaluate.combine`] take it.

    Args:
        name (`str`):
            One of `accuracy`, `cons_at_k`, `language_consistency`, `pass_at_k`, `response_format`,
            `self_reflection`, `think_length` and `tokens_per_correct`.

    Returns:
        `str`: an absolute path.

    Raises:
        [`R1Error`]: when there is no such metric.

    Example:

    ```python
    >>> import evaluate
    >>> both = evaluate.combine([metric_path("accuracy"), metric_path("pass_at_k")])
    >>> found = both.compute(questions=["a", "a", "b", "b"], correct=[1, 0, 0, 0], pass_at=2)
    >>> found["accuracy"], found["pass@2"]
    (0.25, 0.5)
    ```
    """
    if name not in METRIC_NAMES:
        near = difflib.get_close_matches(name, METRIC_NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(METRIC_NAMES)}"
        raise R1Error(f"name: {name!r} is no metric; {hint}")
    return str(Path(__file__).resolve().parent / name)


def load_metric(name: str, **kwargs: Any) -> EvaluationModule:
    """
    Load a metric with [`evaluate.load`].

    Args:
        name (`str`):
            As of [`metric_path`].
        **kwargs:
            What [`evaluate.load`] takes: `keep_in_memory`, `cache_dir`, `num_process`, `process_id`, `experiment_id`.

    Returns:
        [`evaluate.EvaluationModule`]

    Raises:
        [`R1Error`]: when there is no such metric, or evaluate's cache cannot be written: it copies a script before it
            runs it, and makes a folder for the columns even where they stay in memory.

    Example:

    ```python
    >>> metric = load_metric("tokens_per_correct")
    >>> metric.add_batch(questions=["a", "b"], correct=[True, False], completion_tokens=[100, 300])
    >>> metric.compute()["tokens_per_correct"]
    400.0
    ```
    """
    path = metric_path(name)
    import evaluate

    try:
        return evaluate.load(path, **kwargs)
    except OSError as error:
        raise R1Error(
            f"evaluate cannot write its cache ({error}); set HF_HOME, or HF_MODULES_CACHE and HF_METRICS_CACHE, to a "
            "folder you may write, or give cache_dir"
        ) from error
