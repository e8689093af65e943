"""What is wrong with the suites of an evaluation is told before anything is loaded, all of it, with the fix."""

import pytest
from tiny_models import make_tokenizer

from trl_r1.errors import R1Error, RecipeError
from trl_r1.evaluation import EvaluationSuite
from trl_r1.evaluation.metrics import MetricContext, built_in_metrics
from trl_r1.recipe import load_recipe
from trl_r1.recipe.entries import comparison_problems, suite_problems
from trl_r1.recipe.suite_checks import BUILT_IN_METRICS, SUITE_FIELDS, benchmark_names, name_of


PLAIN = {"name": "sums", "dataset_name": "questions"}
VARIANT = {"name": "bare", "instruction": "{problem}"}


def problems_of(**fields):
    return list(suite_problems([{**PLAIN, **fields}]))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"instruction": "Answer."}, "suites[0].instruction: holds {problem} 0 times; write it exactly once"),
        ({"instruction": 3}, "suites[0].instruction: 3 is not text; put it in quotes"),
        ({"system_prompt": ["be kind"]}, "suites[0].system_prompt: ['be kind'] is not text; put it in quotes"),
        ({"verifier": "aut"}, "did you mean 'auto'?"),
        ({"num_samples": 8}, "suites[0].num_samples: it is of a mode; write modes: {sampled: {num_samples: 8}}"),
        ({"data_files": "rows.parquet"}, "suites[0].data_files: they are rows of a benchmark; name it, or give"),
        ({"max_rows": 0}, "suites[0].max_rows: 0 is not a whole number of at least 1"),
        ({"max_rows": "all"}, "suites[0].max_rows: 'all' is not a whole number of at least 1"),
        ({"pass_at": 8}, "suites[0].pass_at: 8 is not a list of whole numbers of at least 1; write [1, 8]"),
        ({"pass_at": [True]}, "suites[0].pass_at: [True] is not a list of whole numbers"),
        ({"pass_at": [2]}, "suites[0].pass_at: 2 is more than the 1 samples drawn; lower it or raise num_samples"),
        (
            {"cons_at": [1, 64], "modes": {"a": {"num_samples": 16}, "b": {"num_samples": 4}}},
            "suites[0].cons_at: 64 is more than the 16 samples drawn",
        ),
        ({"modes": {}}, "suites[0].modes: {} is not a mapping of names to sampling settings"),
        ({"modes": {1: {}}}, "suites[0].modes: 1 is no name; put it in quotes"),
        (
            {"modes": {"a b": {}, "a_b": {}}},
            "suites[0].modes.a_b: another mode's file of answers would have this name",
        ),
        ({"modes": {"a": {"temperature": float("nan")}}}, "suites[0].modes.a.temperature: nan is not a number"),
        ({"modes": {"a": {"temperature": float("inf")}}}, "suites[0].modes.a.temperature: inf is not a number"),
        ({"modes": {"a": {"max_completion_length": 0}}}, "suites[0].modes.a.max_completion_length: 0 is not a whole"),
        ({"prompt_variants": []}, "suites[0].prompt_variants: it is empty"),
        ({"prompt_variants": [7]}, "suites[0].prompt_variants[0]: 7 is neither a bank's name nor a mapping"),
        ({"prompt_variants": "no/such.yaml"}, "suites[0].prompt_variants: there is no file 'no/such.yaml'"),
        ({"prompt_variants": [{"instruction": "{problem}"}]}, "suites[0].prompt_variants[0].name: None is not text"),
        ({"prompt_variants": [{**VARIANT, "sistem": "x"}]}, "suites[0].prompt_variants[0].sistem: no such field"),
        ({"prompt_variants": [VARIANT, VARIANT]}, "suites[0].prompt_variants: the name 'bare' stands twice"),
        ({"metrics": ["acuracy"]}, "suites[0].metrics: 'acuracy' is unknown; did you mean 'accuracy'?"),
        ({"metrics": ["own.py:accurate", "x"]}, "suites[0].metrics: 'x' is unknown; use one of accuracy, "),
        ({"prompt_variants": ["default", VARIANT]}, "suites[0].prompt_variants: the name 'bare' stands twice"),
        (
            {"prompt_variants": ["defualt"]},
            "suites[0].prompt_variants[0]: 'defualt' is unknown; did you mean 'default'",
        ),
    ],
)
def test_what_is_wrong_with_a_suite(fields, problem):
    assert any(problem in found for found in problems_of(**fields)), problems_of(**fields)


