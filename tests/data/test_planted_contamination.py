"""1,000 problems with known contamination among 2,000 that only look like it: what is found of each kind."""

from collections import Counter

import pytest
from datasets import Dataset
from planted_problems import CLEAN, NEGATIVES, PLANTED, make_planted

from trl_r1.data.decontamination import Benchmark, decontaminate


SEED = 3  # tuned on 1 and 2; docs/data.md reports 101 to 105


@pytest.fixture(scope="module")
def searched():
    planted = make_planted(SEED)
    rows = [
        {"number": number, "problem": row.problem, "solution": row.solution, "reasoning": row.trace}
        for number, row in enumerate(planted.rows)
    ]
    benchmark = Benchmark.from_texts("planted", planted.questions, planted.answers)
    clean, report = decontaminate(Dataset.from_list(rows), [benchmark])
    left = set(clean["number"])
    found = Counter(row.kind for number, row in enumerate(planted.rows) if number not in left)
    return found, report, len(left)


@pytest.mark.parametrize(
    ("kind", "recall"),
    [
        ("verbatim", 0.99),
        ("reformatted", 0.99),
        ("respaced", 0.99),
        ("renumbered", 0.95),
        ("short", 0.95),
        ("quoted in a trace", 0.95),
        ("edited", 0.75),
    ],
)
def test_planted_problems_are_found(searched, kind, recall):
    assert searched[0][kind] >= recall * PLANTED[kind]


@pytest.mark.parametrize("kind", CLEAN)
def test_what_only_looks_like_it_is_kept(searched, kind):
    assert searched[0][kind] <= 0.01 * NEGATIVES[kind]


def test_paraphrases_are_missed_as_the_paper_says(searched):
    assert searched[0]["paraphrased"] <= 0.05 * PLANTED["paraphrased"]


def test_every_row_is_counted_once(searched):
    found, report, left = searched
    assert report.rows_checked == sum(PLANTED.values()) + sum(NEGATIVES.values())
    assert report.dropped == sum(report.rows.values()) == sum(found.values()) == report.rows_checked - left
    assert sum(check.removed for check in report.checks()) == report.dropped
    assert sum(check.hits for check in report.checks()) <= len(report.benchmarks[0].questions)
