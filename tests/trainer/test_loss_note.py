"""The sentence about a loss of 0: said once, and true of the loss that training logs."""

import logging
import math

import pytest
from tiny_run import make_grpo
from transformers import TrainerControl, TrainerState

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import LossNoteCallback, explain_curve, explain_loss


ALWAYS_ZERO, LONG_WEIGH_MORE = (
    "the value is 0 always",
    "above 0 where the better completions of a group are the shorter",
)
WANDERS = "the value wanders about 0"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss_type": "grpo"}, ALWAYS_ZERO),
        ({"loss_type": "dapo"}, LONG_WEIGH_MORE),
        ({}, LONG_WEIGH_MORE),  # TRL's default is dapo
        ({"loss_type": "dr_grpo"}, LONG_WEIGH_MORE),
        ({"loss_type": "grpo", "mask_truncated_completions": True}, "truncated completions are left out"),
        ({"loss_type": "grpo", "beta": 0.001}, "beta 0.001 times the KL to the reference is added"),
        ({"loss_type": "grpo", "num_iterations": 2}, WANDERS),
        ({"loss_type": "grpo", "steps_per_generation": 16}, WANDERS),
        ({"loss_type": "grpo", "steps_per_generation": 16, "gradient_accumulation_steps": 16}, ALWAYS_ZERO),
        ({"loss_type": "grpo", "steps_per_generation": 2, "gradient_accumulation_steps": 4}, ALWAYS_ZERO),
        ({"loss_type": "grpo", "gradient_accumulation_steps": 4}, ALWAYS_ZERO),
    ],
)
def test_what_is_said_follows_from_the_settings(settings, said):
    assert said in explain_loss(settings)
    assert ("KL" in explain_loss(settings)) == ("beta" in settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss_type": "cispo"},
        {"loss_type": "vespo"},
        {"loss_type": "sapo"},
        {"entropy_coef": 0.01},
        {"use_adaptive_entropy": True},
        {"top_entropy_quantile": 0.2},
        {"use_vllm": True},
        {"generation_batch_size": 512},  # and no telling how many updates that is
    ],
)
def test_nothing_is_said_where_the_loss_has_other_parts(settings):
    assert explain_loss(settings) is None


def test_said_once_and_only_near_zero(tmp_path, caplog):
    args = R1GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, loss_type="grpo")
    state, control, note = TrainerState(is_world_process_zero=True), TrainerControl(), LossNoteCallback()
    with caplog.at_level(logging.INFO, logger="trl_r1"):
        for row in ({"loss": 0.5}, {"loss": math.nan}, {"eval_loss": 0.0}, {"loss": 1e-9}, {"loss": 0.0}):
            note.on_log(args, state, control, logs=row)
        assert [record.getMessage()[:40] for record in caplog.records] == ["the loss is 1.0e-09, and that is fine: t"]
        LossNoteCallback().on_log(args, state, control, logs={"loss": 0.0, "aux_loss": 0.1})
        LossNoteCallback().on_log(args, TrainerState(is_world_process_zero=False), control, logs={"loss": 0.0})
    assert len(caplog.records) == 1


def test_a_curve_is_explained_if_it_ever_came_near_zero():
    settings = {"loss_type": "grpo"}
    assert ALWAYS_ZERO in explain_curve(settings, [{"loss": 0.5}, {"eval_loss": 0.0}, {"loss": -1e-9}])
    assert explain_curve(settings, [{"loss": 0.5}, {"eval_loss": 0.0}]) is None
    assert explain_curve(settings, [{"loss": 0.0, "aux_loss": 0.1}]) is None
    assert explain_curve(settings, [{"loss": math.nan}, {"loss": 0.5}]) is None
    assert explain_curve(settings, []) is None


@pytest.mark.parametrize("scale_rewards", ["group", "batch", "none"])
@pytest.mark.parametrize("steps", [{}, {"gradient_accumulation_steps": 2}])
def test_where_it_says_always_zero_training_logs_zero_and_learns(tmp_path, scale_rewards, steps):
    options = {"loss_type": "grpo", "scale_rewards": scale_rewards, "per_device_train_batch_size": 8, **steps}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), max_steps=3, **options)
    assert ALWAYS_ZERO in explain_loss(vars(trainer.args))
    trainer.train()
    rows = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["loss"] for row in rows] == pytest.approx([0.0] * 3, abs=1e-6)
    assert min(row["grad_norm"] for row in rows) > 1e-3


def test_where_it_says_the_value_wanders_it_is_not_always_zero(tmp_path):
    options = {"loss_type": "grpo", "steps_per_generation": 2, "per_device_train_batch_size": 4}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), max_steps=4, **options)
    assert WANDERS in explain_loss(vars(trainer.args))
    trainer.train()
    assert max(abs(row["loss"]) for row in trainer.state.log_history if "loss" in row) > 1e-4
