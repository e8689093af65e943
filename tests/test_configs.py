"""Configurations: TRL's defaults, the published presets field by field, and the batch arithmetic."""

import dataclasses
import inspect
import re

import pytest
from trl import DatasetMixtureConfig, GRPOConfig, ModelConfig, ScriptArguments, TrlParser

from trl_r1.configs import (
    CHOICES,
    PRESETS,
    EvaluationArguments,
    GRPOScriptArguments,
    R1GRPOConfig,
    R1ScriptArguments,
    RejectionSamplingArguments,
    RewardModelScriptArguments,
    SFTScriptArguments,
    derive_batch,
)
from trl_r1.errors import R1Error, RecipeError
from trl_r1.presets import CONVENIENCES, apply_preset


ON_CPU = {"use_cpu": True, "bf16": False, "activation_checkpointing": False}

# R1.md, section 1.3, and 2.3 or 3.2 for the two stages; rows the paper does not publish hold TRL's default.
PAPER = {
    "loss_type": "grpo",
    "scale_rewards": "group",
    "importance_sampling_level": "token",
    "beta": 0.001,
    "use_bias_correction_kl": False,
    "sync_ref_model": True,
    "ref_model_sync_steps": 400,
    "ref_model_mixup_alpha": 1.0,
    "num_generations": 16,
    "temperature": 1.0,
    "num_iterations": 1,
    "learning_rate": 3e-6,
    "max_completion_length": 32768,
    "skip_unscorable": True,
}
NOT_PUBLISHED = {
    "top_p": 1.0,
    "top_k": 0,
    "mask_truncated_completions": False,
    "delta": None,
    "epsilon_high": None,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "max_grad_norm": 1.0,
    "warmup_steps": 0,
    "lr_scheduler_type": "linear",
    "reward_weights": None,  # "same weight"
    "vllm_importance_sampling_correction": True,  # only acts with vLLM, whose samples the paper's formula ignores
    "top_entropy_quantile": 1.0,
    "entropy_coef": 0.0,
}


def build(preset, **overrides):
    return R1GRPOConfig.from_preset(preset, output_dir="unused", **ON_CPU, **overrides)


@pytest.mark.parametrize(
    ("preset", "own"),
    [
        ("r1_zero_paper", {"epsilon": 0.2, "max_steps": 10_400}),  # epsilon not published: TRL's default
        ("r1_paper", {"epsilon": 10.0, "max_steps": -1}),  # number of steps not published
    ],
)
def test_paper_preset_is_the_paper_field_by_field(preset, own):
    config = build(preset)
    expected = PAPER | NOT_PUBLISHED | own
    assert {name: getattr(config, name) for name in expected} == expected
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps
    assert batch == 32 * 16
    assert config.steps_per_generation == 16 * config.gradient_accumulation_steps
    assert config.generation_batch_size == 8192


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_changes_nothing_but_what_it_lists(preset):
    from_batch = {
        *("per_device_train_batch_size", "gradient_accumulation_steps"),
        *("steps_per_generation", "generation_batch_size"),
    }
    config, plain = build(preset), R1GRPOConfig(output_dir="unused", **ON_CPU)
    changed = {
        spec.name
        for spec in dataclasses.fields(config)
        if getattr(config, spec.name) != getattr(plain, spec.name) and spec.name != "accelerator_config"
    }
    assert changed <= PRESETS[preset].keys() | from_batch
    listed = {name: value for name, value in PRESETS[preset].items() if name not in CONVENIENCES}
    assert {name: getattr(config, name) for name in listed} == listed


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_names_real_fields_and_no_hardware(preset):
    fields = {spec.name for spec in dataclasses.fields(R1GRPOConfig)}
    assert PRESETS[preset].keys() <= fields | set(CONVENIENCES)
    hardware = {"bf16", "fp16", "tf32", "use_cpu", "use_vllm", "deepspeed", "fsdp", "per_device_train_batch_size"}
    assert not PRESETS[preset].keys() & hardware