def test_a_suite_of_every_kind_passes():
    assert problems_of() == []
    assert problems_of(modes={"a": {"num_samples": 8, "temperature": 0.6}}, pass_at=[1, 8], cons_at=[8]) == []
    assert problems_of(prompt_variants=[VARIANT], instruction="{problem}!", cluster_by="source") == []


def test_every_field_of_a_suite_can_be_said_in_a_recipe():
    assert set(EvaluationSuite.__dataclass_fields__) <= set(SUITE_FIELDS)


def test_an_unknown_benchmark_is_named_with_the_nearest():
    [problem] = suite_problems([{"benchmark": "no_such_benchmark"}])
    assert problem.startswith("suites[0].benchmark: 'no_such_benchmark' is unknown; ")
    [problem] = suite_problems([{"benchmark": "no/such.yaml"}])
    assert "there is no file 'no/such.yaml'" in problem
    [problem] = suite_problems([{"benchmark": 3, "name": "x"}])
    assert problem == "suites[0].benchmark: 3 is not text; give a name or a YAML file"


def test_a_family_of_puzzles_is_a_benchmark():
    assert list(suite_problems([{"benchmark": "reasoning_gym/chain_sum"}])) == []
    [problem] = suite_problems([{"benchmark": "reasoning_gym/chain_sums"}])
    assert problem == "suites[0].benchmark: reasoning-gym has no family 'chain_sums'; did you mean 'chain_sum'?"


def test_two_names_that_would_share_a_file_are_refused():
    found = list(suite_problems([PLAIN, {**PLAIN, "name": "su.ms"}, {**PLAIN, "name": "sums"}]))
    assert found == ["suites[2].name: 'sums' stands twice; results would overwrite each other"]
    found = list(suite_problems([{**PLAIN, "name": "a b"}, {**PLAIN, "name": "a-b"}]))
    assert found == ["suites[1].name: 'a-b' stands twice; results would overwrite each other"]


def test_comparisons_name_a_way_to_ask_where_there_are_several():
    suites = [{**PLAIN, "prompt_variants": [VARIANT, {**VARIANT, "name": "polite"}]}, {**PLAIN, "name": "other"}]
    checkpoints = [{"name": "a"}, {"name": "b"}]
    entry = {"before": "a", "after": "b", "suite": "sums", "mode": "sampled", "metric": "accuracy"}
    assert list(comparison_problems([{**entry, "variant": "bare"}], checkpoints, suites)) == []
    [problem] = comparison_problems([entry], checkpoints, suites)
    assert problem == "comparisons[0].variant: None is not measured; use one of bare, polite"
    [problem] = comparison_problems([{**entry, "suite": "other", "variant": "bare"}], checkpoints, suites)
    assert problem == "comparisons[0].variant: 'bare', but the suite has no prompt_variants; leave it out"
    banked = [{**PLAIN, "prompt_variants": "default"}]
    assert list(comparison_problems([{**entry, "variant": "paper"}], checkpoints, banked)) == []
    [problem] = comparison_problems([{**entry, "variant": "papper"}], checkpoints, banked)
    assert problem.startswith("comparisons[0].variant: 'papper' is not measured; use one of bare, paper,")


