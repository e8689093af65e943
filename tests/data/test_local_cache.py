"""A folder is read as it is now, whatever another of its name, or it itself, held before."""

import json

import pytest

from trl_r1.data.local_cache import cache_options
from trl_r1.data.mixture import load_source


CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.jsonl\n---\n"


def make(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"problem": f"{folder} {number}"}) + "\n" for number in range(rows))
    (folder / "train.jsonl").write_text(text)
    (folder / "README.md").write_text(CARD)
    return str(folder)


def read(path):
    return load_source(path).dataset["problem"][:]


def test_two_runs_with_a_data_set_of_one_name_are_two(tmp_path):
    first, second = make(tmp_path / "a" / "sft_data", 1), make(tmp_path / "b" / "sft_data", 2)
    assert read(first) == [f"{first} 0"]
    assert read(second) == [f"{second} 0", f"{second} 1"]


def test_a_data_set_that_is_made_again_is_read_again(tmp_path):
    folder = make(tmp_path / "sft_data", 1)
    assert len(read(folder)) == 1
    assert len(read(make(tmp_path / "sft_data", 3))) == 3


def test_what_did_not_change_is_prepared_once(tmp_path):
    folder = make(tmp_path / "sft_data", 1)
    (tmp_path / "sft_data" / ".work").mkdir()
    before = cache_options(folder)
    (tmp_path / "sft_data" / ".work" / "part").write_text("x")
    assert cache_options(folder) == before
    assert cache_options(f"{folder}/../sft_data") == before


@pytest.mark.parametrize("path", ["some/hub-id", "nowhere", "json"])
def test_what_is_no_folder_here_is_left_to_datasets(path):
    assert cache_options(path) == {}
