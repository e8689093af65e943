"""Benchmarks as data: where the questions are, how they are asked, and what decides an answer."""

from trl_r1.evaluation.benchmarks.benchmark import Benchmark
from trl_r1.evaluation.benchmarks.loading import load_benchmark
from trl_r1.evaluation.benchmarks.registry import get_benchmark, list_benchmarks, register_benchmark


__all__ = ["Benchmark", "get_benchmark", "list_benchmarks", "load_benchmark", "register_benchmark"]