def test_comparisons_name_a_metric_that_is_measured_and_two_checkpoints():
    plain = {**PLAIN, "modes": {"sampled": {"num_samples": 4}}}
    suites = [plain, {**PLAIN, "name": "own", "metrics": ["accuracy", "mine.py:polite", "a.module.short"]}]
    checkpoints = [{"name": "a"}, {"name": "b"}]
    entry = {"before": "a", "after": "b", "suite": "sums", "mode": "sampled"}
    for metric in ("accuracy", "reflections", "pass@4", "cons@2"):
        assert list(comparison_problems([{**entry, "metric": metric}], checkpoints, suites)) == []
    for metric in ("polite", "short"):
        assert list(comparison_problems([{**entry, "suite": "own", "metric": metric}], checkpoints, suites)) == []
    [problem] = comparison_problems([{**entry, "metric": "acuracy"}], checkpoints, suites)
    assert problem == "comparisons[0].metric: 'acuracy' is not measured; did you mean 'accuracy'?"
    [problem] = comparison_problems([{**entry, "suite": "own", "metric": "mixed"}], checkpoints, suites)
    assert problem == "comparisons[0].metric: 'mixed' is not measured; use one of accuracy, polite, short"
    [problem] = comparison_problems([{**entry, "metric": "pass@8"}], checkpoints, suites)
    assert problem == "comparisons[0].metric: 'pass@8' needs more than the 4 samples drawn; raise num_samples"
    [problem] = comparison_problems([{**entry, "after": "a", "metric": "accuracy"}], checkpoints, suites)
    assert problem == "comparisons[0].after: 'a' is before too; name another checkpoint"


def test_the_built_in_metrics_are_those_that_are_measured():
    assert tuple(built_in_metrics(MetricContext(tokenizer=None))) == BUILT_IN_METRICS


RECIPE = """\
output_dir: out
checkpoints: [{{name: a, path: {path}}}]
suites: [{{name: sums, dataset_name: {path}}}]
"""


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("engine: vlm", "engine: 'vlm' is unknown"),
        ("engine: server", "server_base_url: missing"),
        ("generation_batch_size: 0", "generation_batch_size: 0 must be at least 1"),
        ("max_undecidable: 2", "max_undecidable: 2 must be between 0 and 1"),
        ("max_undecided: .1", "max_undecided: no such field of a evaluate recipe; did you mean 'max_undecidable'?"),
    ],
)
def test_the_engine_of_an_evaluation_is_checked(tmp_path, lines, problem):
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(path=tmp_path) + lines + "\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("evaluate", ["--config", str(tmp_path / "recipe.yaml")])
    assert any(found.startswith(problem) for found in caught.value.problems), caught.value.problems


def test_a_server_takes_one_checkpoint_and_no_template_it_cannot_show(tmp_path):
    text = RECIPE.format(path=tmp_path).replace("}]\nsuites", ", chat_template: r1}, {name: b, path: c}]\nsuites")
    (tmp_path / "recipe.yaml").write_text(f"{text}engine: server\nserver_base_url: http://127.0.0.1:1/v1\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("evaluate", ["--config", str(tmp_path / "recipe.yaml")])
    first, second = caught.value.problems
    assert first.startswith("checkpoints: 2 of them, but a server has one model")
    assert second.startswith("checkpoints[0].chat_template: a server shows chats in its own way")


def test_an_evaluation_does_not_write_over_what_it_measures(tmp_path):
    make_tokenizer().save_pretrained(tmp_path / "model")
    text = RECIPE.format(path=tmp_path / "model").replace("output_dir: out", f"output_dir: {tmp_path / 'model'}")
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match="which would be overwritten; name another folder"):
        load_recipe("evaluate", ["--config", str(tmp_path / "recipe.yaml")])


@pytest.mark.parametrize("name", benchmark_names())
def test_a_built_in_benchmark_is_a_suite_by_its_name(name):
    entry = {"benchmark": name}
    assert (name_of(entry), list(suite_problems([entry]))) == (name, [])
    suite = EvaluationSuite.from_mapping(entry)
    assert list(suite.modes) == ["sampled"]
    assert max((*suite.pass_at, *suite.cons_at), default=1) <= suite.modes["sampled"].num_samples
    few = EvaluationSuite.from_mapping({**entry, "num_samples": 1, "temperature": 0})
    assert (few.modes["sampled"].num_samples, few.modes["sampled"].temperature) == (1, 0)
    with pytest.raises(R1Error, match="split: it is the benchmark's to say"):
        EvaluationSuite.from_mapping({**entry, "split": "train"})
