"""Our benchmarks as tasks of lighteval: its models and its results, our questions and our verifier."""

from trl_r1.evaluation.lighteval_adapter.adapter import lighteval_task


__all__ = ["lighteval_task"]
