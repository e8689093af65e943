"""Mixtures of both forms, against their own libraries' way of drawing, and each source's entry in the record."""

import json

import pytest
from datasets import Dataset, concatenate_datasets, load_dataset
from trl import DatasetMixtureConfig, SFTConfig, get_dataset
from trl.scripts.utils import DatasetConfig

from trl_r1.data import load_prompts, load_sft, load_sources, read_jsonl
from trl_r1.data.drawing import draw_mixture
from trl_r1.data.mixture import SET_ASIDE
from trl_r1.errors import DataError
from trl_r1.script_arguments import R1ScriptArguments


def rows(name, count):
    return [{"problem": f"{name} question {index}", "solution": str(index), "own": name} for index in range(count)]


@pytest.fixture
def folders(make_data):
    return [make_data(rows("first", 40), "first"), make_data(rows("second", 25), "second")]


def open_r1(folders, weights, seed, test_size):
    """What open-r1's `get_dataset` does, written from its description in its configuration's docstring."""
    parts = []
    for folder, weight in zip(folders, weights, strict=True):
        part = load_dataset(folder, split="train").shuffle(seed=seed)
        parts.append(part.select(range(int(len(part) * weight))))
    mixed = concatenate_datasets(parts).shuffle(seed=seed)
    return mixed.train_test_split(test_size=test_size, seed=seed) if test_size else {"train": mixed, "test": None}


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("test_size", [None, 0.2])
def test_an_open_r1_mixture_is_the_rows_open_r1_trains_on(folders, tokenizer, tmp_path, seed, test_size):
    weights = [0.55, 1.0]
    wanted = open_r1(folders, weights, seed, test_size)
    args = R1ScriptArguments(dataset_mixture_weights=weights, dataset_mixture_seed=seed)
    mixture = DatasetMixtureConfig(
        datasets=[DatasetConfig(path=folder) for folder in folders], test_split_size=test_size
    )
    data = load_prompts(args, mixture, tokenizer, output_dir=tmp_path)
    assert data.dataset["problem"][:] == wanted["train"]["problem"][:]
    drawn = 47 - (len(wanted["test"]) if test_size else 0)
    assert sum(source.rows_kept for source in data.sources) == len(data.dataset) == drawn
    assert [source.rows_in for source in data.sources] == [40, 25]
    assert data.sources[0].dropped["not_drawn"] == 18
    if test_size:
        written = [row["problem"] for row in read_jsonl(tmp_path / SET_ASIDE)]
        assert sorted(written) == sorted(wanted["test"]["problem"])
        assert not set(written) & set(data.dataset["problem"])
        assert sum(source.dropped["test_part"] for source in data.sources) == len(written)


def test_trls_fractions_and_order(folders, tokenizer):
    shares = [DatasetConfig(path=folders[0], fraction=0.3), DatasetConfig(path=folders[1], fraction=0.6)]
    wanted = get_dataset(DatasetMixtureConfig(datasets=list(shares)))["train"]
    data = load_prompts(R1ScriptArguments(), DatasetMixtureConfig(datasets=shares), tokenizer)
    assert data.dataset["problem"][:] == wanted["problem"][:]
    assert [source.rows_kept for source in data.sources] == [12, 25]


def test_trls_test_part_is_the_same_at_each_start(folders, tokenizer, tmp_path):
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=path) for path in folders], test_split_size=0.25)
    first, again = (load_prompts(R1ScriptArguments(), mixture, tokenizer, output_dir=tmp_path) for _ in range(2))
    assert first.dataset["problem"][:] == again.dataset["problem"][:]
    kept, held = set(first.dataset["problem"]), {row["problem"] for row in read_jsonl(tmp_path / SET_ASIDE)}
    assert (len(kept), len(held), kept & held) == (48, 17, set())


def test_a_copy_of_a_row_of_the_test_part_is_not_trained_on(make_data, tokenizer):
    copied = [{**row, "problem": row["problem"].upper()} for row in rows("first", 40)]
    folders = [make_data(rows("first", 40), "first"), make_data(copied, "second")]
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=path) for path in folders], test_split_size=0.25)
    data = load_prompts(R1ScriptArguments(), mixture, tokenizer)
    dropped = [source.dropped for source in data.sources]
    kept = [problem.lower() for problem in data.dataset["problem"]]
    assert sum(source.get("in_test_part", 0) for source in dropped) > 0
    assert sum(source["test_part"] for source in dropped) == 20
    assert all(source.rows_in == source.rows_kept + sum(source.dropped.values()) for source in data.sources)
    twice = {problem for problem in kept if kept.count(problem) == 2}
    assert twice == set(kept)  # one half of a pair in the test part takes the other out of training


