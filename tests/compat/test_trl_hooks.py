"""What this package overrides in TRL and reads from it, by name and by parameter: a release that moves it fails here.

Each failure says what changed and which of our modules relies on it.
"""

import dataclasses
import inspect
import sys
from pathlib import Path

import pytest
import torch
import transformers
import trl
from trl import GRPOConfig, GRPOTrainer, SFTTrainer
from trl.trainer.utils import RepeatSampler

from trl_r1.trainer import R1GRPOTrainer


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo


GRPO_TRAINER = "trl_r1/trainer/grpo_trainer.py"
GRPO_STATE = "trl_r1/trainer/grpo_state.py"
CHECKPOINTS = "trl_r1/trainer/callbacks/checkpoints.py"

# owner, method, parameters after `self`, who relies on it
HOOKS = [
    (GRPOTrainer, "_calculate_rewards", ["inputs", "prompts", "completions", "completion_ids_list"], GRPO_TRAINER),
    (GRPOTrainer, "_get_train_sampler", ["dataset"], GRPO_TRAINER),
    (GRPOTrainer, "_save_checkpoint", ["model", "trial"], GRPO_TRAINER),
    (GRPOTrainer, "_load_optimizer_and_scheduler", ["checkpoint"], GRPO_TRAINER),
    (GRPOTrainer, "create_model_card", ["model_name", "dataset_name", "tags"], GRPO_TRAINER),
    (GRPOTrainer, "_get_output_dir", ["trial"], GRPO_TRAINER),
    (GRPOTrainer, "_prepare_inputs", ["generation_batch"], GRPO_TRAINER),
    (GRPOTrainer, "_generate", ["prompts"], GRPO_TRAINER),
    (
        GRPOTrainer,
        "_generate_single_turn",
        ["prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images"],
        GRPO_TRAINER,
    ),
    (SFTTrainer, "get_batch_samples", ["epoch_iterator", "num_batches", "device"], CHECKPOINTS),
    (transformers.Trainer, "train", ["resume_from_checkpoint", "trial", "ignore_keys_for_eval"], CHECKPOINTS),
    (GRPOTrainer, "_compute_loss", ["model", "inputs"], GRPO_TRAINER),
    (GRPOTrainer, "_generate_and_score_completions", ["inputs"], GRPO_TRAINER),
]

# The first parameters of `_get_per_token_logps_and_entropies`; those after them change with most releases.
LOGPS_PARAMETERS = [
    *("model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy", "compute_aux_loss"),
    *("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles"),
    *("image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids"),
]
HOOKS.append((GRPOTrainer, "_get_per_token_logps_and_entropies", LOGPS_PARAMETERS, GRPO_TRAINER))

# Fields of the configuration that the package or its presets set or read.
FIELDS = {
    "beta": 0.0,
    "epsilon": 0.2,
    "epsilon_high": None,
    "loss_type": "dapo",
    "scale_rewards": "group",
    "importance_sampling_level": "token",
    "multi_objective_aggregation": "sum_then_normalize",
    "num_generations": 8,
    "num_generations_eval": None,
    "num_iterations": 1,
    "steps_per_generation": None,
    "generation_batch_size": None,
    "sync_ref_model": False,
    "ref_model_sync_steps": 512,
    "ref_model_mixup_alpha": 0.6,
    "use_bias_correction_kl": True,
    "max_completion_length": 512,
    "mask_truncated_completions": False,
    "disable_dropout": False,
    "reward_weights": None,
    "temperature": 1.0,
    "top_p": 1.0,
}

# Attributes of a trainer that a checkpoint saves and restores.
ATTRIBUTES = ["_step", "_buffered_inputs", "_metrics", "num_iterations", "num_generations", "num_generations_eval"]


def version():
    return f"trl {trl.__version__}, transformers {transformers.__version__}"


@pytest.mark.parametrize(("owner", "name", "parameters", "user"), HOOKS, ids=lambda value: str(value)[:40])
def test_hook_keeps_its_parameters(owner, name, parameters, user):
    assert hasattr(owner, name), f"{version()}: {owner.__name__}.{name} is gone; {user} relies on it"
    found = list(inspect.signature(getattr(owner, name)).parameters)[1:]
    assert found == parameters, f"{version()}: {owner.__name__}.{name}{tuple(found)}, {user} expects {parameters}"


def test_every_override_is_pinned():
    ours = {name for name, value in vars(R1GRPOTrainer).items() if inspect.isfunction(value) and name != "__init__"}
    ours = {name for name in ours if hasattr(GRPOTrainer, name)}
    pinned = {name for owner, name, _, _ in HOOKS if owner is GRPOTrainer}
    assert ours <= pinned, f"add to HOOKS: {sorted(ours - pinned)}"


@pytest.mark.parametrize("name", FIELDS)
def test_configuration_field_keeps_its_default(name):
    defaults = {field.name: field.default for field in dataclasses.fields(GRPOConfig)}
    assert name in defaults, f"{version()}: GRPOConfig.{name} is gone; see trl_r1/presets.py and {GRPO_TRAINER}"
    assert defaults[name] == FIELDS[name], (
        f"{version()}: GRPOConfig.{name} defaults to {defaults[name]!r}, was {FIELDS[name]!r}; "
        "check the presets and recipes that leave it out"
    )


def test_sampler_has_what_a_resumed_epoch_needs():
    sampler = RepeatSampler([0, 1, 2, 3, 4], mini_repeat_count=2, batch_size=1, seed=3)
    assert sampler.num_samples == 5
    orders = [list(sampler), list(sampler)]
    again = RepeatSampler([0, 1, 2, 3, 4], mini_repeat_count=2, batch_size=1, seed=3)
    torch.randperm(again.num_samples, generator=again.generator)
    assert list(again) == orders[1], f"{version()}: RepeatSampler draws its order otherwise; {GRPO_STATE} relies on it"


def test_trainer_has_the_state_a_checkpoint_keeps(tmp_path):
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), steps_per_generation=2, max_steps=1)
    missing = [name for name in ATTRIBUTES if not hasattr(trainer, name)]
    assert not missing, f"{version()}: GRPOTrainer no longer has {missing}; {GRPO_STATE} relies on it"
    trainer.train()
    assert trainer._step == 1
    keys = {"prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages", "num_items_in_batch"}
    assert len(trainer._buffered_inputs) == 2
    for batch in trainer._buffered_inputs:
        lacking = keys - batch.keys()
        assert not lacking, f"{version()}: a micro-batch no longer has {sorted(lacking)}"


def test_log_row_has_the_names_that_reports_read(tmp_path):
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), max_steps=1)
    trainer.train()
    row = trainer.state.log_history[0]
    names = [
        "loss",
        "step",
        "reward",
        "reward_std",
        "frac_reward_zero_std",
        "rewards/token_reward/mean",
        "completions/mean_length",
        "completions/clipped_ratio",
        "entropy",
    ]
    lacking = [name for name in names if name not in row]
    assert not lacking, f"{version()}: log rows no longer have {lacking}; trl_r1/report reads them"
