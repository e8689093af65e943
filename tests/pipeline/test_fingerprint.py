"""What makes a finished stage stale, and what does not."""

import dataclasses

import pytest

from trl_r1.pipeline import load_pipeline
from trl_r1.pipeline.fingerprint import local_sources, stage_fingerprints


@pytest.fixture
def pipeline(world, monkeypatch):
    """Two stages: `a` a file that imports `helper.py`, `b` a recipe that names a reward's source."""
    monkeypatch.chdir(world.folder)
    (world.folder / "helper.py").write_text("VALUE = 1\n")
    (world.folder / "base.py").write_text("import helper\nimport os\n")
    (world.folder / "reward.py").write_text("def f(): ...\n")
    recipe = f"# note\nreward_funcs: [reward.py:f]\nmax_steps: 3\nmodel_name_or_path: {world.output}/a\n"
    (world.folder / "b.yaml").write_text(recipe)
    stages = {"a": {"script": "base.py"}, "b": {"script": "grpo", "config": "b.yaml", "needs": ["a"]}}
    return load_pipeline(world.write(stages))


def changed(world, pipeline, edit):
    """Names of the stages whose fingerprint changes with an edit."""
    before = stage_fingerprints(pipeline)
    edit()
    after = stage_fingerprints(load_pipeline(world.path))
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("b.yaml", "# note", "# another note", set()),
        ("b.yaml", "max_steps: 3", "max_steps:   3  # same", set()),
        ("b.yaml", "max_steps: 3", "max_steps: 4", {"b"}),
        ("reward.py", "...", "return 1", {"b"}),
        ("helper.py", "1", "2", {"a", "b"}),
        ("base.py", "import os", "import sys", {"a", "b"}),
    ],
)
def test_edits(world, pipeline, file, old, new, expected):
    path = world.folder / file

    def edit():
        path.write_text(path.read_text().replace(old, new))

    assert changed(world, pipeline, edit) == expected


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [("seed", 3, False), ("env", {"A": "1"}, False), ("jobs", 5, True), ("report", {"title": "x"}, True)],
)
def test_settings(pipeline, field, value, same):
    other = dataclasses.replace(pipeline, **{field: value})
    assert (stage_fingerprints(other) == stage_fingerprints(pipeline)) is same


def test_place_of_the_outputs_does_not_matter(pipeline, tmp_path):
    moved = dataclasses.replace(pipeline, output_dir=tmp_path / "x")
    assert stage_fingerprints(moved) == stage_fingerprints(pipeline)


def test_local_sources_follow_imports_in_circles(tmp_path):
    (tmp_path / "a.py").write_text("import b\nfrom os import path\n")
    (tmp_path / "b.py").write_text("from a import x\nimport broken\n")
    (tmp_path / "broken.py").write_text("def (\n")
    assert {path.name for path in local_sources(tmp_path / "a.py")} == {"a.py", "b.py", "broken.py"}