def test_each_source_is_hashed_as_it_was_read(folders, tokenizer):
    args = R1ScriptArguments(dataset_mixture_weights=[0.5, 0.5], dataset_mixture_seed=3)
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=path) for path in folders])
    alone = [load_prompts(R1ScriptArguments(dataset_name=path), None, tokenizer).sources[0] for path in folders]
    mixed = load_prompts(args, mixture, tokenizer).sources
    assert [source.fingerprint for source in mixed] == [source.fingerprint for source in alone]


def test_sft_rows_follow_the_order_of_the_mixture(make_data, tokenizer, tmp_path):
    chats = [
        {"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"a {n}"}], "own": n}
        for n in range(12)
    ]
    folders = [make_data(chats[:7], "first"), make_data(chats[7:], "second")]
    entries = [DatasetConfig(path=path, columns=["messages"]) for path in folders]
    wanted = open_r1(folders, [1.0, 1.0], 5, None)["train"]
    args = R1ScriptArguments(dataset_mixture_weights=[1.0, 1.0], dataset_mixture_seed=5)
    config = SFTConfig(output_dir=str(tmp_path), bf16=False, use_cpu=True, report_to="none")
    data = load_sft(args, DatasetMixtureConfig(datasets=entries), tokenizer, config)
    assert data.dataset.column_names == ["prompt", "completion"]
    assert [row["prompt"] + row["completion"] for row in data.dataset] == wanted["messages"][:]


def test_max_train_rows_cuts_each_source_in_the_order_of_the_mixture(folders, tokenizer):
    args = R1ScriptArguments(dataset_mixture_weights=[1.0, 1.0], dataset_mixture_seed=5, max_train_rows=13)
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=path) for path in folders])
    wanted = open_r1(folders, [1.0, 1.0], 5, None)["train"]
    data = load_prompts(args, mixture, tokenizer)
    first = [row["problem"] for row in wanted if row["own"] == "first"][:8]
    assert [row["problem"] for row in data.dataset if row["own"] == "first"] == first
    assert [source.dropped for source in data.sources] == [{"beyond_max_train_rows": n} for n in (32, 20)]


@pytest.mark.parametrize(
    ("fields", "mixture", "message"),
    [
        ({"dataset_mixture_weights": [0.5]}, {}, r"^dataset_mixture_weights: 1 for 2 datasets"),
        ({"dataset_mixture_weights": [1.0, 0.01]}, {}, r"none of the 25 rows of .*second' is drawn; give it a larger"),
        ({}, {"test_split_size": 2}, r"^test_split_size: 2"),
        ({}, {"columns": ["no_such"]}, r"^dataset: split 'train' of .*no_such"),
        ({}, {"fraction": 0.5}, r"^fraction: 1 for 2 datasets"),
        (
            {"dataset_mixture_weights": [0.5, 0.5], "dataset_mixture_seed": None},
            {},
            r"^dataset_mixture_seed: missing",
        ),
    ],
)
def test_what_cannot_be_drawn_is_an_error(folders, fields, mixture, message):
    own = {name: value for name, value in mixture.items() if name != "test_split_size"}
    size = mixture.get("test_split_size")
    entries = [DatasetConfig(path=folders[0], **own), DatasetConfig(path=folders[1])]
    config = DatasetMixtureConfig(datasets=entries, test_split_size=size)
    args = R1ScriptArguments(**{"dataset_mixture_seed": 0, **fields})
    with pytest.raises(DataError, match=message):
        load_sources(args, config)


@pytest.mark.parametrize("size", [1, 2, 999, 100_000])
def test_rows_are_shuffled_as_datasets_shuffles_them(size):
    [draw] = draw_mixture([size], seed=11)
    assert draw.rows.tolist() == Dataset.from_dict({"row": range(size)}).shuffle(seed=11)["row"][:]
    assert draw.places.tolist() == list(range(size))


def test_the_set_aside_rows_hold_values_json_does_not_know(tmp_path, make_data, tokenizer):
    folder = make_data([{**row, "day": "2024-01-02T03:04:05"} for row in rows("first", 8)], "dated")
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=folder)], test_split_size=0.5)
    data = load_prompts(R1ScriptArguments(), mixture, tokenizer, output_dir=tmp_path)
    written = (tmp_path / SET_ASIDE).read_text(encoding="utf-8").splitlines()
    assert (len(written), len(data.dataset)) == (4, 4)
    assert "2024-01-02" in json.loads(written[0])["day"]


def test_a_mixture_too_small_for_its_shares_says_so():
    with pytest.raises(DataError, match=r"^datasets: the mixture draws none"):
        draw_mixture([4, 2], weights=[0.1, 0.4], seed=0, test_size=0.1)
    with pytest.raises(DataError, match=r"^test_split_size: 0.1 of 1 rows leaves none to train on"):
        draw_mixture([4], weights=[0.29], seed=0, test_size=0.1)
