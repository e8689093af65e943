"""Cards of the verbs that compose, measure, clean and answer: the tables that each of them has."""

import pytest
from data_stages import chat_row, sampled_stage, write_rows
from huggingface_hub import DatasetCard

from trl_r1.errors import RecordError
from trl_r1.hub import create_dataset_card, create_dataset_cards
from trl_r1.stage_record import DataSource, Measurement


def read_from(source, kept, license="mit", **dropped):
    return DataSource(
        source=source,
        split="train",
        fingerprint="f" * 64,
        rows_in=kept + sum(dropped.values()),
        rows_kept=kept,
        dropped=dropped,
        license=license,
    )


def numbers(**values):
    return {name.replace("__", "/"): Measurement(value=float(value)) for name, value in values.items()}


def data_stage(run, name, kind, rows, **fields):
    place = run.stage(name, kind, **fields)
    write_rows(run, name, {"train.jsonl": rows})
    return place


CHATS = [chat_row(f"{n} ?", "so", "it", domain="math" if n else "general", composed_from="a") for n in range(4)]


@pytest.fixture
def composed(ancestry):
    metrics = {
        **numbers(rows_read=9, kept=4, composition__math__samples=3, composition__math__rounds=1.0),
        **numbers(composition__math__tokens=12.25, composition__general__samples=1, composition__general__rounds=2.0),
        **numbers(composition__general__tokens=3, composition__total__samples=4, composition__total__rounds=1.25),
        **numbers(composition__total__tokens=9.94),
    }
    return lambda **fields: data_stage(
        ancestry,
        "mixture",
        "compose",
        CHATS,
        **{
            "metrics": metrics,
            "config": {"domain_targets": {"general": 0.25, "math": 3}, "tokenizer": "org/model"},
            "data": [read_from("org/a", 3, over_target=2, duplicate=4), read_from("org/b", 1)],
        }
        | fields,
    )


def test_a_composition_stands_beside_the_papers(composed):
    text = create_dataset_card(composed())
    assert "| math | 3 | 75.0% | 1.0 | 12.2 | 395,285 | 49.1% | 1.0 | 6,094.2 |" in text
    assert "| general | 1 | 25.0% | 2.0 | 3.0 | 177,812 | 22.1% | 1.1 | 1,419.8 |" in text
    assert "| **total** | 4 | 100.0% | 1.2 | 9.9 | 804,745 | 100.0% | 1.0 | 5,355.3 |" in text
    assert "counted by the tokenizer of `org/model`" in text
    assert "- domain `general`: 0.25 of the whole, chosen at random" in text
    assert "- domain `math`: at most 3 rows, chosen at random" in text
    assert "- 3 of the 9 rows of `org/a`, split `train`" in text
    assert "Python file" not in text


def test_sources_that_agree_give_their_licence(composed):
    folder = composed()
    text = create_dataset_card(folder)
    data = DatasetCard.load(folder / "README.md").data
    assert (data.license, data.source_datasets, data.tags) == (
        "mit",
        ["org/a", "org/b"],
        ["trl_r1", "reasoning-data", "mixture"],
    )
    assert "The licence is that of all it was made from" in text


@pytest.mark.parametrize("other", ["apache-2.0", None])
def test_sources_that_do_not_agree_give_none(composed, other):
    folder = composed(data=[read_from("org/a", 3), read_from("org/b", 1, license=other)])
    text = create_dataset_card(folder)
    assert DatasetCard.load(folder / "README.md").data.license is None
    assert "has not named a licence. The records name" in text


def test_the_owners_word_on_the_licence_comes_first(composed):
    folder = composed(config={"hub_license": "cc0-1.0"})
    assert "The licence is that of all" not in create_dataset_card(folder)
    assert DatasetCard.load(folder / "README.md").data.license == "cc0-1.0"


def test_difficulty_is_a_histogram(ancestry):
    rows = [{"problem": f"{n} ?", "solution": "1", "pass_rate": n / 4, "num_samples": 4} for n in range(5)]
    metrics = {
        **numbers(samples=20, samples_from_cache=8, undecided=1, pass_rate__0=1, pass_rate__1=1, pass_rate__none=0),
        "pass_rate/0.25-0.5": Measurement(value=3.0),
        "mean_pass_rate": Measurement(value=0.5, n=5, low=0.1, high=0.9),
    }
    config = {"min_pass_rate": 0.25, "num_generations": 4}
    data = [read_from("org/a", 5)]
    text = create_dataset_card(
        data_stage(ancestry, "rates", "estimate_difficulty", rows, metrics=metrics, config=config, data=data)
    )
    assert "| none solved | 1 | 20.0% | ████ |" in text
    assert "| above 0.25, up to 0.5 | 3 | 60.0% |" in text
    assert "mean pass rate 0.500 (95 % interval 0.100 to 0.900), over 5 problems" in text
    assert "20 samples, 8 of them measured before; 1 could not be judged" in text
    assert "rows kept: those with a pass rate from 0.25 to 1" in text
    assert "| `pass_rate` | number | share of the model's judged samples that are right |" in text


def test_a_clean_data_set_names_what_it_was_searched_for(ancestry):
    config = {"benchmarks": ["org/exam"], "keep_renumbered": True}
    text = create_dataset_card(
        data_stage(ancestry, "clean", "decontaminate", CHATS, config=config, data=[read_from("org/a", 4)])
    )
    assert "searched for the questions of `org/exam`" in text
    assert "other numbers were kept" in text
    assert "Paraphrases of a benchmark's questions are not found" in text


def test_general_data_show_their_filters_and_what_they_dropped(ancestry):
    metrics = {
        **numbers(prompts=6, samples=6, solved_prompts=4, kept=4, dropped__refusal=1, dropped__other_language=1),
    }
    data = [read_from("org/a", 6)]
    config = {"num_generations": 1}
    text = create_dataset_card(
        data_stage(ancestry, "general", "general_data", CHATS, metrics=metrics, config=config, data=data)
    )
    assert "no refusal, as far as its first words tell" in text
    assert "| `refusal` | 1 | 16.7% |" in text
    assert "No answer was verified" in text
    ancestry.edit("general", metrics={"kept": {"value": 3.0}})
    with pytest.raises(RecordError):
        create_dataset_card(ancestry.folder / "general")


def test_all_of_them_are_data_sets_of_a_pipeline(ancestry, composed):
    folders = [composed(), sampled_stage(ancestry, "sampled")]
    with pytest.raises(RecordError, match="no card for data"):  # the fake run's own, without counts
        create_dataset_cards(ancestry.folder)
    assert all((folder / "README.md").is_file() for folder in folders)