def test_dapo_and_dr_grpo_presets():
    dapo, dr_grpo = build("dapo"), build("dr_grpo")
    assert (dapo.loss_type, dapo.epsilon, dapo.epsilon_high, dapo.beta) == ("dapo", 0.2, 0.28, 0.0)
    assert (dapo.learning_rate, dapo.lr_scheduler_type, dapo.warmup_steps) == (1e-6, "constant_with_warmup", 320)
    assert dapo.generation_batch_size == 512 * 16
    assert dapo.mask_truncated_completions
    assert dapo.dynamic_sampling
    assert not dr_grpo.dynamic_sampling
    assert (dr_grpo.loss_type, dr_grpo.scale_rewards, dr_grpo.beta) == ("dr_grpo", "none", 0.0)
    assert (dr_grpo.adam_beta2, dr_grpo.weight_decay, dr_grpo.num_generations) == (0.95, 0.0, 8)
    assert dr_grpo.generation_batch_size == 128 * 8


def test_defaults_are_trls():
    ours, theirs = R1GRPOConfig(output_dir="unused", **ON_CPU), GRPOConfig(output_dir="unused", **ON_CPU)
    differing = [
        spec.name
        for spec in dataclasses.fields(theirs)
        if getattr(ours, spec.name) != getattr(theirs, spec.name) and spec.name != "accelerator_config"
    ]
    assert differing == []
    assert ours.skip_unscorable is False
    added = {spec.name for spec in dataclasses.fields(ours)} - {spec.name for spec in dataclasses.fields(theirs)}
    assert added == set(R1GRPOConfig.__annotations__)
    off = [name for name in added if getattr(ours, name) not in (False, None, 0, 0.0, "none")]
    # These say how, once their own switch is on
    assert {name for name in off if not name.startswith("fast_")} == {"dynamic_sampling_max_rounds"}


def test_an_error_budget_is_a_share_and_needs_skip_unscorable():
    assert R1GRPOConfig("unused", reward_error_budget=0.1, skip_unscorable=True, **ON_CPU).reward_error_budget == 0.1
    with pytest.raises(RecipeError, match=r"reward_error_budget: 0.1 without skip_unscorable"):
        R1GRPOConfig("unused", reward_error_budget=0.1, **ON_CPU)
    with pytest.raises(RecipeError, match=r"reward_error_budget: 1.5 is no share"):
        R1GRPOConfig("unused", reward_error_budget=1.5, skip_unscorable=True, **ON_CPU)


@pytest.mark.parametrize("name", sorted(CHOICES.keys() - {"curriculum"}))
def test_choices_are_those_trl_documents(name):
    documented = re.search(rf"\n        {name} \(.*?(?=\n        \w+ \(|\n        > )", GRPOConfig.__doc__, re.DOTALL)
    assert documented, f"TRL no longer documents {name}; look up its allowed values and correct CHOICES"
    text = documented.group()
    missing = [choice for choice in CHOICES[name] if f'"{choice}"' not in text]
    assert not missing, f"TRL's documentation of {name} no longer names {missing}; correct CHOICES"
    listed = re.findall(r'^ +- `"(\w+)"`', text, re.MULTILINE)
    assert set(listed) <= set(CHOICES[name]), f"TRL allows more for {name}; add it to CHOICES"


