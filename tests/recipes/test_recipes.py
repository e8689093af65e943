"""Every recipe of the repository loads, and its header launches it."""

import itertools
from pathlib import Path

import pytest

from trl_r1.recipe import VERBS, find_recipe, header_of, inspect_recipe, is_pipeline, load_yaml


ROOT = Path(__file__).parents[2]
NO_RECIPES = {"accelerate_configs"}  # read by accelerate, checked with the distributed tests
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
    assert find_recipe(launched).resolve() == (ROOT / path).resolve()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_header_names_the_file_and_what_to_expect(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {path.as_posix()} · ")
    header = itertools.takewhile(lambda line: line.startswith("#"), lines)
    assert any(line.startswith("# expect:") for line in header), "say what the stage should end with"


@pytest.mark.parametrize("path", PIPELINES, ids=str)
def test_pipeline_is_valid(path):
    from trl_r1.pipeline.graph import load_pipeline

    assert load_pipeline(path).stages


@pytest.mark.parametrize("path", STAGES, ids=str)
def test_recipe_lists_only_what_differs_from_the_defaults(path):
    recipe = inspect_recipe(path)
    written = load_yaml(path)
    conveniences = {"preset", "prompts_per_step", "updates_per_rollout", "env"}
    idle = [name for name in written if name not in recipe.resolved and name not in conveniences]
    if recipe.preset is None:  # over a preset, a line may well restore a default
        # Two lines say what a reader looks for even where TRL would do the same.
        assert set(idle) <= {"beta", "temperature", "loss_type", "num_generations", "seed"}
