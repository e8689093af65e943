"""The card of a data set: a golden text, numbers that add up or no card, and rows that cannot break out of it."""

import json
import re
from pathlib import Path

import pytest
from data_stages import METRICS, ROWS, chat_row, made_stage, sampled_stage, write_rows
from datasets import load_dataset
from fake_run import FakeRun
from huggingface_hub import DatasetCard

from trl_r1.errors import RecordError
from trl_r1.hub import create_dataset_card, create_dataset_cards
from trl_r1.hub.cards.dataset_card import SIZES
from trl_r1.hub.cards.dataset_rows import MOST_GROUPS, RowSummary
from trl_r1.hub.cards.text import is_unedited
from trl_r1.stage_record import ContaminationCheck, DataSource, read_stage_record


GOLDEN = Path(__file__).parent / "golden_dataset_card.md"


def test_golden_card(ancestry):
    folder = sampled_stage(ancestry, "cold_start_data")
    text = create_dataset_card(folder, license="apache-2.0", pipeline={"pipeline": "recipes/r1.yaml", "seed": 5})
    digest = read_stage_record(folder).config_sha256[:16]  # of the folder's name too
    body, citation = text.replace(str(ancestry.folder), "RUN").replace(digest, "CONFIG").split("## Citation")
    assert body == GOLDEN.read_text(encoding="utf-8")
    assert "@article{" in citation
    assert (folder / "README.md").read_text(encoding="utf-8") == text


def test_same_records_and_rows_same_sealed_card(ancestry):
    folder = sampled_stage(ancestry, "sampled")
    text = create_dataset_card(folder)
    assert create_dataset_card(folder) == text
    assert is_unedited(text)


def test_the_hub_can_read_it(ancestry):
    folder = sampled_stage(ancestry, "sampled")
    create_dataset_card(folder, license="apache-2.0")
    data = DatasetCard.load(folder / "README.md").data
    assert (data.license, data.language, data.size_categories) == ("apache-2.0", ["en", "zh"], ["n<1K"])
    assert data.source_datasets == ["org/questions"]
    assert data.task_categories == ["text-generation"]
    assert data.tags == ["trl_r1", "reasoning-data", "rejection-sampling", "synthetic"]
    assert data.pretty_name == "sampled"


def test_no_licence_is_invented(ancestry):
    text = create_dataset_card(sampled_stage(ancestry, "sampled"))
    assert "license:" not in text.split("---")[1]
    assert "has not named a licence. The records name, for what it was made from: mit." in text


def test_the_recipes_own_licence_is_taken(ancestry):
    folder = sampled_stage(ancestry, "sampled", config={"hub_license": "cc-by-4.0"})
    create_dataset_card(folder)
    assert DatasetCard.load(folder / "README.md").data.license == "cc-by-4.0"


def test_a_licence_that_the_hub_does_not_know_is_named(ancestry):
    create_dataset_card(sampled_stage(ancestry, "sampled"), license="Qwen Research")
    data = DatasetCard.load(ancestry.folder / "sampled" / "README.md").data
    assert (data.license, data.license_name) == ("other", "qwen-research")


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"dropped/wrong": 4}, "4 samples kept and 5 dropped are not the 10 drawn"),
        ({"kept": 3, "dropped/wrong": 6}, "3 samples kept, but the data have 4 rows"),
        ({"solved_prompts": 5}, "5 questions solved, of 5 asked and with 4 rows"),
        ({"prompts": 4}, "10 samples are not 2 .num_generations. of each of 4 questions"),
        ({"kept": -4}, "kept is -4.0"),
        ({"samples": 10.5}, "samples is 10.5"),
    ],
)
def test_counts_that_do_not_add_up_are_no_card(ancestry, metrics, message):
    folder = sampled_stage(ancestry, "sampled", metrics=metrics)
    with pytest.raises(RecordError, match=message):
        create_dataset_card(folder)
    assert not (folder / "README.md").exists()


def test_a_missing_count_is_no_card(ancestry):
    folder = sampled_stage(ancestry, "sampled")
    record = json.loads((folder / "stage.json").read_text())
    del record["metrics"]["kept"]
    ancestry.edit("sampled", metrics=record["metrics"])
    with pytest.raises(RecordError, match="metrics: kept is missing"):
        create_dataset_card(folder)


def test_rows_of_another_temperature_are_no_card(ancestry):
    folder = sampled_stage(ancestry, "sampled", config={"temperature": 0.6})
    with pytest.raises(RecordError, match=r"temperature 0\.6, but rows say 1\.0"):
        create_dataset_card(folder)


def test_changed_lost_and_added_rows_are_no_card(ancestry):
    folder = sampled_stage(ancestry, "sampled")
    rows = (folder / "train.jsonl").read_text()
    (folder / "train.jsonl").write_text(rows.replace("one", "two"))
    with pytest.raises(RecordError, match=r"train\.jsonl: was changed"):
        create_dataset_card(folder)
    (folder / "train.jsonl").unlink()
    with pytest.raises(RecordError, match=r"train\.jsonl: is gone"):
        create_dataset_card(folder)
    (folder / "train.jsonl").write_text(rows)
    (folder / "test.jsonl").write_text(rows)
    with pytest.raises(RecordError, match=r"test\.jsonl: the stage's record does not name it"):
        create_dataset_card(folder)