def test_trainer_still_knows_every_loss_type():
    from trl import GRPOTrainer

    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert [choice for choice in CHOICES["loss_type"] if f'"{choice}"' not in source] == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"loss_type": "gppo"}, "loss_type: 'gppo' is unknown; did you mean 'grpo'?"),
        ({"scale_rewards": "batches"}, "scale_rewards: 'batches' is unknown; did you mean 'batch'?"),
        ({"importance_sampling_level": "word"}, "importance_sampling_level: 'word' is unknown; use one of token, seq"),
        ({"multi_objective_aggregation": "sum"}, "multi_objective_aggregation: 'sum' is unknown"),
        ({"vllm_importance_sampling_mode": "tokens"}, "vllm_importance_sampling_mode: 'tokens' is unknown"),
        ({"num_generations": 1}, "num_generations: 1 completion a prompt has nothing to be compared with"),
        ({"num_generations": None}, "num_generations: None"),
        ({"beta": -0.1}, "beta: -0.1 must be at least 0"),
        ({"temperature": 0.0}, "temperature: 0.0 must be above 0"),
        ({"top_p": 1.5}, "top_p: 1.5 must be above 0 and at most 1"),
        ({"sync_ref_model": True}, "sync_ref_model: true without a reference model"),
        ({"ref_model_mixup_alpha": 2.0}, "ref_model_mixup_alpha: 2.0 must be between 0 and 1"),
        ({"steps_per_generation": 4, "generation_batch_size": 32}, "generation_batch_size: it and steps_per_gen"),
        ({"max_completion_length": 0}, "max_completion_length: 0 must be at least 1"),
    ],
)
def test_value_out_of_range_is_refused_when_made(override, message):
    with pytest.raises(RecipeError) as caught:
        R1GRPOConfig(output_dir="unused", **ON_CPU, **override)
    assert str(caught.value).startswith(message)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("given", "kept"), [(True, "group"), (False, "none"), ("batch", "batch")])
def test_scale_rewards_takes_what_trl_takes(given, kept):
    assert R1GRPOConfig(output_dir="unused", **ON_CPU, scale_rewards=given).scale_rewards == kept


def test_all_problems_at_once():
    with pytest.raises(RecipeError) as caught:
        R1GRPOConfig(output_dir="unused", **ON_CPU, loss_type="x", beta=-1.0, num_generations=1)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["loss_type", "num_generations", "beta"]


def test_override_wins_over_preset():
    config = build("r1_zero_paper", beta=0.04, prompts_per_step=4, num_generations=4, max_steps=5)
    assert (config.beta, config.num_generations, config.max_steps) == (0.04, 4, 5)
    assert config.per_device_train_batch_size * config.gradient_accumulation_steps == 16


@pytest.mark.parametrize(
    ("overrides", "gone"),
    [
        ({"num_train_epochs": 2}, "max_steps"),  # max_steps would win over it in silence
        ({"beta": 0.0}, "sync_ref_model"),  # no reference model to refresh
        ({"generation_batch_size": 64}, "updates_per_rollout"),
        ({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}, "prompts_per_step"),
    ],
)
def test_override_also_removes_preset_lines_it_contradicts(overrides, gone):
    assert gone in apply_preset("r1_zero_paper", {})
    merged = apply_preset("r1_zero_paper", overrides)
    assert gone not in merged
    assert merged.items() >= overrides.items()
    build("r1_zero_paper", **overrides)


def test_unknown_preset_and_unknown_override():
    with pytest.raises(R1Error, match="preset: 'r1_zero' is unknown; did you mean 'r1_zero_paper'"):
        build("r1_zero")
    with pytest.raises(R1Error, match="betaa: no such field; did you mean 'beta'"):
        build("dapo", betaa=0.1)
    with pytest.raises(R1Error, match="prompt_per_step: no such field; did you mean 'prompts_per_step'"):
        build("dapo", prompt_per_step=2)


@pytest.mark.parametrize(
    ("values", "processes", "batch", "accumulation", "steps"),
    [
        ({"prompts_per_step": 16, "num_generations": 8}, 1, 8, 16, 16),
        ({"prompts_per_step": 16, "num_generations": 8}, 4, 8, 4, 4),
        ({"prompts_per_step": 32, "num_generations": 16, "updates_per_rollout": 16}, 512, 1, 1, 16),
        ({"prompts_per_step": 16, "num_generations": 8, "per_device_train_batch_size": 128}, 1, 128, 1, 1),
        ({"prompts_per_step": 16, "num_generations": 8, "gradient_accumulation_steps": 2}, 2, 32, 2, 2),
        ({"prompts_per_step": 3, "num_generations": 2}, 1, 6, 1, 1),
        ({"prompts_per_step": 11, "num_generations": 1}, 1, 1, 11, 11),
        ({"prompts_per_step": 2}, 1, 8, 2, 2),  # TRL's num_generations, 8
    ],
)
def test_derived_batch(values, processes, batch, accumulation, steps):
    derived = derive_batch(values, processes)
    assert derived["per_device_train_batch_size"] == batch
    assert derived["gradient_accumulation_steps"] == accumulation
    assert derived["steps_per_generation"] == steps
    assert not derived.keys() & set(CONVENIENCES)
    assert batch * processes * accumulation == values["prompts_per_step"] * values.get("num_generations", 8)


