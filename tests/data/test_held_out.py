"""The test split can never enter training: attacks by name, slice, renaming, copying, spacing and case."""

import pytest
from trl import DatasetMixtureConfig
from trl.scripts.utils import DatasetConfig

from trl_r1.data import load_preferences, load_prompts, load_sources
from trl_r1.data.held_out import asks_held_out, held_out_keys, question_key
from trl_r1.errors import DataError
from trl_r1.recipe.splits import held_out_parts, is_held_out
from trl_r1.script_arguments import R1ScriptArguments


TRAIN = [{"problem": f"What is {n} + {n} ?", "solution": str(2 * n)} for n in range(10)]
TEST = [{"problem": f"what is {n} times {n}?", "solution": str(n * n)} for n in range(5)]


@pytest.fixture
def folder(make_data):
    """A data set with a train and a test split."""
    make_data(TEST, "both", split="test")
    return make_data(TRAIN, "both")


@pytest.mark.parametrize(
    "split",
    [
        "test",
        "test[:10%]",
        "train+test",
        "train[:50%]+test[1:2]",
        "validation",
        "test_sft",
        "Validation",
        "dev",
        "held_out",
        "math.test",
        " test",
    ],
)
def test_a_held_out_split_is_refused_by_name(folder, split):
    with pytest.raises(DataError, match=r"^dataset_train_split: .* is held out for measuring; train on another"):
        load_sources(R1ScriptArguments(dataset_name=folder, dataset_train_split=split), None)
    with pytest.raises(DataError, match=r"^datasets\[0\]: .* is held out for measuring"):
        load_sources(R1ScriptArguments(), DatasetMixtureConfig(datasets=[DatasetConfig(path=folder, split=split)]))


def test_all_splits_are_refused_where_one_is_held_out(folder, make_data):
    with pytest.raises(DataError, match=r"'all' of .* takes in test, which are held out"):
        load_sources(R1ScriptArguments(dataset_name=folder, dataset_train_split="all"), None)
    alone = make_data(TRAIN, "alone")
    [source] = load_sources(R1ScriptArguments(dataset_name=alone, dataset_train_split="all"), None)
    assert len(source.dataset) == 10


def test_a_test_file_under_another_name_is_refused(folder):
    for files in (f"{folder}/test.jsonl", [f"{folder}/train.jsonl", f"{folder}/test.jsonl"], {"train": "test.jsonl"}):
        entry = DatasetConfig(path="json", data_files=files)
        with pytest.raises(DataError, match=r"test.jsonl' of 'json' is held out"):
            load_sources(R1ScriptArguments(), DatasetMixtureConfig(datasets=[entry]))
    files = {"train": f"{folder}/train.jsonl", "other": f"{folder}/test.jsonl"}  # the test file makes another split
    entry = DatasetConfig(path="json", data_files=files)
    [source] = load_sources(R1ScriptArguments(), DatasetMixtureConfig(datasets=[entry]))
    assert len(source.dataset) == 10


@pytest.mark.parametrize("split", ["train", "train_sft", "latest", "contest", "attested", "train[:3]", "default"])
def test_training_splits_of_like_names_are_not_refused(make_data, split):
    name = split.partition("[")[0]
    folder = make_data(TRAIN, f"as_{name}", split=name) if name == "train" else make_data(TRAIN, f"as_{name}")
    args = R1ScriptArguments(dataset_name=folder, dataset_train_split=split)
    if name == "train":
        assert load_sources(args, None)
    else:
        with pytest.raises(DataError, match="cannot be read"):  # there is none, but it was looked for
            load_sources(args, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        str.upper,
        lambda text: f"  {text.replace(' ', '   ')}\n",
        lambda text: text.replace("?", " ?").replace(" ", "\u00a0"),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text),
    ],
)
def test_training_rows_that_ask_a_test_question_are_left_out_and_counted(make_data, tokenizer, caplog, change):
    make_data(TEST, "leaky", split="test")
    leaked = [{**row, "problem": change(row["problem"])} for row in TEST[:3]]
    data = load_prompts(R1ScriptArguments(dataset_name=make_data([*TRAIN, *leaked], "leaky")), None, tokenizer)
    assert data.dataset["problem"][:] == [row["problem"] for row in TRAIN]
    [source] = data.sources
    assert (source.rows_in, source.rows_kept, source.dropped) == (13, 10, {"in_test_split": 3})
    assert "left out 3 rows that ask held-out questions: in_test_split 3" in caplog.text


def test_a_test_split_copied_under_the_name_of_train_is_an_error(make_data):
    make_data(TEST, "renamed", split="test")
    with pytest.raises(DataError, match=r"all 5 rows of split 'train' .* \(in_test_split 5\); train on other rows"):
        load_sources(R1ScriptArguments(dataset_name=make_data(TEST, "renamed")), None)


