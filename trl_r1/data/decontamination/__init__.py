"""What of a benchmark is in the data: found, reported, and taken out.

`benchmarks` reads the questions, `index` finds them in a text, `search` goes through a data set, `report` and
`markdown` tell what was found, `scores` what it did to an evaluation.
"""

from trl_r1.data.decontamination.benchmarks import Benchmark, BenchmarkSpec, load_benchmark, load_benchmarks
from trl_r1.data.decontamination.index import KINDS, BenchmarkIndex, Kind, SearchSettings
from trl_r1.data.decontamination.report import ContaminationReport
from trl_r1.data.decontamination.search import decontaminate
from trl_r1.data.normalised_text import normalise, words


__all__ = [
    "KINDS",
    "Benchmark",
    "BenchmarkIndex",
    "BenchmarkSpec",
    "ContaminationReport",
    "Kind",
    "SearchSettings",
    "decontaminate",
    "load_benchmark",
    "load_benchmarks",
    "normalise",
    "words",
]
