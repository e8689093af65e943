import json

import pytest

from trl_r1.script_arguments import R1ScriptArguments


@pytest.fixture
def make_data(tmp_path):
    """Writes rows as a dataset folder and gives its path."""

    def make(rows, name="data", split="train"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
        return str(folder)

    return make


@pytest.fixture
def script_args(make_data):
    """Script arguments for a dataset of the given rows."""

    def make(rows, **fields):
        return R1ScriptArguments(dataset_name=make_data(rows), **fields)

    return make
