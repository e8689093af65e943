"""How much of known contamination is found, by kind, and how much of what only looks like it?

    python tests/benchmarks/planted_contamination.py [--seeds 101 102 103 104 105] [--min_coverage 0.5]

Prints recall of each planted kind and false alarms of each clean kind, all seeds together, with Wilson's 95 %
interval, then the precision of each kind of finding. `tests/planted_problems.py` says what is planted.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from datasets import Dataset


sys.path.insert(0, str(Path(__file__).parents[1]))
from planted_problems import NEGATIVES, PLANTED, make_planted

from trl_r1.data.decontamination import KINDS, Benchmark, BenchmarkIndex, ContaminationReport, SearchSettings
from trl_r1.data.decontamination.scores import wilson
from trl_r1.data.decontamination.search import REASON, search_rows


def main() -> None:
    """Search every seed's data and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104, 105])
    parser.add_argument("--min_coverage", type=float, default=SearchSettings().min_coverage)
    options = parser.parse_args()
    found: Counter[tuple[str, str | None]] = Counter()
    sharing = 0
    for seed in options.seeds:
        planted = make_planted(seed)
        benchmark = Benchmark.from_texts("planted", planted.questions, planted.answers)
        index = BenchmarkIndex([benchmark], SearchSettings(min_coverage=options.min_coverage))
        report = ContaminationReport(benchmarks=index.benchmarks, settings=index.settings)
        rows = [{"problem": row.problem, "solution": row.solution, "reasoning": row.trace} for row in planted.rows]
        reasons = search_rows(Dataset.from_list(rows), index, report)
        found.update((row.kind, reason) for row, reason in zip(planted.rows, reasons, strict=True))
        sharing += report.to_dict()["benchmarks"][0]["rows_sharing_an_ngram"]
    _print_tables(found, sharing)


def _print_tables(found: Counter[tuple[str, str | None]], sharing: int) -> None:
    print("| rows | n | found | share (95 % interval) |\n|---|---|---|---|")
    for kind in [*PLANTED, *NEGATIVES]:
        number = sum(count for (own, _), count in found.items() if own == kind)
        hits = sum(count for (own, reason), count in found.items() if own == kind and reason)
        print(f"| {kind} | {number} | {hits} | {_rate(hits, number)} |")
    print("\n| found as | rows | really planted | precision (95 % interval) |\n|---|---|---|---|")
    for kind in KINDS:
        number = sum(count for (_, reason), count in found.items() if reason == REASON + kind)
        right = sum(count for (own, reason), count in found.items() if reason == REASON + kind and own in PLANTED)
        if number:
            print(f"| {kind} | {number} | {right} | {_rate(right, number)} |")
    print(f"\n{sharing} of {sum(found.values())} rows share at least one n-gram with the benchmark.")


def _rate(hits: int, number: int) -> str:
    low, high = wilson(hits, number)
    return f"{hits / number:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
