"""A tiny policy that answers with a digit, and questions whose answer is one."""

import json

import pytest
from digit_policy import BENCHMARK, DIGITS, save_policy


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def benchmark(tmp_path):
    """A definition and a file of rows, as a user has them."""
    definition, rows = tmp_path / "digits.yaml", tmp_path / "rows.jsonl"
    definition.write_text(BENCHMARK)
    questions = [{"question": f"what is {n}", "answer": f"#### {n % DIGITS}"} for n in range(8)]
    rows.write_text("".join(json.dumps(question) + "\n" for question in questions))
    return {"benchmark": str(definition), "data_files": str(rows)}
