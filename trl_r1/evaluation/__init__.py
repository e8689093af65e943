"""Measuring checkpoints: suites of questions, metrics of answers, intervals, and the comparison of two."""

from trl_r1.evaluation.compare import compare
from trl_r1.evaluation.estimators import cons_at_k, pass_at_k
from trl_r1.evaluation.evaluate_metrics import load_metric, metric_path
from trl_r1.evaluation.harness import evaluate_policy
from trl_r1.evaluation.intervals import (
    mean_interval,
    measure_mean,
    measure_rate,
    paired_difference,
    wilson_interval,
)
from trl_r1.evaluation.metrics import SampleMetric, resolve_metrics
from trl_r1.evaluation.paired import PairedComparison, compare_paired
from trl_r1.evaluation.prompt_sensitivity import (
    PromptSensitivity,
    SensitivityComparison,
    compare_sensitivity,
    measure_sensitivity,
)
from trl_r1.evaluation.ratios import estimate_tokens_per_correct
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite, Mode
from trl_r1.evaluation.uncertainty import (
    ScoreEstimate,
    estimate_cons_at_k,
    estimate_pass_at_k,
    estimate_score,
)


__all__ = [
    "Checkpoint",
    "EvaluationSuite",
    "Mode",
    "PairedComparison",
    "PromptSensitivity",
    "SampleMetric",
    "ScoreEstimate",
    "SensitivityComparison",
    "compare",
    "compare_paired",
    "compare_sensitivity",
    "cons_at_k",
    "estimate_cons_at_k",
    "estimate_pass_at_k",
    "estimate_score",
    "estimate_tokens_per_correct",
    "evaluate_policy",
    "load_metric",
    "mean_interval",
    "measure_mean",
    "measure_rate",
    "measure_sensitivity",
    "metric_path",
    "paired_difference",
    "pass_at_k",
    "resolve_metrics",
    "wilson_interval",
]
