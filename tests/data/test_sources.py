"""What the record of a stage says of its data: languages, licence, and the commit of a Hub data set."""

import json

import pytest
from datasets import Dataset

from trl_r1.data.mixture import count_languages, hub_revision, load_source


COMMIT = "c" * 40


def rows(languages):
    return Dataset.from_list([{"problem": "p", "language": language} for language in languages])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["en", "zh", "zh", None], ["zh", "en"]),
        (["python", "py", "English", ""], []),
        ([1, 2], []),
        ([["en"], ["zh"]], []),
    ],
)
def test_languages_are_the_codes_of_the_column_most_frequent_first(values, expected):
    assert count_languages(rows(values)) == expected


def test_rows_without_a_column_say_nothing():
    assert count_languages(Dataset.from_list([{"problem": "p"}])) == []


def test_a_folder_is_described_by_its_rows_and_its_card(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-4.0\nlanguage: [fr, en]\n---\n")
    (tmp_path / "train.jsonl").write_text(json.dumps({"problem": "p"}) + "\n")
    described = load_source(str(tmp_path)).describe(1, {})
    assert (described.license, described.languages, described.revision) == ("cc-by-4.0", ["fr", "en"], None)
    (tmp_path / "train.jsonl").write_text(json.dumps({"problem": "p", "language": "zh"}) + "\n")
    assert load_source(str(tmp_path)).describe(1, {}).languages == ["zh"]


class Read:
    """Rows that were prepared in some folders, as `datasets` tells of them."""

    def __init__(self, *folders):
        self.cache_files = [{"filename": f"/cache/{folder}/data.arrow"} for folder in folders]


def test_the_commit_is_that_of_the_folder_of_the_rows():
    assert hub_revision(Read(COMMIT, COMMIT)) == COMMIT
    assert hub_revision(Read(COMMIT, "d" * 40)) is None  # a mixture of several
    assert hub_revision(Read("0" * 64)) is None
    assert hub_revision(rows(["en"])) is None
