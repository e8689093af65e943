"""What a recipe says about the Hub, refused without asking it; and secrets it must not hold."""

import pytest

from trl_r1.recipe import inspect_recipe, load_recipe, validate_recipe
from trl_r1.recipe.comparison import compare_recipe
from trl_r1.recipe.hub_checks import is_git_ref


TRAINING = "output_dir: outputs/student\nuse_cpu: true\nbf16: false\nactivation_checkpointing: false\n"
TOKEN = "hf_" + "aB3" * 11


@pytest.fixture
def write(tmp_path, checkpoint, monkeypatch):
    """Write a recipe with these lines and return its path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    (tmp_path / "data").mkdir()

    def write(text):
        inputs = f"model_name_or_path: {checkpoint}\ndataset_name: {tmp_path / 'data'}\n"
        (tmp_path / "recipe.yaml").write_text(inputs + text)
        return str(tmp_path / "recipe.yaml")

    return write


@pytest.mark.parametrize(
    ("lines", "start"),
    [
        ("hub_model_id: a/b/c\n", "hub_model_id: 'a/b/c' is no repository name; write namespace/name"),
        ("hub_model_id: lab/with space\n", "hub_model_id: 'lab/with space' is no repository name"),
        ("hub_model_id: lab/ü\n", "hub_model_id: 'lab/ü' is no repository name"),
        (f"hub_model_id: {'x' * 97}\n", "hub_model_id: 'xxx"),
        ("hub_revision: a b\n", "hub_revision: 'a b' is no name for a branch or tag"),
        ("hub_tag: v1..2\n", "hub_tag: 'v1..2' is no name for a branch or tag"),
        (
            "hub_license: Apache 2.0\n",
            "hub_license: 'Apache 2.0' is not as the Hub spells licences; did you mean 'apac",
        ),
        ("push_to_hub: true\nhub_strategy: checkpoint\n", "hub_strategy: 'checkpoint' has no effect"),
        ("push_to_hub: true\nhub_always_push: true\n", "hub_always_push: true has no effect"),
        (f"hub_model_id: {TOKEN}/x\n", "hub_model_id: it looks like a secret"),
        ("model_init_kwargs: {token: secret}\n", "model_init_kwargs.token: it looks like a secret"),
    ],
)
def test_refused(write, lines, start):
    found = validate_recipe(write(TRAINING + lines), "sft")
    assert [problem for problem in found if problem.startswith(start)], found
    assert len(found) == 1


def test_the_folder_must_name_a_repository_only_when_it_has_to(write):
    text = TRAINING.replace("outputs/student", "'outputs/my run'")
    assert validate_recipe(write(text), "sft") == []
    assert validate_recipe(write(text + "push_to_hub: true\nhub_model_id: me/run\n"), "sft") == []
    (problem,) = validate_recipe(write(text + "push_to_hub: true\n"), "sft")
    assert problem.startswith("hub_model_id: missing, and the output folder's name 'my run' is no repository name")


@pytest.mark.parametrize(
    "lines",
    [
        "push_to_hub: true\n",
        "push_to_hub: false\nhub_model_id: me/x\nhub_tag: v1.0\nhub_revision: feature/long-run\n",
        "push_to_hub: true\nhub_strategy: end\nhub_private_repo: false\nhub_license: cc-by-nc-4.0\n",
    ],
)
def test_accepted(write, lines):
    assert validate_recipe(write(TRAINING + lines), "sft") == []


def test_sampling_takes_a_data_set_id(write):
    good = "output_dir: outputs/data\npush_to_hub: true\nhub_dataset_id: lab/data\nhub_license: mit\n"
    assert validate_recipe(write(good), "rejection_sample") == []
    (problem,) = validate_recipe(write(good.replace("lab/data", "lab/da ta")), "rejection_sample")
    assert problem.startswith("hub_dataset_id: 'lab/da ta' is no repository name")
    assert validate_recipe(write(good + "hub_model_id: lab/x\n"), "rejection_sample")


@pytest.mark.parametrize("name", ["main", "v1.0", "feature/x", "r1-zero_2", "größe"])
def test_git_refs(name):
    assert is_git_ref(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "@", "a b", "a..b", "/a", "a/", "-a", "a.lock", "a.lock/b", ".a", "a/.b", "a//b", "a~1", "a^", "a:b"),
        *("a?", "a*", "a[", "a\\b", "a@{1}", "a.", "a\n", "refs/pr/1", "0123456789" * 4),
    ],
)
def test_names_that_git_refuses(name):
    assert not is_git_ref(name)


def test_the_token_is_used_and_written_nowhere(write, tmp_path, monkeypatch):
    monkeypatch.setenv("R1_TEST_API_KEY", "")  # put back afterwards
    path = write(TRAINING + "hub_token: from-the-file\nenv: {R1_TEST_API_KEY: also-secret}\n")
    for argv, token in (([], "from-the-file"), (["--hub_token", "from-the-line"], "from-the-line")):
        recipe = load_recipe("sft", ["--config", path, *argv, "--seed", "3"])
        assert recipe.hub_token == token
        assert recipe.argv == ["--config", path, "--seed", "3"]
        recipe.write_resolved(tmp_path / "out")
        written = (tmp_path / "out" / "resolved_config.yaml").read_text()
        shown = written + repr(recipe) + repr(recipe.resolved) + recipe.training_args.to_json_string()
        assert "from-the" not in shown
        assert "also-secret" not in shown


@pytest.mark.parametrize(
    "lines", ["hub_token: [also-secret]\n", "env: {HF_TOKEN: [also-secret]}\n", "env: [HF_TOKEN=also-secret]\n"]
)
def test_a_wrong_token_is_not_repeated(write, lines):
    (problem,) = validate_recipe(write(TRAINING + lines), "sft")
    assert "also-secret" not in problem


def test_a_wrong_value_with_a_secret_inside_is_not_repeated(write):
    lines = TRAINING + "prompts_per_step: 2\nreward_funcs: [{get_judge_reward: {api_key: also-secret}, b: {}}]\n"
    found = validate_recipe(write(lines), "grpo")
    assert any(problem.startswith("reward_funcs: the value does not fit; it is not shown") for problem in found)
    assert not any("also-secret" in problem for problem in found)


def test_where_it_goes_is_no_difference_from_the_paper(write):
    path = write(TRAINING + "push_to_hub: true\nhub_model_id: me/x\nlearning_rate: 0.5\n")
    shown = {row.field for row in compare_recipe(inspect_recipe(path, "sft"))}
    assert "learning_rate" in shown
    assert not {field for field in shown if "hub" in field}


def test_a_secret_parameter_of_a_reward_is_refused(write):
    rewards = "reward_funcs: [{get_judge_reward: {model: m, api_key_env: MY_KEY}}, format_reward]\n"
    grpo = TRAINING + "prompts_per_step: 2\n"
    assert validate_recipe(write(grpo + rewards), "grpo") == []
    found = validate_recipe(write(grpo + rewards.replace("api_key_env", "api_key")), "grpo")
    assert any(
        problem.startswith("reward_funcs.get_judge_reward.api_key: it looks like a secret") for problem in found
    )