def test_a_reason_lets_held_out_rows_in_and_guards_the_other_splits(make_data, tokenizer):
    make_data(TEST, "three", split="test")
    make_data([TRAIN[0], TEST[0]], "three", split="validation")
    folder = make_data(TRAIN, "three")
    reason = {"train_on_held_out_split": "the model is a judge of this very test"}
    args = R1ScriptArguments(dataset_name=folder, dataset_train_split="train+validation", **reason)
    data = load_prompts(args, None, tokenizer)
    assert data.sources[0].dropped == {"in_test_split": 1}
    assert len(data.dataset) == 11
    with pytest.raises(DataError, match=r"^train_on_held_out_split: '' is no reason"):
        load_sources(R1ScriptArguments(dataset_name=folder, train_on_held_out_split=" "), None)


def test_named_data_sets_are_held_out_too(make_data, tokenizer):
    bench = make_data([{"question": TRAIN[4]["problem"].lower()}], "bench", split="test")
    train = make_data(TRAIN, "plain")
    args = R1ScriptArguments(dataset_name=train, held_out_datasets=[{"path": bench}])
    data = load_prompts(args, None, tokenizer)
    assert data.sources[0].dropped == {"in_bench": 1}
    assert TRAIN[4]["problem"] not in data.dataset["problem"]
    for entry, message in (
        ({"path": bench, "split": "other"}, "split 'other'"),
        ({"paht": bench}, r"held_out_datasets\[0\].paht: no such field"),
        ({"name": "x"}, r"held_out_datasets\[0\].path: missing"),
        ({"path": make_data([{"text": "x"}], "odd", split="test")}, r"held_out_datasets\[0\].column: missing"),
    ):
        with pytest.raises(DataError, match=message):
            load_sources(R1ScriptArguments(dataset_name=train, held_out_datasets=[entry]), None)


def test_two_held_out_sets_of_one_name_both_count(make_data, tmp_path, tokenizer):
    paths = []
    for index in (1, 2):
        make_data([TRAIN[index]], f"held_{index}", split="test")
        (tmp_path / f"parent_{index}").mkdir()
        (tmp_path / f"held_{index}").rename(tmp_path / f"parent_{index}" / "same")
        paths.append({"path": str(tmp_path / f"parent_{index}" / "same")})
    args = R1ScriptArguments(dataset_name=make_data(TRAIN, "plain"), held_out_datasets=paths)
    assert load_prompts(args, None, tokenizer).sources[0].dropped == {"in_same": 2}


def test_questions_in_chats_and_pairs_are_seen(make_data, tokenizer):
    question = TEST[0]["problem"]
    chat = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    make_data([{"prompt": question, "chosen": "a", "rejected": "b"}], "pairs", split="test")
    pairs = [{"prompt": prompt, "chosen": "a", "rejected": "b"} for prompt in (question.upper(), "other")]
    data = load_preferences(R1ScriptArguments(dataset_name=make_data(pairs, "pairs")), None, tokenizer)
    assert data.sources[0].dropped == {"in_test_split": 1}
    make_data([{"messages": [{"role": "user", "content": question}]}], "chats", split="test")
    later = [*chat, {"role": "user", "content": question}, {"role": "assistant", "content": "0"}]
    folder = make_data([{"messages": chat}, {"messages": later}], "chats")
    [source] = load_sources(R1ScriptArguments(dataset_name=folder), None)
    assert source.dataset["messages"][:] == [chat]


def test_different_questions_have_different_keys(make_data):
    distinct = ["1 1 + 1", "11 + 1", "1 + 11", "a b", "ab", "a-b", "x^2", "x_2", "加 1", "加1 1", ""]
    assert len({question_key(text) for text in distinct}) == len(distinct)
    assert question_key("2+2 =\t4 ?") == question_key("2 + 2 = 4?")
    [source] = load_sources(R1ScriptArguments(dataset_name=make_data([{"text": "x"}], "none")), None)
    assert held_out_keys(source.dataset) == set()
    assert asks_held_out(source.dataset, {question_key("x")}) == [False]


def test_a_question_is_known_inside_the_instruction_of_dapo():
    wrapped = (
        "Solve the following math problem step by step. The last line of your response should be: Answer: $Answer\n\n"
        'What is 2 + 2?\n\nRemember to put your answer on its own line after "Answer:".'
    )
    assert question_key(wrapped) == question_key("What is 2+2?")


def test_rows_whose_questions_cannot_be_found_are_refused_where_some_are_held_out(make_data):
    make_data([{"task_text": "Q one?", "response": "1"}], "odd", split="test")
    odd = make_data([{"task_text": "Q one?", "response": "1"}, {"task_text": "Q two?", "response": "2"}], "odd")
    with pytest.raises(DataError, match=r"^dataset_prompt_column: the column in which .* one of task_text, response"):
        load_sources(R1ScriptArguments(dataset_name=odd), None)
    [source] = load_sources(R1ScriptArguments(dataset_name=odd, dataset_prompt_column="task_text"), None)
    assert source.dataset["task_text"][:] == ["Q two?"]


def test_a_file_in_a_folder_of_tests_is_held_out():
    assert held_out_parts("train", "data/test/part-0.parquet") == ["data/test/part-0.parquet"]
    assert not held_out_parts("train", "test_a_run0/data/part-0.parquet")
    assert all(map(is_held_out, ("testset", "devset", "validate", "evals")))
    assert not any(map(is_held_out, ("contest", "latest", "train")))
