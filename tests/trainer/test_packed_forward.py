"""The packed row against TRL's padded rows: values, gradients, and when it is refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forward_cases import (
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
from peft import LoraConfig, PrefixTuningConfig
from tiny_run import make_grpo, make_tokenizer, policy_on_disk
from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, GPT2Config, GPT2LMHeadModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.fast import forward_probe
from trl_r1.trainer.fast.packed_forward import PackedForward, pack


def compare(trainer, shape, model=None):
    """Both passes on the same rows; fails where the difference is more than rounding."""
    model = trainer.model if model is None else model
    rows = make_rows(SHAPES[shape])
    expected = values_and_gradient(stock(trainer), model, rows)
    found = values_and_gradient(PackedForward(trainer), model, rows)
    assert [distance(*pair) for pair in zip(found, expected, strict=True)] == [pytest.approx(0, abs=ROUNDING)] * 3
    assert torch.equal(found[0] == 0, rows[1][:, -rows[2] :] == 0)
    assert expected[2].norm() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradient_are_those_of_trl(family, tmp_path):
    trainer = make_trainer(tmp_path, make_family(family), temperature=0.7)
    assert PackedForward.why_not(trainer) is None
    compare(trainer, "groups")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_micro_batch(shape, tmp_path):
    compare(make_trainer(tmp_path, make_family("qwen2")), shape)


def test_an_empty_prompt_goes_the_padded_way(tmp_path):
    trainer = make_trainer(tmp_path, make_family("qwen2"))
    rows = make_rows([(4, 3, 0), (0, 2, 1)])
    expected = values_and_gradient(stock(trainer), trainer.model, rows)
    found = values_and_gradient(PackedForward(trainer), trainer.model, rows)
    assert distance(found[2], expected[2]) <= ROUNDING


def test_rows_that_all_lack_a_completion_have_a_graph_and_no_gradient(tmp_path):
    trainer = make_trainer(tmp_path, make_family("qwen2"))
    ids, mask, columns = make_rows([(4, 0, 0), (2, 0, 1)])
    calls = []
    trainer.model.register_forward_hook(lambda *_: calls.append(1))
    logps, entropies = PackedForward(trainer)(trainer.model, ids, mask, columns, True)
    assert logps.shape == entropies.shape == (2, columns)
    assert not logps.any()
    assert not entropies.any()
    (logps.sum() + entropies.sum()).backward()
    assert calls == [1]
    assert not any(parameter.grad.any() for parameter in trainer.model.parameters())


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing(use_reentrant, tmp_path):
    trainer = make_trainer(tmp_path, make_family("qwen2"))
    options = {"use_reentrant": use_reentrant}
    trainer.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    trainer.model.enable_input_require_grads()
    trainer.model.train()
    compare(trainer, "groups")


def test_bfloat16_is_no_further_from_float32_than_trl(tmp_path):
    shape = [(20, 15, 0), (20, 30, 0), (9, 23, 1), (9, 18, 1)]
    batches = [make_rows(shape, seed=seed) for seed in range(6)]  # one alone varies by a fifth either way

    def results(name, forward, **options):
        trainer = make_trainer(tmp_path / name, make_family("qwen2", hidden_size=64), **options)
        parts = [values_and_gradient(forward(trainer), trainer.model, rows) for rows in batches]
        return [torch.cat([part.flatten() for part in kind]) for kind in zip(*parts, strict=True)]

    exact = results("exact", stock)
    theirs, ours = results("stock", stock, bf16=True), results("packed", PackedForward, bf16=True)
    for found, other, wanted in zip(ours, theirs, exact, strict=True):
        assert 1e-4 < distance(found, wanted) <= 1.2 * distance(other, wanted)


def test_a_trial_in_bfloat16_also_runs_in_float32(tmp_path):
    trainer = make_trainer(tmp_path, gpt2(0.0), bf16=True)
    with torch.no_grad():  # positions that matter less than rounding to 16 bits
        trainer.model.transformer.wpe.weight.mul_(0.02)
    assert "rounding explains 1e-05" in PackedForward.why_not(trainer)
    assert trainer.accelerator.autocast_handler is None
    trainer = make_trainer(tmp_path / "exact", make_family("qwen2"), bf16=True)
    assert PackedForward.why_not(trainer) is None


def test_flash_attention_is_tried_in_16_bits_only(tmp_path, monkeypatch):
    calls = []

    def flash(module, query, key, value, attention_mask, **kwargs):
        if not torch.is_autocast_enabled("cpu"):
            raise RuntimeError("FlashAttention only supports fp16 and bf16 data types")
        calls.append(attention_mask)
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)

    monkeypatch.setitem(AttentionInterface._global_mapping, "flash_of_a_test", flash)
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, "flash_of_a_test", sdpa_mask)
    model = make_family("qwen2")
    model.config._attn_implementation = "flash_of_a_test"
    trainer = make_trainer(tmp_path, model, bf16=True)
    assert PackedForward.why_not(trainer) is None
    assert len(calls) == 2  # TRL's pass through both layers; ours goes by the layout


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 5e-3), ("ieee", 1e-5)])
def test_tf32_is_allowed_its_rounding(precision, tolerance, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace(fp32_precision=precision))
    accelerator = SimpleNamespace(device=torch.device("cuda"), native_amp=False, mixed_precision="no")
    assert forward_probe._tolerance(accelerator, torch.nn.Linear(1, 1)) == tolerance


def test_adapters_get_their_gradient_and_may_be_switched_off(tmp_path):
    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    trainer = make_trainer(tmp_path, make_family("qwen2"), run={"peft_config": adapter})
    assert PackedForward.why_not(trainer) is None
    compare(trainer, "groups")
    rows = make_rows(SHAPES["groups"])
    with trainer.model.disable_adapter(), torch.no_grad():
        expected, _ = stock(trainer)(trainer.model, *rows, False)
        found, entropies = PackedForward(trainer)(trainer.model, *rows, False)
    assert entropies is None
    assert distance(found, expected) <= ROUNDING


def test_the_reference_model(tmp_path):
    policy_on_disk(str(tmp_path / "out"), make_tokenizer())
    trainer = make_trainer(tmp_path, str(tmp_path / "initial_policy"), beta=0.1)
    rows = make_rows(SHAPES["groups"])
    with torch.no_grad():
        expected, _ = stock(trainer)(trainer.ref_model, *rows, False)
        found, _ = PackedForward(trainer)(trainer.ref_model, *rows, False)
    assert distance(found, expected) <= ROUNDING


def test_a_head_in_float32(tmp_path):
    model = make_family("llama").to(torch.bfloat16)
    trainer = make_trainer(tmp_path, model, cast_lm_head_to_fp32=True)
    assert PackedForward.why_not(trainer) is None
    rows = make_rows(SHAPES["groups"])
    expected = values_and_gradient(stock(trainer), trainer.model, rows)
    found = values_and_gradient(PackedForward(trainer), trainer.model, rows)
    assert found[0].dtype == expected[0].dtype == torch.float32
    assert distance(found[0], expected[0]) < 0.02


def test_other_passes_and_the_saved_model_know_nothing_of_it(tmp_path):
    model = make_family("qwen2")
    rows = make_rows(SHAPES["groups"])
    with torch.no_grad():
        before = model(rows[0], attention_mask=rows[1]).logits
    trainer = make_trainer(tmp_path, model)
    forward = PackedForward(trainer)
    with torch.no_grad():
        forward(model, *rows, False)
        assert torch.equal(model(rows[0], attention_mask=rows[1]).logits, before)
    model.save_pretrained(tmp_path / "saved")
    assert "packed" not in (tmp_path / "saved" / "config.json").read_text()
    assert AutoConfig.from_pretrained(tmp_path / "saved").to_dict().keys() == model.config.to_dict().keys()


def test_each_distinct_prompt_comes_once_and_no_padding():
    ids, _, columns = make_rows([(3, 2, 0), (1, 1, 1), (3, 4, 0), (5, 0, 2)])
    batch = pack(ids, [3, 1, 3, 5], [2, 1, 4, 0], columns)
    left = ids.size(1) - columns
    first, second, third = ids[0], ids[1], ids[2]
    expected = [*first[left - 3 : left + 1], *third[left - 1 : left + 3], second[left - 1]]
    assert batch.input_ids[0].tolist() == expected
    assert batch.position_ids[0].tolist() == [0, 1, 2, 3, 2, 3, 4, 5, 0]
    assert batch.labels[0].tolist() == [*first[left : left + 2], *third[left : left + 4], second[left]]
    assert batch.targets.tolist() == [0, 1, *range(2 * columns, 2 * columns + 4), columns]
    assert batch.head_positions.tolist() == list(range(2, 9))
    assert batch.layout.families == [(0, 2, 6), (8, 0, 1)]


def test_asking_leaves_no_trace(tmp_path):
    trainer = make_trainer(tmp_path, make_family("qwen2"))
    trainer.model.train()
    trainer.model.model.layers[1].eval()
    modes = [module.training for module in trainer.model.modules()]
    state = torch.random.get_rng_state()
    assert PackedForward.why_not(trainer) is None
    assert [module.training for module in trainer.model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not trainer.model.model._forward_hooks
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def gpt2(dropout):
    fields = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    return GPT2LMHeadModel(GPT2Config(vocab_size=48, n_embd=32, n_layer=2, n_head=2, n_positions=256, **fields))


class LastTokenAttention(torch.nn.Module):
    """Attention of an unknown model: outside the interface of transformers, so it cannot know a layout."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, hidden_states, **kwargs):
        kwargs.pop("packed_layout", None)
        return self.inner(hidden_states, **kwargs)


