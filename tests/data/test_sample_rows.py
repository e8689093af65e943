"""Every sample of a job as a row: what is in it, in which order, and in how many files."""

import pytest
from datasets import Dataset, load_dataset
from scripted_engine import ScriptedEngine

from trl_r1.data.sample_rows import SampleRows
from trl_r1.errors import DataError
from trl_r1.generation import SamplingParameters
from trl_r1.generation.jobs import GenerationJob


RIGHT = "<think> 2 plus 2 </think> <answer> 4 </answer>"
WRONG = "<think> 2 plus 2 </think> <answer> 5 </answer>"
BARE = "it is 4"


def questions(**columns):
    number = 3
    return Dataset.from_dict(
        {
            "prompt": ["what is a longer 2 plus 2 ?", "2 plus 2 ?", "hello"],
            "problem": ["what is a longer 2 plus 2 ?", "2 plus 2 ?", "hello"],
            "solution": ["4", "4", None],
            "prompt_tail": [""] * number,
            "response_format": ["r1_zero"] * number,
            "level": [1, 2, 3],
            **columns,
        }
    )


def make_rows(folder, tokenizer, asked, params=None, verify=True, rank=0, world_size=1):
    texts = [RIGHT, WRONG, BARE, RIGHT, RIGHT, WRONG]
    engine = ScriptedEngine(tokenizer, texts, truncated=[BARE])
    params = params or SamplingParameters(num_samples=2, batch_size=1)
    job = GenerationJob(folder, asked["prompt"], params, engine, rank=rank, world_size=world_size)
    job.run()
    rows = SampleRows(job, asked, verify=verify)
    rows.run()
    return rows


def test_every_sample_is_a_row_in_the_order_of_the_questions(tmp_path, tokenizer):
    rows = make_rows(tmp_path / "job", tokenizer, questions())
    rows.write(tmp_path / "data")
    read = load_dataset("parquet", data_dir=str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert [(row["level"], row["sample_index"]) for row in read] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]
    assert read["completion"] == [RIGHT, WRONG, BARE, RIGHT, RIGHT, WRONG]
    assert read["verdict"] == ["correct", "wrong", "wrong", "correct", None, None]
    assert read["verified_by"] == ["math"] * 4 + [None] * 2
    assert read["finish_reason"] == ["stop", "stop", "length", "stop", "stop", "stop"]
    assert read[0]["reasoning"] == "2 plus 2"
    assert read[0]["answer"] == "4"
    assert read[2]["defects"]
    assert read["completion_tokens"] == [len(tokenizer(text)["input_ids"]) for text in read["completion"]]
    assert "token_ids" not in read.column_names
    counts = rows.counts()
    assert counts.verdicts == {"correct": 2, "wrong": 2, "none": 2}
    assert counts.malformed == 1


@pytest.mark.parametrize("rows_per_file", [1, 4, 6, 100])
def test_files_hold_the_same_rows_however_many_there_are(tmp_path, tokenizer, rows_per_file):
    rows = make_rows(tmp_path / "job", tokenizer, questions())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00009.parquet").write_bytes(b"of an earlier run")
    paths = rows.write(tmp_path / "data", rows_per_file)
    assert sorted(paths) == sorted((tmp_path / "data").iterdir())
    assert len(paths) == -(-6 // rows_per_file)
    read = Dataset.from_parquet([str(path) for path in paths], cache_dir=str(tmp_path / "cache"))
    assert read["completion"] == [RIGHT, WRONG, BARE, RIGHT, RIGHT, WRONG]


def test_two_processes_leave_the_rows_of_one(tmp_path, tokenizer):
    alone = make_rows(tmp_path / "alone", tokenizer, questions()).write(tmp_path / "one")
    make_rows(tmp_path / "shared", tokenizer, questions(), rank=1, world_size=2)
    shared = make_rows(tmp_path / "shared", tokenizer, questions()).write(tmp_path / "two")
    assert alone[0].read_bytes() == shared[0].read_bytes()


def test_a_column_of_the_question_gives_way_to_one_of_the_sample(tmp_path, tokenizer):
    rows = make_rows(tmp_path / "job", tokenizer, questions(answer=["four", "four", "hi"]))
    [path] = rows.write(tmp_path / "data")
    read = Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert read[0]["answer"] == "4"
    assert read["question_answer"][:2] == ["four", "four"]
    both = questions(answer=["four"] * 3, question_answer=["4"] * 3)
    with pytest.raises(DataError, match="'answer' has the name of one of a sample's"):
        make_rows(tmp_path / "both", tokenizer, both).write(tmp_path / "data")


def test_tokens_are_kept_when_asked_for(tmp_path, tokenizer):
    params = SamplingParameters(num_samples=2, batch_size=4, logprobs=True)
    rows = make_rows(tmp_path / "job", tokenizer, questions(), params)
    [path] = rows.write(tmp_path / "data")
    read = Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert read["token_ids"] == [tokenizer(text)["input_ids"] for text in read["completion"]]
    assert read["logprobs"] == [None] * 6


def test_without_verifying_there_is_no_verdict(tmp_path, tokenizer):
    rows = make_rows(tmp_path / "job", tokenizer, questions(), verify=False)
    assert rows.counts().verdicts == {"none": 6}
