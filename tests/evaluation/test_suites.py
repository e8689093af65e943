import pytest

from trl_r1.errors import R1Error, RecipeError
from trl_r1.evaluation import Checkpoint, EvaluationSuite, Mode
from trl_r1.evaluation.metrics import MetricContext, resolve_metrics


SUITE = {
    "name": "short",
    "dataset_name": "outputs/tiny/questions",
    "modes": {"sampled": {"temperature": 1.0}, "forced_chain": {"temperature": 0, "prefill": "<think> a"}},
    "group_by": "num_operations",
    "metrics": ["accuracy"],
    "language_ignored_tokens": ["a", "b"],
}


def test_a_suite_comes_from_a_recipe():
    suite = EvaluationSuite.from_mapping(SUITE)
    assert suite.modes == {"sampled": Mode(), "forced_chain": Mode(temperature=0, prefill="<think> a")}
    assert (suite.split, suite.metrics, suite.language_ignored_tokens) == ("test", ("accuracy",), ("a", "b"))
    default = EvaluationSuite.from_mapping({"name": "x", "dataset_name": "y", "modes": None})
    assert {name: mode.temperature for name, mode in default.modes.items()} == {"sampled": 1.0, "greedy": 0}


def test_all_problems_of_a_suite_are_named_at_once():
    wrong = {"name": "short", "modes": {"greedy": {"temprature": 0}}, "group": "n"}
    with pytest.raises(RecipeError) as caught:
        EvaluationSuite.from_mapping(wrong)
    assert caught.value.problems == [
        "suites.short.modes.greedy.temprature: no such field; did you mean 'temperature'?",
        "suites.short.group: no such field; did you mean 'group_by'?",
        "suites.short.dataset_name: it is missing; every entry needs one, or a benchmark",
    ]
    with pytest.raises(RecipeError, match=r"suites\.x\.modes: \['greedy'\] is no mapping"):
        EvaluationSuite.from_mapping({"name": "x", "dataset_name": "y", "modes": ["greedy"]})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": "accuracy"}, r"suites\.x\.metrics: 'accuracy' is no list; write \[accuracy\]"),
        ({"pass_at": 4}, r"suites\.x\.pass_at: 4 is no list; write \[4\]"),
        ({"language_ignored_tokens": "a b"}, r"suites\.x\.language_ignored_tokens: 'a b' is no list"),
    ],
)
def test_what_is_no_list_is_not_taken_apart(fields, said):
    with pytest.raises(RecipeError, match=said):
        EvaluationSuite.from_mapping({"name": "x", "dataset_name": "y", **fields})


def test_the_nearest_limit_wins():
    suite = EvaluationSuite(name="x", dataset_name="y", max_completion_length=30)
    common = {"max_completion_length": 256, "seed": 1, "batch_size": 8}
    assert suite.parameters(Mode(), **common).max_new_tokens == 30
    assert suite.parameters(Mode(max_completion_length=9), **common).max_new_tokens == 9
    with pytest.raises(RecipeError, match="num_samples"):
        suite.parameters(Mode(temperature=0, num_samples=4), **common)


def test_a_checkpoint_loads_with_its_template(checkpoint, tmp_path):
    (tmp_path / "own.jinja").write_text("{{ messages[0].content }}")
    entry = {"name": "base", "path": checkpoint, "chat_template": str(tmp_path / "own.jinja")}
    engine = Checkpoint.from_mapping(entry).load()
    assert engine.tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi"
    with pytest.raises(RecipeError, match=r"checkpoints\.base\.paht: .*'path'"):
        Checkpoint.from_mapping({"name": "base", "paht": "x"})
    with pytest.raises(R1Error, match="cannot be loaded"):
        Checkpoint(name="none", path=str(tmp_path)).load()


def test_unknown_metrics_are_all_named(tokenizer, tmp_path):
    file = tmp_path / "own.py"
    file.write_text("def accuracy(answer):\n    return True\n")
    with pytest.raises(RecipeError) as caught:
        resolve_metrics(
            ["accuracy", "acuracy", f"{file}:rude", f"{file}:accuracy"], MetricContext(tokenizer=tokenizer)
        )
    first, second, third = caught.value.problems
    assert first == "metrics: 'acuracy' is unknown; did you mean 'accuracy'?"
    assert "there is no 'rude' there" in second
    assert third.endswith("'accuracy' is the name of a metric that is built in; give the function another")
    with pytest.raises(RecipeError, match="metrics: 'mixed' stands twice"):
        resolve_metrics(["mixed", "mixed"], MetricContext(tokenizer=tokenizer))
