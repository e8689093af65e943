"""Recipes: precedence, every problem at once, and what becomes of TRL's own objections."""

import os
import subprocess
import sys

import pytest

from trl_r1.configs import GRPOScriptArguments, R1GRPOConfig
from trl_r1.errors import RecipeError
from trl_r1.recipe import (
    VERBS,
    header_of,
    inspect_recipe,
    is_pipeline,
    load_recipe,
    load_yaml,
    validate_recipe,
)
from trl_r1.recipe.comparison import compare_recipe


GRPO = """\
# trl-r1 grpo --config recipe.yaml
model_name_or_path: {checkpoint}
dataset_name: {data}
output_dir: outputs/grpo
reward_funcs: [accuracy_reward, format_reward]
use_cpu: true
bf16: false
activation_checkpointing: false
"""
SFT = GRPO.replace("reward_funcs: [accuracy_reward, format_reward]\n", "").replace("grpo", "sft")
SAMPLING = """\
# trl-r1 rejection_sample --config recipe.yaml
model_name_or_path: {checkpoint}
dataset_name: {data}
output_dir: outputs/data
"""
EVALUATION = """\
# trl-r1 evaluate --config recipe.yaml
output_dir: outputs/evaluation
checkpoints:
  - {{name: base, path: {checkpoint}, prompt_template: r1_zero}}
  - {{name: other, path: {checkpoint}}}
suites:
  - name: short
    dataset_name: {data}
    split: test
    group_by: num_operations
    modes: {{greedy: {{temperature: 0}}, forced: {{temperature: 0, prefill: "<think> a"}}}}
comparisons:
  - {{before: base, after: other, suite: short, mode: greedy, metric: accuracy}}
"""


