"""No stage writes over what it reads: users keep their rows where they like."""

import json

import pytest

from trl_r1.cli import main
from trl_r1.recipe.inputs import overwriting_problems


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "mine"
    place.mkdir()
    for name in ("train", "test"):
        (place / f"{name}.jsonl").write_text(json.dumps({"problem": f"1 + {len(name)}?", "solution": "6"}) + "\n")
    return place


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("dataset_name", {"dataset_name": "mine"}),
        ("dataset_name", {"dataset_name": "./mine/../mine/"}),
        ("dataset_name", {"dataset_name": "mine/train.jsonl"}),
        ("datasets[1].path", {"datasets": [{"path": "other"}, {"path": "mine"}]}),
        ("held_out_datasets[0].path", {"held_out_datasets": [{"path": "mine"}]}),
        ("benchmarks", {"benchmarks": ["mine:default:test"]}),
        ("model_name_or_path", {"model_name_or_path": "mine"}),
        ("teacher_model_name_or_path", {"teacher_model_name_or_path": "mine"}),
    ],
)
def test_an_input_in_the_output_folder_is_named(rows, field, values):
    [problem] = overwriting_problems({"output_dir": "mine", **values})
    assert problem.startswith(f"output_dir: 'mine' holds {field} ")


def test_neighbours_and_names_on_the_hub_are_left_alone(rows):
    assert not list(overwriting_problems({"output_dir": "mine/out", "dataset_name": "mine", "datasets": None}))
    assert not list(overwriting_problems({"output_dir": "hub-name", "dataset_name": "hub-name"}))
    assert not list(overwriting_problems({"output_dir": None, "dataset_name": "mine"}))


@pytest.mark.parametrize("verb", ["decontaminate", "compose"])
def test_a_verb_leaves_the_rows_as_they_were(rows, verb, capsys):
    before = {path.name: path.read_bytes() for path in rows.iterdir()}
    benchmark = ["--benchmarks", "elsewhere"] if verb == "decontaminate" else []
    assert main([verb, "--dataset_name", "mine", "--output_dir", "mine", *benchmark]) == 2
    assert "would be overwritten" in " ".join(capsys.readouterr().err.split())
    assert {path.name: path.read_bytes() for path in rows.iterdir()} == before


def test_a_bound_is_told_once(rows, capsys):
    words = ["--model_name_or_path", "model", "--dataset_name", "mine", "--output_dir", "out"]
    assert main(["generate", *words, "--generation_batch_size", "0"]) == 2
    assert capsys.readouterr().err.count("generation_batch_size: 0") == 1
