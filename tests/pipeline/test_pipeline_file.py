"""Pipeline files: the order that follows from the needs, and every problem at once."""

import pytest

from trl_r1.errors import RecipeError
from trl_r1.pipeline import load_pipeline
from trl_r1.pipeline.graph import stages_behind
from trl_r1.pipeline.loading import strings_in


def problems_of(world, stages, **fields):
    with pytest.raises(RecipeError) as caught:
        load_pipeline(world.write(stages, **fields))
    return caught.value.problems


def diamond(world):
    return {"c": world.stage("b"), "b": world.stage("a"), "d": world.stage(), "a": world.stage()}


def test_order_follows_from_needs(world):
    pipeline = load_pipeline(world.write(diamond(world), jobs=2))
    order = list(pipeline.stages)
    assert order.index("a") < order.index("b") < order.index("c")
    assert set(order) == {"a", "b", "c", "d"}
    assert pipeline.jobs == 2
    assert pipeline.folder("a") == world.output / "a"


def test_order_is_that_of_the_file_where_the_needs_allow(world):
    stages = {
        "a": world.stage(),
        "b": world.stage("a"),
        "c": world.stage("b"),
        "d": world.stage(),
        "e": world.stage("a"),
    }
    assert list(load_pipeline(world.write(stages)).stages) == ["a", "b", "c", "d", "e"]
    assert list(load_pipeline(world.write(diamond(world))).stages) == ["d", "a", "b", "c"]


def test_stages_behind(world):
    pipeline = load_pipeline(world.write(diamond(world)))
    assert stages_behind(pipeline.stages) == {"a": 2, "b": 1, "c": 0, "d": 0}
    assert stages_behind(pipeline.select(["b"]).stages) == {"a": 1, "b": 0}


def test_select_takes_what_is_needed(world):
    pipeline = load_pipeline(world.write(diamond(world)))
    assert list(pipeline.select(["b"]).stages) == ["a", "b"]
    with pytest.raises(RecipeError, match="only: 'bb' is no stage; did you mean 'b'"):
        pipeline.select(["bb"])


def test_circle_is_named(world):
    (problem,) = problems_of(world, {"a": world.stage("c"), "b": world.stage("a"), "c": world.stage("b")})
    assert "circle" in problem
    assert all(f"{name} ->" in problem for name in "abc")


def test_all_problems_at_once(world):
    stages = {
        "a": {"script": "gpro", "config": "a.yaml"},
        "b": {"script": "stage.py", "needs": ["x", "aa"]},
        "c": {"script": "nowhere.py"},
        "d": {"script": "sft"},
        "e": {"script": "sft", "config": "missing.yaml", "stages": 3},
        "f": "stage.py",
        "g": {"script": "stage.py", "args": {"output_dir": "x", "empty": None}, "output": "../up"},
        "h": {"script": "stage.py", "output": "b", "needs": "a"},
    }
    found = problems_of(world, stages, jobs=0, sead=3, seed="one", report={"title": 2024, "questions": "six"})
    expected = [
        "sead: 'sead' is no field; did you mean 'seed'?",
        "stages.a.script: 'gpro' is no verb; did you mean 'grpo'?",
        "stages.a.config: there is no file",
        "stages.b.needs: 'x' is no stage",
        "stages.b.needs: 'aa' is no stage; did you mean 'a'?",
        "stages.c.script: there is no file 'nowhere.py'",
        "stages.d.config: missing",
        "stages.e.stages: 'stages' is no field",
        "stages.e.config: there is no file",
        "stages.f: 'stage.py' is not a mapping",
        "stages.g.args.output_dir: the runner sets it",
        "stages.g.args.empty: null",
        "stages.g.output: '../up'",
        "stages.h.needs: 'a' is not a list",
        "stages.h.output: 'b' shares a folder with 'b'",
        "seed: 'one' is not a whole number",
        "jobs: 0",
        "report.title: 2024 is not text",
        "report.questions: 'six' is not a whole number",
    ]
    for line in expected:
        assert any(problem.startswith(line) for problem in found), line
    assert len(found) == len(expected)


def test_stage_must_need_what_it_reads(world):
    (world.folder / "sft.yaml").write_text(f"model_name_or_path: {world.output}/base\noutput_dir: {world.output}/s\n")
    (world.folder / "lost.yaml").write_text(f"datasets: [{{path: {world.output}/nothing/data}}]\n")
    stages = {
        "base": world.stage(),
        "middle": world.stage("base"),
        "far": {"script": "sft", "config": "sft.yaml", "needs": ["middle"]},
        "s": {"script": "sft", "config": "sft.yaml"},
        "lost": {"script": "sft", "config": "lost.yaml", "needs": ["base"]},
    }
    found = problems_of(world, stages)
    assert found == [
        f"stages.s: it reads '{world.output}/base'; add 'base' to its needs",
        f"stages.lost: it reads '{world.output}/nothing/data', which no stage makes",
    ]


def test_no_stages(world):
    assert problems_of(world, {}) == ["stages: there is none; name at least one"]


def test_missing_file_names_it(world):
    with pytest.raises(RecipeError, match=r"pipeline\.yaml"):
        load_pipeline(world.path)


def test_strings_in_finds_nested_ones():
    assert list(strings_in({"a": ["x", {"b": "y"}], "c": 3})) == ["x", "y"]


def test_recipes_are_checked_before_anything_runs(world):
    (world.folder / "sft.yaml").write_text("model_name_or_path: x\ndataset_name: y\noutput_dir: z\nmax_stepz: 3\n")
    world.write({"a": world.stage(), "b": {"script": "sft", "config": "sft.yaml", "needs": ["a"]}})
    with pytest.raises(RecipeError, match=r"sft\.yaml: max_stepz: .*max_steps"):
        world.run()
    assert world.ran() == []


def test_the_recipe_of_a_stage_is_no_pipeline():
    with pytest.raises(RecipeError, match="is the recipe of one stage"):
        load_pipeline("recipes/tiny/r1_zero.yaml")
