"""`fast_generation` in a training run: the run is the same, bit for bit, with less to generate."""

import pytest
import torch
from peft import LoraConfig
from tiny_run import make_grpo, stable_logs
from trl import GRPOTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer


ONLY_GENERATION = {"fast_micro_batches": False, "fast_skip_zero_advantage": False, "fast_packed_forward": False}


def train(trainer_class, folder, **options):
    """Log rows, weights and how many rows each forward pass of the policy had."""
    trainer = make_grpo(trainer_class, R1GRPOConfig, str(folder / "out"), max_steps=2, **options)
    widths = []

    def note(module, args, kwargs):
        if kwargs.get("use_cache"):
            widths.append(len(kwargs["input_ids"]))

    trainer.accelerator.unwrap_model(trainer.model).register_forward_pre_hook(note, with_kwargs=True)
    trainer.train()
    weights = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
    return stable_logs(trainer.state.log_history), weights, widths


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.1},
        {"bf16": True},
        {"gradient_checkpointing": True},
    ],
    ids=["plain", "processors", "bf16", "checkpointing"],
)
def test_a_run_is_the_same_bit_for_bit(options, tmp_path):
    logs, weights, widths = train(GRPOTrainer, tmp_path / "stock", **options)
    fast_logs, fast_weights, fast_widths = train(
        R1GRPOTrainer, tmp_path / "fast", fast=True, **ONLY_GENERATION, **options
    )
    assert fast_logs == logs
    assert all(torch.equal(weights[name], tensor) for name, tensor in fast_weights.items())
    assert set(widths) == {4}
    assert fast_widths[0] == 1
    assert sum(fast_widths) < sum(widths)


def test_a_run_with_an_adapter_is_the_same(tmp_path):
    def run():
        return {"peft_config": LoraConfig(r=4, target_modules=["q_proj", "v_proj"])}

    logs, weights, _ = train(GRPOTrainer, tmp_path / "stock", run=run())
    fast_logs, fast_weights, _ = train(R1GRPOTrainer, tmp_path / "fast", fast=True, **ONLY_GENERATION, run=run())
    assert fast_logs == logs
    assert all(torch.equal(weights[name], tensor) for name, tensor in fast_weights.items())