@pytest.mark.parametrize(
    ("text", "message"), [("{]\n", "line 1 is no JSON"), ("{}\n[]\n", "line 2 is no JSON object")]
)
def test_rows_that_are_none_are_named(ancestry, text, message):
    folder = made_stage(ancestry, "rows", {"train.jsonl": text})
    with pytest.raises(RecordError, match=message):
        create_dataset_card(folder)


def test_a_stage_without_rows_is_no_data_set(ancestry):
    with pytest.raises(RecordError, match="hold no row"):
        create_dataset_card(made_stage(ancestry, "empty", {"train.jsonl": ""}))
    with pytest.raises(RecordError, match="leaves no data set"):
        create_dataset_card(ancestry.folder / "zero")


def test_contamination_is_a_section_only_when_it_was_looked_for(ancestry):
    text = create_dataset_card(sampled_stage(ancestry, "sampled"))
    assert "## Contamination" not in text
    assert "No check against a benchmark is on record" in text
    check = ContaminationCheck(
        benchmark="org/exam", method="10-grams", rows_checked=4, questions=30, hits=2, removed=1
    )
    text = create_dataset_card(sampled_stage(ancestry, "checked", contamination=[check]))
    assert "| `org/exam` | 10-grams | 4 | 30 | 2 | 1 |  |" in text
    assert "No check against a benchmark" not in text


HOSTILE = "```\n# Heading\n---\n</details><script>alert(1)</script> | pipe `````` \u202e \u2028 \ud800 [x](http://bad)"


def test_hostile_rows_stay_inside_their_block(ancestry):
    rows = [chat_row(HOSTILE, HOSTILE, "2", language="en", **{"a|`b\n# c<script>": HOSTILE[:39]}) for _ in range(4)]
    folder = sampled_stage(ancestry, "sampled", rows)
    text = create_dataset_card(folder)
    assert DatasetCard.load(folder / "README.md").data.pretty_name == "sampled"
    outside = re.sub(r"^(`{3,})json\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)", "", outside)  # code within a line
    assert "alert" in text
    assert "alert" not in outside
    assert "<script>" not in outside
    assert "# Heading" not in [line.strip() for line in outside.splitlines()]
    assert not {"\u202e", "\u2028"} & set(text)
    assert "\\u202e \\u2028 \\ud800" in text
    assert [line for line in outside.splitlines() if line.startswith("# c")] == []


def test_a_long_row_is_cut_and_a_short_one_preferred(ancestry):
    long = chat_row("1 + 1 ?", "long " * 3000, "It is 2 .", language="en", domain="maths")
    text = create_dataset_card(sampled_stage(ancestry, "mixed", [long, *ROWS[1:]]))
    assert "One row, whole:" in text
    assert "long long" not in text
    text = create_dataset_card(sampled_stage(ancestry, "long", [long] * 4))
    assert "One row, shortened:" in text
    assert f"[... {len(json.dumps(long, indent=2)) - 4000:,} characters left out ...]" in text


def test_several_data_sets_in_one_folder(ancestry):
    question = {"problem": "1 + 1 ?", "solution": "2"}
    files = {
        "questions/train.jsonl": [question] * 3,
        "questions/test.jsonl": [question],
        "pairs of replies/train-00000-of-00002.jsonl": [{"chosen": "a", "rejected": "b"}],
        "pairs of replies/train-00001-of-00002.jsonl": [{"chosen": "a", "rejected": "b"}] * 2,
    }
    folder = made_stage(ancestry, "rows", files)
    text = create_dataset_card(folder)
    assert "- 7 rows in 2 configurations" in text
    assert "| `pairs-of-replies` | `train` | 3 |" in text
    assert "- written by `make_data.py`\n- size: `3`" in text
    (default,) = [entry for entry in DatasetCard.load(folder / "README.md").data.configs if entry.get("default")]
    assert default["config_name"] == "questions"
    assert load_dataset(str(folder), "pairs-of-replies", split="train").num_rows == 3
    assert load_dataset(str(folder))["train"].num_rows == 3


def test_parquet_and_csv_are_read_too(ancestry):
    import pyarrow
    import pyarrow.parquet

    folder = made_stage(ancestry, "rows", {"a/train.csv": 'problem,solution\n"1, 2",3\n4,5\n'})
    (folder / "b").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"problem": ["x", "y", "z"]}), folder / "b" / "train.parquet")
    write_rows(ancestry, "rows", {})
    assert "- 5 rows in 2 configurations" in create_dataset_card(folder)
    (folder / "b" / "train.parquet").write_bytes(b"PAR1, not")
    write_rows(ancestry, "rows", {})
    with pytest.raises(RecordError, match="is no Parquet file"):
        create_dataset_card(folder)