def test_derived_batch_uses_the_launched_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert derive_batch({"prompts_per_step": 4, "num_generations": 8})["gradient_accumulation_steps"] == 1
    monkeypatch.setenv("WORLD_SIZE", "four")
    with pytest.raises(R1Error, match="WORLD_SIZE: 'four' in the environment is not a number"):
        derive_batch({"prompts_per_step": 4})


@pytest.mark.parametrize(
    ("values", "processes", "message"),
    [
        ({"prompts_per_step": 3, "num_generations": 4}, 8, "12 completions cannot be shared by 8 processes; 2 or 4"),
        ({"prompts_per_step": 1, "num_generations": 4}, 16, "cannot be shared by 16 processes; 4 would work"),
        (
            {"prompts_per_step": 4, "num_generations": 4, "per_device_train_batch_size": 3},
            1,
            "16 completions a process, not per_device_train_batch_size 3 x gradient_accumulation_steps 5",
        ),
        (
            {"prompts_per_step": 4, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
            1,
            "32 completions a process, not per_device_train_batch_size 4 x gradient_accumulation_steps 4",
        ),
        ({"prompts_per_step": 0}, 1, "prompts_per_step: 0 must be at least 1"),
        ({"updates_per_rollout": 2, "steps_per_generation": 4}, 1, "updates_per_rollout: 2 and steps_per_generation"),
        ({"updates_per_rollout": 2, "generation_batch_size": 4}, 1, "updates_per_rollout: 2 and generation_batch_s"),
    ],
)
def test_impossible_batch_says_what_would_work(values, processes, message):
    with pytest.raises(RecipeError) as caught:
        derive_batch(values, processes)
    assert message in str(caught.value)


def test_without_conveniences_nothing_is_derived():
    assert derive_batch({"num_generations": 8}, 4) == {"num_generations": 8}


@pytest.mark.parametrize(
    "kinds",
    [
        (GRPOScriptArguments, R1GRPOConfig, ModelConfig, DatasetMixtureConfig),
        (SFTScriptArguments, ModelConfig, DatasetMixtureConfig),
        (RewardModelScriptArguments, ModelConfig, DatasetMixtureConfig),
        (RejectionSamplingArguments, ModelConfig, DatasetMixtureConfig),
        (EvaluationArguments,),
    ],
)
def test_trls_own_parser_builds_them(kinds):
    parser = TrlParser(kinds)
    assert "--output_dir" in parser.format_help() or kinds[0] in (SFTScriptArguments, RewardModelScriptArguments)


def test_trls_own_parser_reads_rewards():
    argv = [
        "--reward_funcs",
        "accuracy_reward",
        '{"get_length_reward": {"target": 3}}',
        "--prompt_template",
        "r1_zero",
    ]
    (script,) = TrlParser((GRPOScriptArguments,)).parse_args_into_dataclasses(argv, look_for_args_file=False)
    assert script.reward_funcs == ["accuracy_reward", {"get_length_reward": {"target": 3}}]
    assert script.prompt_template == "r1_zero"


def test_script_arguments_extend_trls():
    assert issubclass(R1ScriptArguments, ScriptArguments)
    for kind in (GRPOScriptArguments, SFTScriptArguments, RewardModelScriptArguments, RejectionSamplingArguments):
        assert issubclass(kind, R1ScriptArguments)
        documented = "\n".join(base.__doc__ for base in kind.__mro__ if base.__doc__)
        for spec in dataclasses.fields(kind):
            assert spec.name in documented, f"{kind.__name__}.{spec.name} is not documented"
            assert spec.metadata.get("help"), f"{kind.__name__}.{spec.name} has no help"
