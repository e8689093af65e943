"""The reference model is what was passed, and what it was at a checkpoint."""

import threading
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType
from peft import LoraConfig
from tiny_run import make_grpo, make_model, make_tokenizer, policy_on_disk
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import grpo_trainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import RecipeError
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.reference import REFERENCE_NAME, check_reference, frozen_copy, reference_from


STOCK_LOADER = grpo_trainer.create_model_from_path


def changed_policy(tmp_path, **kwargs):
    """A policy from disk whose weights were changed afterwards."""
    model = AutoModelForCausalLM.from_pretrained(policy_on_disk(str(tmp_path / "out"), make_tokenizer()), **kwargs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


def train(tmp_path, trainer_class=R1GRPOTrainer, config=R1GRPOConfig, **options):
    options = {"beta": 0.1, "max_steps": 1, **options}
    trainer = make_grpo(trainer_class, config, str(tmp_path / "out"), **options)
    trainer.train()
    return trainer


def test_first_kl_is_zero_for_a_changed_policy(tmp_path):
    trainer = train(tmp_path, run={"model": changed_policy(tmp_path)})
    assert trainer.state.log_history[0]["kl"] == 0.0
    assert grpo_trainer.create_model_from_path is STOCK_LOADER


def test_trl_alone_measures_against_the_name_on_disk(tmp_path):
    # Why `reference_from` exists. If this fails, TRL has mended it: take the exchange out.
    trainer = train(tmp_path, GRPOTrainer, GRPOConfig, run={"model": changed_policy(tmp_path)})
    assert trainer.state.log_history[0]["kl"] > 0.01


def test_a_policy_without_a_name_has_a_reference(tmp_path):
    trainer = train(tmp_path, run={"model": make_model(make_tokenizer(), seed=5)})
    assert trainer.state.log_history[0]["kl"] == 0.0


def test_the_copy_is_like_the_policy_and_shares_nothing(tmp_path):
    policy = changed_policy(tmp_path, dtype=torch.bfloat16, attn_implementation="eager")
    policy.config.attention_dropout = 0.5
    policy.train()
    dropout = torch.nn.Dropout(0.5)
    policy.model.dropout = dropout
    options = {"beta": 0.1, "disable_dropout": True, "run": {"model": policy}}
    reference = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **options).ref_model
    assert not reference.training
    assert reference.model.dropout is not dropout
    assert reference.model.dropout.p == 0.0
    assert reference.config._attn_implementation == "eager"
    assert {parameter.dtype for parameter in reference.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in reference.parameters())
    ours = {parameter.data_ptr() for parameter in policy.parameters()}
    assert not ours & {parameter.data_ptr() for parameter in reference.parameters()}
    assert policy.training
    assert all(parameter.requires_grad for parameter in policy.parameters())


def test_tied_weights_stay_tied(tmp_path):
    copied = frozen_copy(changed_policy(tmp_path))
    assert copied.lm_head.weight is copied.model.embed_tokens.weight


def test_a_policy_used_before_does_not_lend_its_forward(tmp_path):
    policy = changed_policy(tmp_path)
    train(tmp_path, beta=0.0, run={"model": policy})
    trainer = train(tmp_path, max_steps=2, run={"model": policy})
    kls = [row["kl"] for row in trainer.state.log_history if "kl" in row]
    assert kls[0] == 0.0
    assert kls[1] > 0.0


def test_a_policy_by_name_is_left_to_trl(tmp_path):
    with reference_from("some/name"):
        assert grpo_trainer.create_model_from_path is STOCK_LOADER


def test_adapters_keep_no_second_model(tmp_path):
    run = {"model": changed_policy(tmp_path), "peft_config": LoraConfig(target_modules=["q_proj"])}
    trainer = train(tmp_path, run=run)
    assert trainer.ref_model is None
    assert trainer.state.log_history[0]["kl"] == pytest.approx(0.0, abs=1e-9)


def test_another_thread_sees_the_loader_of_trl(tmp_path):
    policy = changed_policy(tmp_path)
    loaded = []
    with reference_from(policy):
        load = grpo_trainer.create_model_from_path
        assert load is not STOCK_LOADER
        name = policy.config._name_or_path
        thread = threading.Thread(target=lambda: loaded.append(load(name)))
        thread.start()
        thread.join()
    first = next(policy.parameters())
    assert not torch.equal(next(loaded[0].parameters()), first)


def test_the_loader_comes_back_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="Number of reward weights"):
        train(tmp_path, reward_weights=[1.0], run={"model": changed_policy(tmp_path)})
    assert grpo_trainer.create_model_from_path is STOCK_LOADER


def test_a_partitioned_policy_is_left_to_trl(tmp_path, caplog):
    policy = changed_policy(tmp_path)
    next(policy.parameters()).ds_id = 0
    with reference_from(policy):
        assert grpo_trainer.create_model_from_path is STOCK_LOADER
    assert "partitioned by ZeRO-3" in caplog.text


SAVING = {"beta": 0.1, "save_strategy": "steps", "save_steps": 1, "max_steps": 4}


def saved(tmp_path):
    return [step for step in range(1, 5) if (tmp_path / "out" / f"checkpoint-{step}" / REFERENCE_NAME).is_file()]


def test_a_passed_policy_is_saved_in_every_checkpoint(tmp_path):
    initial = changed_policy(tmp_path)
    expected = {name: tensor.clone() for name, tensor in initial.state_dict().items()}
    whole = train(tmp_path, **SAVING, run={"model": initial})
    assert saved(tmp_path) == [1, 2, 3, 4]
    # What a user's script makes when it starts again is no longer the initial policy: here the one on disk.
    resumed = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **SAVING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    found = resumed.ref_model.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    kls = [[row["kl"] for row in trainer.state.log_history if "kl" in row] for trainer in (whole, resumed)]
    assert kls[0] == kls[1]


def test_a_refreshed_reference_is_saved_from_then_on(tmp_path):
    refresh = {"sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 1.0}
    whole = train(tmp_path, **SAVING, **refresh)
    assert saved(tmp_path) == [2, 3, 4]
    resumed = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **SAVING, **refresh)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    row = next(row for row in resumed.state.log_history if row["step"] == 3)
    assert row["kl"] == 0.0  # the refresh of step 2, not the policy on disk
    found = resumed.ref_model.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in whole.ref_model.state_dict().items())


def test_an_unchanged_policy_by_name_needs_no_copy_on_disk(tmp_path):
    train(tmp_path, **{**SAVING, "max_steps": 1})
    assert saved(tmp_path) == []


def sharded_trainer(kind, **options):
    args = {"sync_ref_model": False, "save_strategy": "steps", "save_only_model": False, **options}
    plugin = SimpleNamespace(zero_stage=3) if kind == DistributedType.DEEPSPEED else None
    accelerator = SimpleNamespace(distributed_type=kind, state=SimpleNamespace(deepspeed_plugin=plugin))
    return SimpleNamespace(
        args=SimpleNamespace(**args), accelerator=accelerator, ref_model=object(), _policy_was_passed=True
    )


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_a_sharded_reference_that_changes_is_refused_at_the_start(kind, caplog):
    with pytest.raises(RecipeError, match=r"sync_ref_model: true with a sharded model.*use ZeRO-2 or DDP"):
        check_reference(sharded_trainer(kind, sync_ref_model=True))
    check_reference(sharded_trainer(kind, sync_ref_model=True, save_strategy="no"))
    check_reference(sharded_trainer(kind, sync_ref_model=True, save_only_model=True))
    assert not caplog.records
    check_reference(sharded_trainer(kind))
    assert "pass the same initial policy again" in caplog.text