@pytest.mark.parametrize("path", ["a[1]/train.jsonl", "a/tr*in.jsonl", "a/what?.jsonl"])
def test_names_that_are_patterns_to_the_hub_are_refused(ancestry, path):
    folder = made_stage(ancestry, "rows", {path: [{"problem": "1"}]})
    with pytest.raises(RecordError, match="as a pattern; rename it"):
        create_dataset_card(folder)


def test_folders_that_would_be_one_configuration_are_refused(ancestry):
    folder = made_stage(ancestry, "rows", {"a b/train.jsonl": [{"x": 1}], "a-b/train.jsonl": [{"x": 1}]})
    with pytest.raises(RecordError, match="would both be the data set 'a-b'"):
        create_dataset_card(folder)


@pytest.mark.parametrize("name", ["all", "mein Satz", "--", "数据"])
def test_any_file_name_becomes_a_split_that_loads(ancestry, name):
    folder = made_stage(ancestry, "rows", {f"{name}.jsonl": [{"problem": "1"}]})
    create_dataset_card(folder)
    (split,) = load_dataset(str(folder)).values()
    assert split.num_rows == 1


def test_published_questions_and_the_own_name_are_linked(ancestry):
    made_stage(ancestry, "rows", {"train.jsonl": [{"problem": str(n)} for n in range(5)]})
    (ancestry.folder / "rows" / "published.json").write_text(
        '{"repo_id": "me/rows", "repo_type": "dataset", "when": "2026-02-01T10:00:00+00:00"}'
    )
    record = json.loads((ancestry.folder / "cold" / "stage.json").read_text())["data"][0]
    source = DataSource(**record | {"source": str(ancestry.folder / "rows")})
    folder = sampled_stage(ancestry, "sampled", data=[source], config={"hub_dataset_id": "me/sampled"})
    text = create_dataset_card(folder)
    assert DatasetCard.load(folder / "README.md").data.source_datasets == ["me/rows"]
    assert 'train = load_dataset("me/sampled", split="train")' in text
    assert 'load_dataset("me/other", ' in create_dataset_card(folder, repo_id="me/other")


def test_every_data_set_of_a_pipeline_gets_a_card_and_nothing_else_does(tmp_path):
    run = FakeRun(tmp_path)
    run.stage("zero", "grpo", weights=b"zero")
    sampled_stage(run, "sampled")
    made_stage(run, "rows", {"train.jsonl": [{"problem": "1"}]})
    (tmp_path / "pipeline.json").write_text('{"license": "apache-2.0"}')
    sampled_stage(run, "own", config={"hub_license": "mit"})
    cards = create_dataset_cards(tmp_path)
    licenses = {path.parent.name: DatasetCard.load(path).data.license for path in cards}
    assert licenses == {"own": "mit", "rows": "apache-2.0", "sampled": "apache-2.0"}


def test_a_data_set_of_an_earlier_version_is_named(tmp_path, caplog):
    run = FakeRun(tmp_path)
    sampled_stage(run, "sampled", parents=())
    folder = made_stage(run, "rows", {"train.jsonl": [{"problem": "1"}]})
    assert [path.parent.name for path in create_dataset_cards(tmp_path)] == ["rows", "sampled"]
    assert not caplog.records
    run.edit("rows", artefacts=[])  # as a record was before it named rows in sub-folders
    assert [path.parent.name for path in create_dataset_cards(tmp_path)] == ["sampled"]
    assert f"{folder}: no card: its record, of an earlier version, names no file of rows" in caplog.text


@pytest.mark.parametrize(
    ("rows", "expected"), [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**12, "n>1T")]
)
def test_size_categories(rows, expected):
    assert next(name for limit, name in SIZES if rows < limit) == expected


def test_columns_of_many_or_long_values_are_no_groups():
    rows = [{"n": n, "few": n % 3, "text": "x" * 41, "list": [1], "language": "en"} for n in range(MOST_GROUPS + 1)]
    assert set(RowSummary.of(rows).shown_groups()) == {"few", "language"}
    halves = RowSummary.of(rows[:6])
    halves.merge(RowSummary.of(rows[6:]))
    assert set(halves.shown_groups()) == {"few", "language"}
    assert halves.rows == len(rows)


def test_languages_are_codes_of_the_hub_and_not_of_programs():
    rows = [{"language": language} for language in ("py", "py", "py", "en", "zh-Hant", "zh-Hant", None)]
    assert RowSummary.of(rows).languages() == ["zh-Hant", "en"]


def test_completions_are_read_with_what_the_prompt_began():
    row = {"prompt": "Question: 1 ? Assistant: <think>", "completion": " one </think> <answer> 1 </answer>"}
    assert RowSummary.of([row]).lengths.mean_reasoning == 1.0


def test_metrics_of_the_fixture_add_up():
    dropped = sum(value for name, value in METRICS.items() if name.startswith("dropped/"))
    assert METRICS["kept"] + dropped == METRICS["samples"]
