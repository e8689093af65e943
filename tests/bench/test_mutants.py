"""The bench catches every mutant of our rewards, by the cases that are about its defect; the real rewards pass all."""

import form_mutants  # noqa: F401  (registers its mutants)
import judge_mutants  # noqa: F401
import model_mutants  # noqa: F401
import program_mutants  # noqa: F401
import puzzle_mutants  # noqa: F401
import pytest
from mutants import MUTANTS

from trl_r1.bench import cases_of, run_bench


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.function.__name__)
def test_a_mutant_is_caught(mutant):
    cases = [case for case in cases_of(mutant.kind) if case.name in mutant.caught_by]
    assert {case.name for case in cases} == set(mutant.caught_by)
    options = {"isolation": "thread", **mutant.options}
    report = run_bench(mutant.function, mutant.kind, cases=cases, **options)
    caught = {result.case.name for result in report.failures}
    assert set(mutant.caught_by) <= caught, report.to_text(all_cases=True)
