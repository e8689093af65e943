"""Every recipe of the repository loads, and its header launches it."""

import itertools
from pathlib import Path

import pytest

from trl_r1.recipe import VERBS, header_of, inspect_recipe, is_pipeline, load_yaml
from trl_r1.stage_record.kinds import TRAINING_VERBS
from trl_r1.user_code import find_file


ROOT = Path(__file__).parents[2]
NO_RECIPES = {"accelerate_configs", "phrasings"}  # read by accelerate, and by recipes; checked with their tests
FILES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "recipes").rglob("*.yaml") if not NO_RECIPES & set(path.parts)
)
STAGES = [path for path in FILES if not is_pipeline(load_yaml(ROOT / path))]
PIPELINES = [path for path in FILES if path not in STAGES]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.mark.parametrize("path", STAGES, ids=str)
def test_recipe_is_valid(path):
    recipe = inspect_recipe(path)
    assert recipe.verb in VERBS


@pytest.mark.parametrize("path", STAGES, ids=str)
def test_launch_line_resolves_to_the_recipe(path):
    verb, launched = header_of(path)
    assert verb in VERBS
    assert find_file(launched).resolve() == (ROOT / path).resolve()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_header_names_the_file(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# {path.as_posix()} · ")


@pytest.mark.parametrize("path", STAGES, ids=str)
def test_header_of_a_training_says_what_to_expect(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    header = itertools.takewhile(lambda line: line.startswith("#"), lines)
    trains = header_of(path)[0] in TRAINING_VERBS
    assert not trains or any(line.startswith("# expect:") for line in header)


@pytest.mark.parametrize("path", PIPELINES, ids=str)
def test_pipeline_is_valid(path):
    from trl_r1.pipeline import load_pipeline

    assert load_pipeline(path).stages
