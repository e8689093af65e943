"""The regression table: no wrong answer is paid, and at most one right answer in a hundred is refused."""

import math_cases as table
import pytest

from trl_r1.verifiers import Verdict, verify_math, verify_math_batch


@pytest.fixture(scope="module")
def judgements():
    """One batch: what a training step does, and faster than one by one."""
    return verify_math_batch([(text, gold) for gold, text, _ in table.CASES])


def test_no_wrong_answer_is_paid(judgements):
    paid = [
        (case, judgement)
        for case, judgement in zip(table.CASES, judgements, strict=True)
        if case[2] is table.WRONG and judgement.verdict is not Verdict.WRONG
    ]
    assert not paid


def test_every_right_answer_is_paid(judgements):
    refused = [
        (case, judgement)
        for case, judgement in zip(table.CASES, judgements, strict=True)
        if case[2] is table.RIGHT and judgement.verdict is not Verdict.CORRECT
    ]
    assert not refused


def test_the_table_is_large_and_what_it_misses_is_listed():
    assert len(table.WRITTEN) >= 300
    assert len(set(table.CASES)) == len(table.CASES)
    right = sum(case[2] for case in table.CASES)
    assert len(table.MISSED) <= 0.01 * (right + len(table.MISSED))
    for gold, text, reason in table.MISSED:
        assert verify_math(text, gold).verdict is Verdict.WRONG, reason


@pytest.mark.parametrize(("gold", "text"), table.RESTATEMENTS)
def test_a_restatement_is_paid_only_where_no_value_is_required(gold, text):
    assert verify_math(text, gold).verdict is Verdict.CORRECT
    assert verify_math(text, gold, require_value=True).verdict is Verdict.WRONG


@pytest.mark.parametrize(("gold", "text"), table.VALUES)
def test_a_value_is_paid_where_a_value_is_required(gold, text):
    assert verify_math(text, gold, require_value=True).verdict is Verdict.CORRECT
