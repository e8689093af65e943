import pytest

from trl_r1.errors import R1Error, RecipeError
from trl_r1.generation import Completion, SamplingParameters, generate


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"num_samples": 0}, "num_samples"),
        ({"num_samples": 8.0}, "num_samples"),
        ({"num_samples": True}, "num_samples"),
        ({"batch_size": "many"}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"temperature": 0, "num_samples": 2}, "num_samples"),
    ],
)
def test_a_value_out_of_range_is_named(values, field):
    with pytest.raises(RecipeError, match=f"^{field}: "):
        SamplingParameters(**values)


def test_all_problems_are_reported_at_once():
    with pytest.raises(RecipeError) as caught:
        SamplingParameters(temperature=-1, top_p=2.0, batch_size=0)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["temperature", "top_p", "batch_size"]


def test_unknown_arguments_are_refused_with_the_nearest():
    with pytest.raises(RecipeError, match=r"recipe\.yaml: temprature: .*'temperature'"):
        SamplingParameters.from_mapping({"temprature": 0.6}, source="recipe.yaml")
    assert SamplingParameters.from_mapping({"temperature": 0}).greedy


def test_a_completion_checks_its_finish_reason():
    with pytest.raises(R1Error, match="finish_reason"):
        Completion(text="", token_ids=(), finish_reason="abort")


class ShortEngine:
    """Loses the last completion of the last prompt."""

    tokenizer = None

    def generate(self, prompts, params, progress=False):
        done = Completion(text="x", token_ids=(1,), finish_reason="stop")
        groups = [[done] * params.num_samples for _ in prompts]
        groups[-1].pop()
        return groups


def test_missing_samples_are_an_error_with_a_count():
    with pytest.raises(R1Error, match=r"11 of 12 completions .*3 prompts x 4"):
        generate(["a", "b", "c"], SamplingParameters(num_samples=4), ShortEngine())


@pytest.mark.parametrize("prompt", ["", None, 3])
def test_a_prompt_that_is_no_text_is_refused(prompt):
    with pytest.raises(R1Error, match="number 1"):
        generate(["a", prompt], SamplingParameters(), ShortEngine())


def test_no_prompts_give_no_completions():
    assert generate([], SamplingParameters(), ShortEngine()) == []
