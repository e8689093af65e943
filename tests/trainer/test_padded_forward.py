"""Padded rows cut to what they hold, against TRL's: values, gradients, shapes, and when they are refused."""

import pytest
import torch
from forward_cases import (
    COMMON,
    FAMILIES,
    ROUNDING,
    SHAPES,
    distance,
    make_family,
    make_rows,
    make_trainer,
    stock,
    values_and_gradient,
)
from peft import LoraConfig
from tiny_run import make_tokenizer, policy_on_disk
from transformers import GPT2Config, GPT2LMHeadModel, Ministral3Config, Ministral3ForCausalLM

from trl_r1.trainer.fast.padded_forward import PaddedForward


def compare(trainer, shape):
    rows = make_rows(SHAPES[shape], extra=4)
    expected = values_and_gradient(stock(trainer), trainer.model, rows)
    found = values_and_gradient(PaddedForward(trainer), trainer.model, rows)
    assert [distance(*pair) for pair in zip(found, expected, strict=True)] == [pytest.approx(0, abs=ROUNDING)] * 3
    assert torch.equal(found[0] == 0, rows[1][:, -rows[2] :] == 0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_values_and_gradient_are_those_of_trl(family, implementation, tmp_path):
    trainer = make_trainer(tmp_path, make_family(family, attn_implementation=implementation), temperature=0.7)
    assert PaddedForward.why_not(trainer) is None
    compare(trainer, "rows without completion")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_micro_batch(shape, tmp_path):
    compare(make_trainer(tmp_path, make_family("qwen2")), shape)


def test_a_window_is_no_hindrance(tmp_path):
    trainer = make_trainer(tmp_path, make_family("mistral", sliding_window=4))
    assert PaddedForward.why_not(trainer) is None
    compare(trainer, "groups")


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_and_adapters(use_reentrant, tmp_path):
    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    trainer = make_trainer(tmp_path, make_family("qwen2"), run={"peft_config": adapter})
    options = {"use_reentrant": use_reentrant}
    trainer.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    trainer.model.enable_input_require_grads()
    trainer.model.train()
    compare(trainer, "groups")


def test_the_reference_model(tmp_path):
    policy_on_disk(str(tmp_path / "out"), make_tokenizer())
    trainer = make_trainer(tmp_path, str(tmp_path / "initial_policy"), beta=0.1)
    rows = make_rows(SHAPES["groups"])
    with torch.no_grad():
        expected, _ = stock(trainer)(trainer.ref_model, *rows, False)
        found, entropies = PaddedForward(trainer)(trainer.ref_model, *rows, False)
    assert entropies is None
    assert distance(found, expected) <= ROUNDING


def test_the_model_sees_what_the_rows_hold_and_the_head_what_has_a_label(tmp_path):
    trainer = make_trainer(tmp_path, make_family("qwen2"))
    seen = []
    trainer.model.register_forward_hook(
        lambda _, args, kwargs, output: seen.append((kwargs, output)), with_kwargs=True
    )
    rows = make_rows([(3, 2, 0), (9, 0, 1), (5, 4, 2)], extra=6)
    PaddedForward(trainer)(trainer.model, *rows, True)
    (kwargs, output) = seen[0]
    assert kwargs["input_ids"].shape == (2, 5 + 4 - 1)
    assert output.log_probs.shape == (1, 2 + 4)


def test_rows_that_all_lack_a_completion_have_a_graph_and_no_gradient(tmp_path):
    trainer = make_trainer(tmp_path, make_family("qwen2"))
    ids, mask, columns = make_rows([(4, 0, 0), (2, 0, 1)])
    logps, entropies = PaddedForward(trainer)(trainer.model, ids, mask, columns, True)
    assert logps.shape == entropies.shape == (2, columns)
    assert not logps.any()
    assert not entropies.any()
    (logps.sum() + entropies.sum()).backward()
    assert not any(parameter.grad.any() for parameter in trainer.model.parameters())


def test_scores_scaled_by_late_positions_are_refused_although_no_trial_is_so_long(tmp_path):
    ids = {"vocab_size": len(make_tokenizer()), "pad_token_id": 0, "eos_token_id": 2, "head_dim": 8}
    trainer = make_trainer(tmp_path, Ministral3ForCausalLM(Ministral3Config(**{**COMMON, **ids})))
    assert "llama_4_scaling_beta" in PaddedForward.why_not(trainer)


def test_absolute_positions_are_refused_and_the_hook_taken_off(tmp_path):
    fields = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(vocab_size=48, n_embd=32, n_layer=2, n_head=2, n_positions=256, **fields)
    trainer = make_trainer(tmp_path, GPT2LMHeadModel(config))
    assert "log-probabilities differ" in PaddedForward.why_not(trainer)
    assert not trainer.model.transformer._forward_hooks
