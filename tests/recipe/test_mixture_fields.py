"""open-r1's `dataset_mixture` in a recipe, and the checks of mixtures and splits before anything is read."""

import logging

import pytest
import yaml

from trl_r1.errors import RecipeError
from trl_r1.recipe import load_recipe, validate_recipe


OPEN_R1 = """
model_name_or_path: someone/model
output_dir: out
use_cpu: true
bf16: false
dataset_mixture:
  datasets:
    - id: one/first
      config: default
      split: train
      columns: [messages]
      weight: 0.5
    - id: one/second
      columns: [messages]
  seed: 3
  test_split_size: 0.1
"""


@pytest.fixture
def recipe(tmp_path):
    def write(text=OPEN_R1, **fields):
        content = {**yaml.safe_load(text), **fields}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return str(path)

    return write


def test_a_dataset_mixture_becomes_trls_and_says_so(recipe, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "trl_r1.recipe"):
        loaded = load_recipe("sft", ["--config", recipe()])
    first, second = loaded.dataset_args.datasets
    assert (first.path, first.name, first.split, first.columns) == ("one/first", "default", "train", ["messages"])
    assert (second.path, second.name, second.split, second.fraction) == ("one/second", None, "train", None)
    assert loaded.script_args.dataset_mixture_weights == [0.5, 1.0]
    assert (loaded.script_args.dataset_mixture_seed, loaded.dataset_args.test_split_size) == (3, 0.1)
    assert "0.5 of one/first, 1 of one/second, each shuffled and cut" in caplog.text
    assert "path <- id, name <- config" in caplog.text
    again = load_recipe("sft", ["--config", str(loaded.write_resolved(tmp_path / "resolved"))])
    assert again.resolved == loaded.resolved


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ("one/first", "dataset_mixture: is not a mapping with a list `datasets`"),
        ({"datasets": []}, "dataset_mixture: is not a mapping with a list `datasets`"),
        ({"datasets": ["one/first"]}, r"dataset_mixture.datasets[0]: 'one/first' is not a mapping; write `id: one/f"),
        ({"datasets": [{"path": "a"}]}, "dataset_mixture.datasets[0].path: no such field"),
        ({"datasets": [{"config": "a"}]}, "dataset_mixture.datasets[0].id: missing"),
        ({"datasets": [{"id": "a", "weight": 1.5}]}, "weight: 1.5 must be above 0 and at most 1"),
        ({"datasets": [{"id": "a", "weight": 0}]}, "weight: 0 must be above 0 and at most 1"),
        ({"datasets": [{"id": "a", "weigth": 1}]}, "weigth: no such field; did you mean 'weight'?"),
        ({"datasets": [{"id": "a"}], "sed": 1}, "dataset_mixture.sed: no such field; did you mean 'seed'?"),
        ({"datasets": [{"id": "a"}], "seed": "x"}, "dataset_mixture.seed: 'x' is not a whole number"),
        ({"datasets": [{"id": "a"}], "test_split_size": 1}, "dataset_mixture.test_split_size: 1 must be above 0"),
        (
            {"datasets": [{"id": "a", "columns": ["x"]}, {"id": "b", "columns": ["y"]}]},
            "dataset_mixture.datasets[1].columns: ['y'] are not those of dataset_mixture.datasets[0]",
        ),
        ({"datasets": [{"id": "a", "split": "test[:5%]"}]}, "datasets[0]: 'test' of 'a' is held out for measuring"),
    ],
)
def test_what_cannot_be_translated_is_a_line_with_the_fix(recipe, mixture, message):
    problems = validate_recipe(recipe(dataset_mixture=mixture), "sft")
    assert any(message in problem for problem in problems), problems
    assert not any("missing; give a folder, a Hub id, or a mixture" in problem for problem in problems)


def test_data_named_twice_is_refused(recipe):
    assert "dataset_name: given beside dataset_mixture; keep one of them" in validate_recipe(
        recipe(dataset_name="a"), "sft"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"datasets": [{"path": "a", "fraction": 0.5}, {"path": "b"}]}, "datasets[1].fraction: missing"),
        ({"datasets": [{"path": "a", "fraction": 0}]}, "datasets[0].fraction: 0 must be above 0"),
        ({"dataset_name": "a", "test_split_size": 0.1}, "test_split_size: TRL reads it with `datasets` only"),
        ({"dataset_name": "a", "dataset_mixture_seed": 1}, "dataset_mixture_seed: it shuffles a mixture"),
        ({"datasets": [{"path": "a"}], "test_split_size": 3.0}, "test_split_size: 3.0 must be above 0 and below 1"),
        ({"datasets": [{"path": "a"}], "dataset_mixture_weights": [0.5]}, "dataset_mixture_seed: missing"),
        (
            {"datasets": [{"path": "a"}], "dataset_mixture_weights": [0.5, 1.0], "dataset_mixture_seed": 0},
            "dataset_mixture_weights: 2 weights for 1 datasets",
        ),
        (
            {"datasets": [{"path": "a", "fraction": 1}], "dataset_mixture_weights": [2.0], "dataset_mixture_seed": -1},
            "dataset_mixture_seed: -1 must be at least 0",
        ),
        ({"dataset_name": "a", "dataset_train_split": "train+test"}, "dataset_train_split: 'test' is held out"),
        (
            {"dataset_name": "a", "dataset_train_split": "test", "train_on_held_out_split": " "},
            "train_on_held_out_split: '' is no reason",
        ),
    ],
)
def test_mixtures_and_splits_are_checked_before_anything_is_read(recipe, fields, message):
    problems = validate_recipe(recipe(dataset_mixture=None, **fields), "sft")
    assert any(problem.startswith(message) for problem in problems), problems


def test_a_reason_lets_a_held_out_split_through_and_is_recorded(recipe):
    fields = {"dataset_name": "a/b", "dataset_train_split": "test", "train_on_held_out_split": "no train split"}
    path = recipe(dataset_mixture=None, **fields)
    assert load_recipe("sft", ["--config", path]).resolved["train_on_held_out_split"] == "no train split"


def test_every_problem_is_reported_at_once(recipe):
    mixture = {"datasets": [{"id": "a", "weight": 2}, {"name": "b"}], "size": 1}
    with pytest.raises(RecipeError) as caught:
        load_recipe("sft", ["--config", recipe(dataset_mixture=mixture)])
    assert len([problem for problem in caught.value.problems if problem.startswith("dataset_mixture")]) == 4