def unknown():
    model = make_family("qwen2")
    for layer in model.model.layers:
        layer.self_attn = LastTokenAttention(layer.self_attn)
    return model


REFUSED = {
    "a window": (lambda: make_family("mistral", sliding_window=16), "sliding_window 16"),
    "absolute positions": (lambda: gpt2(0.0), "log-probabilities differ"),
    "dropout": (lambda: gpt2(0.1), "dropout is active"),
    "dropout of attention": (lambda: make_family("llama", attention_dropout=0.1), "attention_dropout: 0.1"),
    "an unknown attention": (unknown, "log-probabilities differ"),
    "eager attention": (lambda: make_family("llama", attn_implementation="eager"), "'eager' is the model file's own"),
    "moving rotary positions": (
        lambda: make_family("llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}),
        "rope_type dynamic",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_not_be_exact_is_refused(case, tmp_path):
    make, reason = REFUSED[case]
    trainer = make_trainer(tmp_path, make())
    assert reason in PackedForward.why_not(trainer)
    assert not any(module._forward_hooks for module in trainer.model.modules())


def test_virtual_tokens_are_refused(tmp_path):
    adapter = PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    trainer = make_trainer(tmp_path, make_family("llama"), run={"peft_config": adapter})
    assert "virtual tokens" in PackedForward.why_not(trainer)


def test_disabled_dropout_is_none(tmp_path):
    trainer = make_trainer(tmp_path, gpt2(0.1), disable_dropout=True)
    assert "dropout" not in PackedForward.why_not(trainer)


@pytest.mark.parametrize("options", [{}, {"gradient_checkpointing": True, "beta": 0.04, "num_iterations": 2}])
def test_a_run_ends_where_a_run_of_trl_ends(options, tmp_path):
    """Two optimiser steps through `train`, with what TRL computes beside the loss."""

    def run(name, **fast):
        common = {"optim": "sgd", "max_steps": 2, "learning_rate": 0.1, **options}
        path = policy_on_disk(str(tmp_path / "out"), make_tokenizer())
        trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / name), run={"model": path}, **common, **fast)
        trainer.train()
        return trainer

    others = {"fast_micro_batches": False, "fast_skip_zero_advantage": False, "fast_generation": False}
    expected, found = run("expected"), run("found", fast=True, **others)
    assert isinstance(found._fast._forward, PackedForward)
    start = torch.cat([part.flatten() for part in make_grpo_weights(tmp_path)])
    ends = [
        torch.cat([part.detach().flatten() for part in trainer.model.parameters()]) for trainer in (found, expected)
    ]
    assert distance(ends[0] - start, ends[1] - start) <= 1e-5


def make_grpo_weights(folder):
    """Weights that both runs start from."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(Path(folder) / "initial_policy")
    return [part.detach() for part in model.parameters()]