@pytest.fixture
def write(tmp_path, checkpoint, monkeypatch):
    """Write a recipe into an empty working directory and return its path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    data = tmp_path / "data"
    data.mkdir()

    def make(text, extra="", name="recipe.yaml"):
        path = tmp_path / name
        path.write_text(text.format(checkpoint=checkpoint, data=data) + extra)
        return str(path)

    return make


def problems_of(verb, path, *argv):
    with pytest.raises(RecipeError) as caught:
        load_recipe(verb, ["--config", path, *argv])
    assert all("\n" not in problem for problem in caught.value.problems)
    return caught.value.problems


def test_later_source_wins(write):
    path = write(GRPO, "preset: r1_zero_paper\nbeta: 0.04\nepsilon: 0.3\nprompts_per_step: 2\nnum_generations: 4\n")
    recipe = load_recipe("grpo", ["--config", path, "--epsilon", "0.4", "--max_steps", "7"])
    args = recipe.training_args
    assert isinstance(args, R1GRPOConfig)
    assert isinstance(recipe.script_args, GRPOScriptArguments)
    assert (args.top_k, args.ref_model_sync_steps, args.beta, args.epsilon, args.max_steps) == (0, 400, 0.04, 0.4, 7)
    assert (args.per_device_train_batch_size, args.steps_per_generation, args.generation_batch_size) == (8, 16, 128)
    assert recipe.preset == "r1_zero_paper"
    assert recipe.argv == ["--config", path, "--epsilon", "0.4", "--max_steps", "7"]


def test_yaml_value_equal_to_trls_default_still_beats_the_preset(write):
    recipe = load_recipe("grpo", ["--config", write(GRPO, "preset: r1_zero_paper\nloss_type: dapo\nbeta: 0.0\n")])
    assert recipe.training_args.loss_type == "dapo"
    assert recipe.training_args.beta == 0.0
    assert not recipe.training_args.sync_ref_model


def test_preset_from_the_command_line(write):
    recipe = load_recipe("grpo", ["--config", write(GRPO), "--preset", "dr_grpo", "--prompts_per_step=4"])
    assert (recipe.training_args.loss_type, recipe.training_args.generation_batch_size) == ("dr_grpo", 256)


def test_command_line_alone(write, checkpoint, tmp_path):
    argv = ["--model_name_or_path", checkpoint, "--dataset_name", str(tmp_path / "data"), "--output_dir", "o"]
    recipe = load_recipe("grpo", [*argv, "--reward_funcs", "accuracy_reward", "format_reward", "--use_cpu"])
    assert recipe.path is None
    assert recipe.script_args.reward_funcs == ["accuracy_reward", "format_reward"]
    assert recipe.training_args.use_cpu


@pytest.mark.parametrize(("verb", "text"), [("sft", SFT), ("reward_model", SFT), ("rejection_sample", SAMPLING)])
def test_other_verbs(write, verb, text, checkpoint):
    recipe = load_recipe(verb, ["--config", write(text), "--seed", "3"])
    assert recipe.model_args.model_name_or_path == checkpoint
    assert (recipe.training_args or recipe.script_args).seed == 3
    assert (recipe.training_args is None) == (verb == "rejection_sample")


def test_evaluation(write, checkpoint):
    recipe = load_recipe("evaluate", ["--config", write(EVALUATION)])
    base = {"name": "base", "path": checkpoint, "prompt_template": "r1_zero"}
    assert recipe.script_args.checkpoints == [base, {"name": "other", "path": checkpoint}]
    assert recipe.training_args is recipe.model_args is recipe.dataset_args is None


def test_mixture_becomes_trls(write, tmp_path):
    text = SFT.replace("dataset_name: {data}\n", "datasets: [{{path: {data}, split: train}}]\n")
    recipe = load_recipe("sft", ["--config", write(text)])
    assert recipe.dataset_args.datasets[0].path == str(tmp_path / "data")
    assert recipe.resolved["datasets"] == [{"path": str(tmp_path / "data"), "split": "train"}]


def test_all_problems_of_a_file_at_once(write):
    extra = (
        "num_generatoins: 8\nnum_iterations: many\nmax_steps: 8.0\ntemperature: [1]\ntop_k: true\nloss_type: dappo\n"
        "lr_scheduler_type: cosin\nbeta: -1\nreward_weights: [1.0]\nprompt_template: nope\nwarmup_steps: 1e-1\n"
    )
    found = problems_of("grpo", write(GRPO, extra), "--epsilon", "wide", "--sed", "3")
    assert found == [
        "num_generatoins: no such field of a grpo recipe; did you mean 'num_generations'?",
        "num_iterations: 'many' is not a whole number",
        "max_steps: 8.0 is not a whole number; write 8",
        "temperature: [1] is not a number",
        "top_k: True is not a whole number",
        "loss_type: 'dappo' is unknown; did you mean 'dapo'?",
        "lr_scheduler_type: 'cosin' is unknown; did you mean 'cosine'?",
        "--sed: no such option; did you mean '--seed'?",
        "--epsilon: 'wide' is not a number",
        "prompt_template: 'nope' is neither a template of trl_r1 (r1, r1_zero) nor a file",
        "beta: -1 must be at least 0",
        "reward_weights: 1 weights for 2 reward_funcs; give one each",
    ]


@pytest.mark.parametrize(
    ("extra", "start"),
    [
        ("num_generations: many\n", "num_generations: 'many' is not a whole number"),
        ("num_generations: 8.0\n", "num_generations: 8.0 is not a whole number; write 8"),
        ("num_generations: [8]\n", "num_generations: [8] is not a whole number"),
        ("num_generations: 1\n", "num_generations: 1 completion a prompt has nothing to be compared with"),
        ("num_generations: 16\n", "num_generations: 16 does not divide a rollout of 8 completions"),
        ("generation_batch_size: 12\n", "generation_batch_size: 12 is no multiple of 8"),
        ("prompts_per_step: 2\nper_device_train_batch_size: 3\n", "prompts_per_step: 2 x num_generations 8 is 16"),
        ("prompts_per_step: 2\nsteps_per_generation: 3\nupdates_per_rollout: 2\n", "updates_per_rollout: 2 and steps"),
        ("scale_rewards: groups\n", "scale_rewards: 'groups' is unknown; did you mean 'group'?"),
        ("importance_sampling_level: tokens\n", "importance_sampling_level: 'tokens' is unknown; did you mean 'tok"),
        ("multi_objective_aggregation: sum\n", "multi_objective_aggregation: 'sum' is unknown"),
        ("save_strategy: sometimes\n", "save_strategy: 'sometimes' is unknown; use one of"),
        ("dtype: bf16\n", "dtype: 'bf16' is unknown; did you mean 'bfloat16'?"),
        ("preset: r1\n", "preset: 'r1' is unknown; use one of r1_zero_paper, r1_paper, dapo, dr_grpo"),
        ("max_steps: 10\nnum_train_epochs: 2\n", "num_train_epochs: 2 is ignored beside max_steps 10"),
        ("max_steps: 0\n", "max_steps: 0 would save an untrained model"),
        ("seed: -1\n", "seed: -1 must be at least 0"),
        ("num_train_epochs: 0\n", "num_train_epochs: 0 must be above 0"),
        ("per_device_eval_batch_size: 0\n", "per_device_eval_batch_size: 0 must be at least 1"),
        ("fp16: true\nbf16: true\n", "bf16: set twice"),
        ("report_to: wandbb\n", "report_to: 'wandbb' is unknown; did you mean 'wandb'?"),
        ("use_peft: true\nsync_ref_model: true\nbeta: 0.1\n", "sync_ref_model: true does not work with use_peft"),
        ("sync_ref_model: true\n", "sync_ref_model: true without a reference model"),
        ("datasets: [{path: x}]\n", "dataset_name: "),
        ("chat_template: nowhere.jinja\n", "chat_template: 'nowhere.jinja' is neither a template of trl_r1"),
        ("response_format: r2\n", "response_format: 'r2' is unknown; use one of r1_zero, r1"),
        ("expected_processes: 2\n", "expected_processes: 2, but the launcher started 1"),
        ("expected_processes: 0\n", "expected_processes: 0 must be at least 1"),
        ("max_train_rows: 0\n", "max_train_rows: 0 must be at least 1"),
        ("learning_rate: .nan\n", "learning_rate: nan is not a finite number"),
        ("env: [a]\n", "env: a list is not a mapping of variables to text"),
        ("model_init_kwargs: sdpa\n", "model_init_kwargs: 'sdpa' is not a mapping"),
        ("log_completions_hub_repo: me/logs\n", "refused by TRL: log_completions_hub_repo is set, but log_completi"),
        ("auto_find_batch_size: true\n", "refused by TRL: auto_find_batch_size is not supported by GRPO"),
        ("warmup_steps: -1\n", "refused by TRL: Got warmup_steps = -1"),
    ],
)
def test_bad_grpo_recipe(write, extra, start):
    found = problems_of("grpo", write(GRPO, extra))
    assert found[0].startswith(start)
    assert len(found) == 1 or start.startswith("expected_processes: 0")


@pytest.mark.parametrize(
    ("rewards", "start"),
    [
        ("[acuracy_reward]", "reward_funcs: 'acuracy_reward'"),
        ("accuracy_reward", "reward_funcs: 'accuracy_reward' is not a list; write [accuracy_reward]"),
        ("[]", "reward_funcs: missing; name at least one"),
        ("[3]", "reward_funcs: [3] is wrong in its item 3"),
        ("[{get_language_consistency_reward: {targt: zh}}]", "reward_funcs: "),
        ("[{get_language_consistency_reward: 3}]", "reward_funcs: "),
    ],
)
def test_bad_rewards(write, rewards, start):
    without = GRPO.replace("reward_funcs: [accuracy_reward, format_reward]\n", "")
    found = problems_of("grpo", write(without, f"reward_funcs: {rewards}\n"))
    assert len(found) == 1
    assert found[0].startswith(start)


@pytest.mark.parametrize(
    ("verb", "text", "line", "start"),
    [
        ("grpo", GRPO, "model_name_or_path", "model_name_or_path: missing; give a folder or a Hub id"),
        ("grpo", GRPO, "dataset_name", "dataset_name: missing; give a folder, a Hub id, or a mixture"),
        ("sft", SFT, "output_dir", "output_dir: missing; name the folder the stage writes"),
        ("rejection_sample", SAMPLING, "model_name_or_path", "model_name_or_path: missing"),
        ("evaluate", EVALUATION, "output_dir", "output_dir: missing"),
    ],
)
def test_missing_field(write, verb, text, line, start):
    kept = [row for row in text.splitlines(keepends=True) if not row.startswith(line)]
    assert problems_of(verb, write("".join(kept)))[0].startswith(start)


@pytest.mark.parametrize(
    ("extra", "start"),
    [
        ("temperature: -1\n", "temperature: -1 must be at least 0"),
        ("temperature: 0\n", "num_generations: all samples are the same at temperature 0"),
        ("top_p: 0\n", "top_p: 0 must be above 0 and at most 1"),
        ("num_generations: 0\n", "num_generations: 0 must be at least 1"),
        ("max_kept_per_prompt: 0\n", "max_kept_per_prompt: 0 must be at least 1"),
        ("max_repetition: 2\n", "max_repetition: 2 must be between 0 and 1"),
        ("output_format: chat\n", "output_format: 'chat' is unknown; use one of messages, prompt_completion"),
        ("refine: world.py:write\n", "refine: 'world.py:write' names no function"),
        ("refine: write\n", "refine: 'write' names no function"),
        ("keep_correct: maybe\n", "keep_correct: 'maybe' is not true or false"),
        ("language_ignored_tokens: a\n", "language_ignored_tokens: 'a' is not a list; write [a]"),
        ("learning_rate: 0.1\n", "learning_rate: no such field of a rejection_sample recipe"),
        ("prompts_per_step: 4\n", "prompts_per_step: only a grpo recipe has it"),
    ],
)
def test_bad_sampling_recipe(write, extra, start):
    found = problems_of("rejection_sample", write(SAMPLING, extra))
    assert len(found) == 1
    assert found[0].startswith(start)


def test_function_to_refine_with_may_be_a_file(write, tmp_path):
    (tmp_path / "world.py").write_text("def write_summary(row, parsed): return ''\n")
    recipe = load_recipe("rejection_sample", ["--config", write(SAMPLING, "refine: world.py:write_summary\n")])
    assert recipe.script_args.refine == "world.py:write_summary"


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ("name: base, path", "nam: base, path", "checkpoints[0].nam: no such field; did you mean 'name'?"),
        ("path: {checkpoint}, ", "", "checkpoints[0].path: None is not text; every entry needs one"),
        ("prompt_template: r1_zero", "prompt_template: r3", "checkpoints[0].prompt_template: 'r3' is neither"),
        ("prompt_template: r1_zero", "prompt_template: 3", "checkpoints[0].prompt_template: 3 is not text"),
        ("prompt_template: r1_zero", "response_format: r3", "checkpoints[0].response_format: 'r3' is none of"),
        ("group_by", "groupby", "suites[0].groupby: no such field; did you mean 'group_by'?"),
        (
            "temperature: 0}}, f",
            "temprature: 0}}, f",
            "suites[0].modes.greedy.temprature: no such field; did you mean",
        ),
        ("temperature: 0}}, f", "temperature: cold}}, f", "suites[0].modes.greedy.temperature: 'cold' is not a num"),
        ('prefill: "<think> a"', "prefill: 3", "suites[0].modes.forced.prefill: 3 is not text"),
        (
            "{{temperature: 0}}",
            "{{top_p: 2}}",
            "suites[0].modes.greedy.top_p: 2 is not a number above 0 and at most 1",
        ),
        ("{{temperature: 0}}", "{{num_samples: 0}}", "suites[0].modes.greedy.num_samples: 0 is not a whole number"),
        (
            "{{temperature: 0}}",
            "{{temperature: 0, num_samples: 4}}",
            "suites[0].modes.greedy.num_samples: 4 copies of one greedy answer",
        ),
        ("group_by", "metrics: accuracy\n    group_by", "suites[0].metrics: 'accuracy' is not a list of words"),
        ("before: base", "before: bas", "comparisons[0].before: 'bas' is not measured; did you mean 'base'?"),
        ("suite: short", "suite: long", "comparisons[0].suite: 'long' is not measured; use one of short"),
        ("mode: greedy", "mode: greed", "comparisons[0].mode: 'greed' is not measured; did you mean 'greedy'?"),
        (", metric: accuracy", "", "comparisons[0].metric: None is not text; every comparison needs one"),
        ("metric: accuracy", "metrics: accuracy", "comparisons[0].metrics: no such field; did you mean 'metric'?"),
        ("{{temperature: 0}}", "0", "suites[0].modes.greedy: 0 is not a mapping"),
        ("split: test", "split: 3", "suites[0].split: 3 is not text; put it in quotes"),
        ("suites:\n", "sets:\n", "sets: no such field of a evaluate recipe"),
    ],
)
def test_bad_evaluation_recipe(write, old, new, start):
    assert old in EVALUATION
    assert problems_of("evaluate", write(EVALUATION.replace(old, new)))[0].startswith(start)


def test_doubled_checkpoint_name(write):
    second = "  - {{name: base, path: {checkpoint}}}\nsuites:"
    found = problems_of("evaluate", write(EVALUATION.replace("suites:", second)))
    assert found == ["checkpoints[2].name: 'base' stands twice; results would overwrite each other"]


def test_missing_input_names_the_stage_that_makes_it(write, tmp_path, checkpoint):
    write(GRPO.replace("outputs/grpo", "outputs/tiny/r1_zero"), name="r1_zero.yaml")
    (tmp_path / "pipeline.yaml").write_text("output_dir: outputs/tiny\nstages: {base: {script: base.py}}\n")
    text = SFT.replace("{checkpoint}", "outputs/tiny/r1_zero").replace("{data}", "outputs/tiny/questions")
    assert problems_of("sft", write(text)) == [
        "model_name_or_path: 'outputs/tiny/r1_zero' does not exist; run `trl-r1 grpo --config recipe.yaml` first",
        f"dataset_name: 'outputs/tiny/questions' does not exist; run `trl-r1 run {tmp_path / 'pipeline.yaml'}` first",
    ]


@pytest.mark.parametrize(
    ("name", "local"), [("./x", True), ("/nowhere/x", True), ("a/b/c", True), ("org/model", False), ("gpt2", False)]
)
def test_hub_ids_are_told_from_paths(write, name, local):
    path = write(SFT.replace("{checkpoint}", name))
    if local:
        assert problems_of("sft", path)[0].startswith(f"model_name_or_path: {name!r} does not exist")
    else:
        assert load_recipe("sft", ["--config", path]).model_args.model_name_or_path == name


def test_processes_of_the_launcher(write, monkeypatch):
    path = write(GRPO, "expected_processes: 2\nprompts_per_step: 4\n")
    assert "expected_processes: 2, but the launcher started 1" in problems_of("grpo", path)[0]
    monkeypatch.setenv("WORLD_SIZE", "2")  # left over in a shell: a process group would wait for ever
    monkeypatch.delenv("RANK", raising=False)
    assert problems_of("grpo", path) == [
        "WORLD_SIZE: 2 in the environment, but no launcher started this process; unset it"
    ]


def test_inspection_needs_no_inputs_hardware_or_launcher(write):
    cluster = (
        "expected_processes: 512\npreset: r1_zero_paper\nuse_vllm: true\n"
        "bf16: true\ntf32: true\ndeepspeed: zero3.json\n"
    )
    text = GRPO.replace("use_cpu: true\nbf16: false\n", "").replace("{checkpoint}", "outputs/not/there")
    recipe = inspect_recipe(write(text, cluster))
    assert recipe.processes == 512
    assert recipe.resolved["bf16"] is True
    assert recipe.resolved["deepspeed"] == "zero3.json"
    assert recipe.resolved["per_device_train_batch_size"] == 1
    assert recipe.resolved["steps_per_generation"] == 16


def test_no_gpu_is_said_in_our_words(write):
    text = GRPO.replace("use_cpu: true\nbf16: false\n", "")
    assert problems_of("grpo", write(text)) == [
        "bf16: true (TRL's default) needs a GPU that has it; set `use_cpu: true` or `bf16: false`"
    ]


def test_environment_of_a_recipe(write, monkeypatch):
    monkeypatch.delenv("R1_TEST_SWITCH", raising=False)
    path = write(SFT, "env: {R1_TEST_SWITCH: 1, R1_TEST_TOKEN: secret}\nhub_token: secret\n")
    inspect_recipe(path)
    assert "R1_TEST_SWITCH" not in os.environ
    recipe = load_recipe("sft", ["--config", path])
    assert os.environ.pop("R1_TEST_SWITCH") == "1"
    assert os.environ.pop("R1_TEST_TOKEN") == "secret"
    assert recipe.resolved["env"] == {"R1_TEST_SWITCH": "1"}
    assert "secret" not in str(recipe.resolved)
    assert recipe.hub_token == "secret"
    assert recipe.training_args.hub_token is None
    assert "secret" not in repr(recipe)


def test_an_environment_with_a_password_in_an_address_is_not_recorded(write, monkeypatch):
    monkeypatch.delenv("R1_TEST_PROXY", raising=False)
    path = write(SFT, "env: {R1_TEST_PROXY: 'http://me:word@host:3128', R1_TEST_SWITCH: '1'}\n")
    recipe = load_recipe("sft", ["--config", path])
    assert os.environ.pop("R1_TEST_PROXY") == "http://me:word@host:3128"
    assert os.environ.pop("R1_TEST_SWITCH") == "1"
    assert recipe.resolved["env"] == {"R1_TEST_SWITCH": "1"}


def test_bad_recipe_sets_no_environment(write):
    problems_of("sft", write(SFT, "env: {R1_TEST_SWITCH: 1}\nbeta: 1\n"))
    assert "R1_TEST_SWITCH" not in os.environ


@pytest.mark.parametrize(
    ("text", "extra"),
    [
        (
            GRPO,
            "preset: r1_paper\nprompts_per_step: 4\nscale_rewards: false\neval_strategy: no\nlearning_rate: 1e-6\n",
        ),
        (SFT, "lr_scheduler_kwargs: {num_cycles: 1}\nlr_scheduler_type: cosine_with_restarts\n"),
        (SAMPLING, "max_repetition: 0.2\n"),
        (EVALUATION, ""),
    ],
)
def test_resolved_configuration_loads_to_the_same_recipe(write, tmp_path, text, extra):
    recipe = inspect_recipe(write(text, extra))
    written = recipe.write_resolved(tmp_path / "stage")
    again = inspect_recipe(written)
    assert again.verb == recipe.verb
    assert again.resolved == recipe.resolved == load_yaml(written)
    assert again.script_args == recipe.script_args
    if recipe.training_args is not None:
        assert again.training_args.to_json_string() == recipe.training_args.to_json_string()
    assert "preset" not in recipe.resolved
    assert [path.name for path in (tmp_path / "stage").iterdir()] == ["resolved_config.yaml"]


def test_resolved_holds_only_what_differs(write, checkpoint, tmp_path):
    recipe = load_recipe("sft", ["--config", write(SFT, "seed: 42\nmax_length: 1024\nmax_steps: 3\n")])
    assert recipe.resolved == {
        "model_name_or_path": checkpoint,
        "dataset_name": str(tmp_path / "data"),
        "output_dir": "outputs/sft",
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "max_steps": 3,
    }


@pytest.mark.parametrize(
    ("argv", "start"),
    [
        (["--config"], "--config: no file after it"),
        (["--config", "--seed"], "--config: no file after it"),
        (["--config", "no.yaml"], "there is no such file"),
        (["--config=a.yaml", "--config=b.yaml"], "there is no such file"),
        (["--seed"], "argument --seed: expected one argument"),
        (["stray"], "'stray': not expected here"),
        (["--hub_token", "half", "other-half"], "a word: not expected here"),
        (["--num_gen", "4"], "--num_gen: no such option; did you mean"),
    ],
)
def test_bad_command_line(write, argv, start):
    write(GRPO)
    with pytest.raises(RecipeError) as caught:
        load_recipe("grpo", argv)
    assert caught.value.problems[0].startswith(start)


def test_unknown_verb(write):
    with pytest.raises(RecipeError, match="'gppo' is no verb; did you mean 'grpo'"):
        load_recipe("gppo", ["--config", write(GRPO)])


def test_header(write, tmp_path):
    assert header_of(write(GRPO)) == ("grpo", "recipe.yaml")
    launched = "# accelerate launch -m trl_r1.scripts.sft --config a/b.yaml  (two GPUs)\nseed: 1\n"
    assert header_of(write(launched, name="b.yaml")) == ("sft", "a/b.yaml")
    late = "seed: 1\n# trl-r1 sft --config a/b.yaml\n"
    assert header_of(write(late, name="c.yaml")) is None
    assert validate_recipe(str(tmp_path / "c.yaml")) == [
        "names no verb; put `trl-r1 <verb> --config <path>` into its first lines"
    ]


def test_validation(write):
    assert validate_recipe(write(GRPO)) == []
    assert validate_recipe(write(GRPO, "loss_typ: grpo\n")) == [
        "loss_typ: no such field of a grpo recipe; did you mean 'loss_type'?"
    ]
    assert validate_recipe(write(SFT), verb="reward_model") == []
    assert validate_recipe("nowhere.yaml") == ["there is no such file; give the path of a recipe"]


def test_pipelines_are_told_from_stages(write, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("stages: {}\n")
    assert is_pipeline(load_yaml(tmp_path / "pipeline.yaml"))
    assert not is_pipeline(load_yaml(write(SFT)))
    assert "is a pipeline; start it with `trl-r1 run" in validate_recipe(tmp_path / "pipeline.yaml", "sft")[0]


def test_comparison_with_the_paper_and_trl(write):
    extra = "preset: r1_zero_paper\nprompt_template: r1_zero\nlearning_rate: 1e-5\nprompts_per_step: 2\ntop_p: 0.9\n"
    rows = {row.field: row for row in compare_recipe(inspect_recipe(write(GRPO, extra)))}
    assert (rows["learning_rate"].value, rows["learning_rate"].trl_default, rows["learning_rate"].paper) == (
        1e-5,
        1e-6,
        3e-6,
    )
    assert rows["learning_rate"].as_published is False
    assert (rows["prompts_per_step"].value, rows["prompts_per_step"].paper) == (2, 32)
    assert rows["updates_per_rollout"].as_published is True
    assert rows["beta"].as_published is True
    assert rows["top_p"].as_published is None
    assert "temperature" not in rows  # TRL's default and the paper's value
    assert not rows.keys() & {"gradient_accumulation_steps", "steps_per_generation", "output_dir"}


def test_exact_preset_differs_from_the_paper_in_nothing(write):
    recipe = inspect_recipe(write(GRPO, "preset: r1_paper\n"))
    assert [row.field for row in compare_recipe(recipe) if row.as_published is False] == []
    assert "epsilon" in {row.field for row in compare_recipe(recipe)}


def test_comparison_of_other_stages(write):
    rows = {row.field: row for row in compare_recipe(inspect_recipe(write(SFT, "per_device_train_batch_size: 128\n")))}
    assert rows["rows_per_step"].as_published is True
    assert rows["max_length"].paper == 32768
    assert compare_recipe(inspect_recipe(write(SAMPLING))) == []


def test_help_lists_fields_and_ends_well(capsys):
    with pytest.raises(SystemExit) as ended:
        load_recipe("grpo", ["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "trl-r1 grpo --config FILE" in shown
    assert "--prompts_per_step" in shown
    assert "--skip_unscorable" in shown


def test_every_verb_is_known():
    assert {"grpo", "sft", "generate", "decontaminate", "evaluate"} <= set(VERBS)


def test_importing_recipes_is_light():
    code = "import sys, trl_r1.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
