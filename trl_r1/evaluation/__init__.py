"""Measuring checkpoints: suites of questions, metrics of answers, intervals, and the comparison of two."""

from trl_r1.evaluation.compare import compare
from trl_r1.evaluation.estimators import cons_at_k, pass_at_k
from trl_r1.evaluation.harness import evaluate_policy
from trl_r1.evaluation.intervals import (
    mean_interval,
    measure_mean,
    measure_rate,
    paired_difference,
    wilson_interval,
)
from trl_r1.evaluation.metrics import SampleMetric, resolve_metrics
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite, Mode


__all__ = [
    "Checkpoint",
    "EvaluationSuite",
    "Mode",
    "SampleMetric",
    "compare",
    "cons_at_k",
    "evaluate_policy",
    "mean_interval",
    "measure_mean",
    "measure_rate",
    "paired_difference",
    "pass_at_k",
    "resolve_metrics",
    "wilson_interval",
]
