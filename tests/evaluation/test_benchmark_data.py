"""Every benchmark from rows in its data set's own form: what is asked, and right and wrong answers are told apart."""

import base64
import dataclasses
import json
import pickle
import random
import zlib

import pytest
from datasets import Dataset

from trl_r1.data.judging import judge_samples
from trl_r1.errors import DataError, R1Error, RecipeError
from trl_r1.evaluation.benchmarks import (
    Benchmark,
    get_benchmark,
    list_benchmarks,
    load_benchmark,
    register_benchmark,
)
from trl_r1.evaluation.benchmarks.instruction_reader import read_ifeval
from trl_r1.evaluation.benchmarks.unusable import UnusableRowError
from trl_r1.generation import Completion


def packed(cases):
    """As LiveCodeBench keeps its hidden tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


DOUBLE = "def double(x):\n    return 2 * x"
ECHO = "print(int(input()) * 2)"
CODE = "```python\n{}\n```"
# Rows as the data sets have them, a right answer to the first, and a wrong one.
FORMS = {
    "aime_2024": (
        [{"id": 60, "problem": "What is 2 + 3?", "answer": "5", "year": "2024"}],
        r"\boxed{5}",
        r"\boxed{6}",
    ),
    "aime_2025": ([{"problem": "What is 2 + 3?", "answer": "005", "solution": ""}], r"\boxed{5}", "I cannot tell."),
    "math_500": (
        [{"problem": "Halve 1.", "answer": r"\frac{1}{2}", "subject": "Algebra", "level": 1, "unique_id": "a"}],
        r"So \boxed{0.5}.",
        r"\boxed{2}",
    ),
    "gsm8k": ([{"question": "How many?", "answer": "Ten <<5+5=10>>10 each.\n#### 1,000"}], r"\boxed{1000}", "1,001"),
    "mmlu_pro": (
        [
            {
                "question_id": 70,
                "question": "Which is a prime?",
                "options": ["4", "6", "7", "8"],
                "answer": "C",
                "answer_index": 2,
                "category": "math",
            }
        ],
        "Seven.\nAnswer: C",
        "Answer: D",
    ),
    "ifeval": (
        [
            {
                "key": 1000,
                "prompt": "Write at most four words without commas.",
                "instruction_id_list": ["length_constraints:number_words", "punctuation:no_comma"],
                "kwargs": [{"num_words": 5, "relation": "less than"}, {"num_words": None, "relation": None}],
            }
        ],
        "Just four words here",
        "Four words, with commas",
    ),
    "humaneval": (
        [
            {
                "task_id": "Test/0",
                "prompt": 'def double(x):\n    """Twice x."""\n',
                "canonical_solution": "    return 2 * x\n",
                "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n",
                "entry_point": "double",
            }
        ],
        CODE.format(DOUBLE),
        CODE.format("def double(x):\n    return 4"),
    ),
    "mbpp": (
        [
            {
                "task_id": 1,
                "text": "Double a number.",
                "code": DOUBLE,
                "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
                "test_setup_code": "",
                "challenge_test_list": [],
            }
        ],
        CODE.format(DOUBLE),
        CODE.format("def double(x):\n    return 4"),
    ),
    "mbpp_sanitized": (
        [
            {
                "task_id": 2,
                "prompt": "Double a number.",
                "code": DOUBLE,
                "test_imports": ["import math"],
                "test_list": ["assert double(2) == 4", "assert double(math.floor(1.5)) == 2"],
            }
        ],
        CODE.format(DOUBLE),
        CODE.format("def double(x):\n    return 4"),
    ),
    "live_code_bench": (
        [
            {
                "question_title": "Double",
                "question_content": "Print twice the number.",
                "question_id": "abc1",
                "contest_date": "2024-09-01T00:00:00",
                "starter_code": "",
                "difficulty": "easy",
                "public_test_cases": json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}]),
                "private_test_cases": packed([{"input": "4\n", "output": "8\n", "testtype": "stdin"}]),
                "metadata": "{}",
            }
        ],
        CODE.format(ECHO),
        CODE.format("print(2)"),
    ),
    "codeforces": (
        [
            {
                "id": "1/A",
                "title": "Double",
                "description": "Print twice the number.",
                "input_format": "A number.",
                "output_format": "A number.",
                "examples": [{"input": "1\n", "output": "2\n"}],
                "official_tests": [{"input": "1\n", "output": "2\n"}, {"input": "4\n", "output": "8\n"}],
                "official_tests_complete": True,
                "time_limit": 2.0,
                "memory_limit": 256.0,
                "generated_checker": None,
                "interaction_format": None,
                "input_mode": "stdio",
            }
        ],
        CODE.format(ECHO),
        CODE.format("print(2)"),
    ),
}


def judged(rows, text):
    """The verdict on one answer to the first question, as an evaluation judges it."""
    row = {**rows[0], "prompt_tail": "", "response_format": "r1"}
    answer = Completion(text=f"<think>hm</think>\n{text}", token_ids=(1, 2), finish_reason="stop")
    [sample] = judge_samples([row], [[answer]], verifier="auto")
    return sample.correct


def written(tmp_path, rows, name="test.parquet"):
    path = tmp_path / name
    dataset = Dataset.from_list(rows)
    dataset.to_parquet(path) if name.endswith("parquet") else dataset.to_json(path)
    return path


@pytest.mark.parametrize("name", FORMS)
def test_a_benchmark_is_asked_and_judged(name, tmp_path):
    rows, right, wrong = FORMS[name]
    dataset, source = load_benchmark(get_benchmark(name), data_files=written(tmp_path, rows))
    assert (source.rows_in, source.rows_kept, source.dropped) == (1, 1, {})
    questions = list(dataset)
    assert questions[0]["problem"].strip()
    assert judged(questions, right) is True
    assert judged(questions, wrong) is False
    assert judged(questions, "") is False


def test_every_definition_is_tested_here():
    made = {"gpqa_diamond", "software_repair"}  # below
    assert {benchmark.name for benchmark in list_benchmarks()} - made == set(FORMS)


def test_the_options_of_gpqa_are_in_an_order_by_lot_that_repeats(tmp_path):
    row = {"Correct Answer": "right", **{f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)}}
    path = written(tmp_path, [{"Question": f"Question {n}?", **row} for n in range(200)])
    benchmark = get_benchmark("gpqa_diamond")
    first, again = (list(load_benchmark(benchmark, data_files=path)[0]) for _ in range(2))
    assert first == again
    golds = [question["solution"] for question in first]
    assert all(30 <= golds.count(letter) <= 70 for letter in "ABCD")
    assert all(question["choices"]["ABCD".index(question["solution"])] == "right" for question in first)
    assert list(load_benchmark(benchmark, data_files=path, seed=1)[0]) != first
    assert judged(first, f"Answer: {golds[0]}") is True
    assert judged(first, "Answer: E") is False


def test_a_family_of_puzzles_is_made_and_its_own_scorer_decides():
    benchmark = get_benchmark("reasoning_gym/leg_counting")
    questions = list(load_benchmark(benchmark, max_rows=3)[0])
    answer = json.loads(questions[0]["entry"])["answer"]
    assert judged(questions, rf"\boxed{{{answer}}}") is True
    assert judged(questions, rf"\boxed{{{int(answer) + 1}}}") is False
    more = list(load_benchmark(benchmark)[0])
    assert (len(more), more[:3]) == (100, questions)
    with pytest.raises(RecipeError, match=r"no family 'leg_count'; did you mean 'reasoning_gym/leg_counting'"):
        get_benchmark("reasoning_gym/leg_count")
    with pytest.raises(DataError, match="leave it out"):
        load_benchmark(benchmark, data_files="rows.jsonl")


def test_software_is_repaired():
    questions = list(load_benchmark(get_benchmark("software_repair"), max_rows=2)[0])
    task = json.loads(questions[0]["repair_task"])
    assert judged(questions, f"```diff\n{task['patch']}\n```") is True
    assert judged(questions, "```diff\n```") is False


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("aime_2024", {"answer": " "}, "gold_missing"),
        ("gsm8k", {"answer": "no mark"}, "no_answer_after_mark"),
        ("mmlu_pro", {"answer": "K"}, "no_right_option"),
        ("mmlu_pro", {"options": ["4", "4", "7", "8"]}, "options_alike"),
        ("ifeval", {"instruction_id_list": ["combination:two_responses", "punctuation:no_comma"]}, "not_checkable"),
        ("ifeval", {"instruction_id_list": ["punctuation:no_comma"]}, "instructions_missing"),
        ("ifeval", {"kwargs": None}, "instructions_missing"),
        ("ifeval", {"prompt": " "}, "prompt_missing"),
        ("mmlu_pro", {"answer": "é"}, "no_right_option"),
        ("mmlu_pro", {"options": None}, "no_right_option"),
        ("humaneval", {"prompt": None}, "prompt_missing"),
        ("mbpp", {"test_list": None}, "tests_missing"),
        ("live_code_bench", {"contest_date": "2023-09-01T00:00:00"}, "outside_the_window"),
        ("live_code_bench", {"contest_date": "soon"}, "contest_date_unreadable"),
        ("live_code_bench", {"private_test_cases": "AAAA"}, "tests_unreadable"),
        ("codeforces", {"generated_checker": "import sys"}, "needs_a_checker"),
        ("codeforces", {"official_tests_complete": False}, "tests_incomplete"),
        ("humaneval", {"test": "def other(): pass"}, "tests_cannot_be_run"),
    ],
)
def test_a_row_that_is_no_question_is_counted_by_its_reason(name, change, reason, tmp_path):
    rows = FORMS[name][0]
    path = written(tmp_path, [*rows, {**rows[0], **change}], "test.jsonl")
    dataset, source = load_benchmark(get_benchmark(name), data_files=path)
    assert len(dataset) == 1
    [(found, number)] = source.dropped.items()
    assert (reason in found, number) == (True, 1)
    with pytest.raises(DataError, match="none of the 1 rows"):
        load_benchmark(get_benchmark(name), data_files=written(tmp_path, [{**rows[0], **change}], "all.jsonl"))


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("punctuation:no_comma", "{"),
        ("punctuation:no_comma", ["{"]),
        ("punctuation:no_comma", [3]),
        ("length_constraints:number_words", [{"num_words": [5], "relation": "at least"}]),
        ("length_constraints:number_words", [{"num_words": 5, "relation": "around"}]),
        ("length_constraints:number_words", [{"num_words": 0, "relation": "less than"}]),
        ("language:response_language", [{"language": "zz"}]),
    ],
)
def test_an_instruction_that_no_answer_can_be_judged_by_is_left_out(name, kwargs):
    with pytest.raises(UnusableRowError, match=r"malformed|missing"):
        read_ifeval({"prompt": "Go.", "instruction_id_list": [name], "kwargs": kwargs}, {}, random.Random(0))


def test_hidden_tests_cannot_run_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "harmed"), "w"))

    harmful = base64.b64encode(zlib.compress(pickle.dumps(Harmful()))).decode()
    row = {**FORMS["live_code_bench"][0][0], "private_test_cases": harmful}
    with pytest.raises(DataError, match="tests_unreadable"):
        load_benchmark(get_benchmark("live_code_bench"), data_files=written(tmp_path, [row]))
    assert not (tmp_path / "harmed").exists()


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = written(tmp_path, [{"task": "2 + 3?", "answer": "5"}])
    with pytest.raises(DataError, match=r"no column 'problem' \(problem\), only task, answer; set columns"):
        load_benchmark(get_benchmark("aime_2024"), data_files=path)
    for bad, message in (("nowhere.jsonl", "there is no"), (__file__, r"is none of \.parquet")):
        with pytest.raises(DataError, match=message):
            load_benchmark(get_benchmark("aime_2024"), data_files=bad)


OWN = """
name: sums
title: Sums of mine
reader: math
columns: {problem: task, solution: result}
instruction: "{problem} Answer with a number."
num_samples: 4
pass_at: [1, 4]
group_by: size
source: mine
"""


def test_ten_lines_of_yaml_make_a_benchmark(tmp_path):
    assert len(OWN.strip().splitlines()) <= 10
    (tmp_path / "sums.yaml").write_text(OWN)
    benchmark = get_benchmark(str(tmp_path / "sums.yaml"))
    rows = [{"task": "2 + 3?", "result": "5", "size": 2}, {"task": "1 + 1?", "result": "2", "size": 1}]
    dataset, _ = load_benchmark(benchmark, data_files=written(tmp_path, rows))
    assert dataset["solution"][:] == ["5", "2"]
    assert dataset["group"][:] == ["2", "1"]
    assert judged(list(dataset), "5") is True


def test_ten_lines_of_python_make_one_too(tmp_path):
    (tmp_path / "reader.py").write_text('def read(row, columns):\n    return {"problem": row["q"], "solution": "1"}\n')
    reader = f"{tmp_path / 'reader.py'}:read"
    benchmark = Benchmark(name="own_python", title="Own", reader=reader, source="mine", hub_id="me/own")
    register_benchmark(benchmark)
    assert get_benchmark("own_python") is benchmark
    dataset, _ = load_benchmark(benchmark, data_files=written(tmp_path, [{"q": "Why?"}]))
    assert dataset["problem"][:] == ["Why?"]
    with pytest.raises(RecipeError, match="there is another of this name"):
        register_benchmark(Benchmark(name="aime_2024", title="Mine", reader="math", source="mine"))


def test_a_row_that_a_reader_of_ones_own_cannot_read_is_named(tmp_path):
    (tmp_path / "reader.py").write_text('def read(row, columns):\n    return {"problem": row["q"].strip()}\n')
    benchmark = Benchmark(
        name="own", title="Own", reader=f"{tmp_path / 'reader.py'}:read", source="mine", hub_id="me/x"
    )
    with pytest.raises(
        DataError, match=r"benchmarks\.own: row 1 is not as reader .* \(AttributeError: .*mend the row"
    ):
        load_benchmark(benchmark, data_files=written(tmp_path, [{"q": "Why?"}, {"q": None}]))


def test_a_question_in_no_cluster_has_no_label(tmp_path):
    benchmark = Benchmark(name="own", title="Own", reader="math", source="mine", hub_id="me/x", cluster_by="family")
    rows = [{"problem": "1 + 1?", "answer": "2", "family": "sums"}, {"problem": "2?", "answer": "2", "family": None}]
    dataset, _ = load_benchmark(benchmark, data_files=written(tmp_path, rows))
    assert dataset["cluster"][:] == ["sums", None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"family": "chain_summ"}, "columns.family: there is no family 'chain_summ'; did you mean 'chain_sum'"),
        ({}, "columns.family: there is no family None"),
    ],
)
def test_a_family_of_puzzles_that_is_not_there(columns, message):
    benchmark = Benchmark(name="own", title="Own", reader="reasoning_gym", source="mine", columns=columns)
    with pytest.raises(RecipeError, match=message):
        load_benchmark(benchmark, max_rows=1)


def test_a_window_that_is_no_date(tmp_path):
    definition = dataclasses.replace(get_benchmark("live_code_bench"), columns={"after": "2024-13-01"})
    with pytest.raises(RecipeError, match=r"columns\.after: '2024-13-01' is no date"):
        load_benchmark(definition, data_files=written(tmp_path, FORMS["live_code_bench"][0]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nam_samples: 3", "did you mean 'num_samples'"),
        ("instruction: no place", "must hold {problem} once"),
        ("num_samples: 0", "num_samples: 0 is no whole number"),
        ("pass_at: [8]", "pass_at: .8. must lie in 1 to num_samples, 1"),
        ("verifier: guess", "verifier: 'guess' is unknown"),
        ("temperature: hot", "temperature: 'hot' is no number"),
        ("temperature: .nan", "temperature: nan is no number"),
        ("top_p: 2", "top_p: 2 does not lie in"),
        ("pass_at: 3", "pass_at: 3 is no list of whole numbers"),
        ("pass_at: [true]", "pass_at: .True,. is no list"),
        ("instruction: 4", "instruction: 4 is no text"),
        ("hub_id: 3", "hub_id: 3 is no text"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(line, message, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(f"name: bad\ntitle: Bad\nreader: math\nsource: mine\n{line}\n")
    with pytest.raises(RecipeError, match=message):
        get_benchmark(str(path))


def test_names_that_are_not_there(tmp_path):
    path_of_rows = written(tmp_path, [{"problem": "1 + 1?"}])
    with pytest.raises(RecipeError, match="did you mean 'aime_2024'"):
        get_benchmark("aim_2024")
    with pytest.raises(RecipeError, match="there is no file"):
        get_benchmark("nowhere.yaml")
    with pytest.raises(RecipeError, match="reader: 'mathh' is unknown"):
        load_benchmark(Benchmark(name="x", title="x", reader="mathh", source="x"), data_files=path_of_rows)


def test_the_hub_is_asked_for_the_pinned_commit(monkeypatch):
    asked = {}

    def refuse(path, split, **kwargs):
        asked.update(path=path, split=split, **kwargs)
        raise DataError("no network")

    monkeypatch.setattr("trl_r1.evaluation.benchmarks.loading.load_source", refuse)
    with pytest.raises(R1Error, match="no network"):
        load_benchmark(get_benchmark("mmlu_pro"))
    assert asked == {
        "path": "TIGER-Lab/MMLU-Pro",
        "split": "test",
        "revision": "3373e0b32277875b8db2aa555a333b78a08477ea",
    }


def test_every_definition_says_where_it_is_from():
    for benchmark in list_benchmarks():
        assert benchmark.source
        assert benchmark.title
        assert (benchmark.temperature, benchmark.top_p, benchmark.max_completion_length) == (0.6, 0.95, 32768)
