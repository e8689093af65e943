"""What the packed and the padded pass lean on in torch, transformers and TRL: a release that moves it fails here."""

import inspect
import sys
from pathlib import Path

import pytest
import torch
from accelerate.utils import AutocastKwargs
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from trl.trainer.utils import add_fused_lm_head


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from forward_cases import make_family, make_trainer


HEAD = "trl_r1/trainer/fast/head_positions.py"
ATTENTION = "trl_r1/trainer/fast/packed_attention.py"
PACKED = "trl_r1/trainer/fast/packed_forward.py"
PROBE = "trl_r1/trainer/fast/forward_probe.py"


@pytest.fixture
def model():
    model = make_family("llama")
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model


def test_the_fused_head_takes_labels_and_hidden_states_of_a_length_of_their_own(model):
    model.base_model.register_forward_hook(
        lambda _, args, output: setattr(output, "last_hidden_state", output.last_hidden_state[:, 1:3]) or output
    )
    output = model(input_ids=torch.tensor([[4, 5, 6, 7]]), shift_labels=torch.tensor([[6, 7]]), fused_lm_head=True)
    told = f"the fused head no longer goes by shift_labels and base_model's last_hidden_state: {HEAD}"
    assert output.log_probs.shape == output.entropy.shape == (1, 2), told
    logits = LlamaForCausalLM.forward(model, input_ids=torch.tensor([[4, 5, 6, 7]])).logits
    expected = logits.log_softmax(-1)[0, [0, 1], [6, 7]]  # `logits` came from the two positions that the hook left
    torch.testing.assert_close(output.log_probs[0], expected, msg=told)


def test_keyword_arguments_of_the_model_reach_the_attention(model, monkeypatch):
    seen = []
    original = AttentionInterface()["sdpa"]

    def watch(*args, **kwargs):
        seen.append(kwargs.pop("packed_layout", None))
        return original(*args, **kwargs)

    monkeypatch.setitem(AttentionInterface._global_mapping, "sdpa", watch)
    layout = object()
    model(
        input_ids=torch.tensor([[4, 5]]), shift_labels=torch.tensor([[5, 6]]), fused_lm_head=True, packed_layout=layout
    )
    assert seen == [layout] * 2, (
        f"keyword arguments, or a newly registered function, do not reach attention: {ATTENTION}"
    )


@pytest.mark.parametrize("create", [create_causal_mask, create_sliding_window_causal_mask])
def test_a_mask_of_four_dimensions_is_handed_on(create):
    mask = torch.zeros(1, 1, 1, 1, dtype=torch.bool)
    config = LlamaConfig(sliding_window=4, attn_implementation="sdpa")
    found = create(config, torch.zeros(1, 5, 8), mask, None, position_ids=torch.zeros(1, 5))
    assert found is mask, f"transformers builds a mask of its own over a given one: {PACKED}"


def test_a_configuration_names_its_attention_implementation():
    config = LlamaConfig(attn_implementation="sdpa")
    assert config._attn_implementation == "sdpa", f"the implementation's name is elsewhere: {PACKED}"


def test_flash_attention_of_the_cpu_gives_its_sums_and_takes_joined_ones():
    forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default._schema
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default._schema
    told = f"torch changed its flash attention for the CPU: {ATTENTION}"
    forward_names = ["query", "key", "value", "dropout_p", "is_causal", "attn_mask", "scale"]
    assert [argument.name for argument in forward.arguments] == forward_names, told
    backward_names = ["grad_out", *forward_names[:3], "out", "logsumexp", *forward_names[3:]]
    assert [argument.name for argument in backward.arguments] == backward_names, told
    query, key = torch.randn(1, 4, 3, 8), torch.randn(1, 2, 5, 8)
    _, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, key, 0.0, False, scale=1.0)
    expected = (query @ key.repeat_interleave(2, dim=1).transpose(2, 3)).logsumexp(-1)
    torch.testing.assert_close(sums, expected, msg=told)


def test_the_kernel_for_several_lengths():
    parameters = inspect.signature(varlen_attn).parameters
    expected = ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    told = f"torch changed varlen_attn: {ATTENTION}"
    assert list(parameters)[:7] == expected, told
    assert {"scale", "window_size", "enable_gqa"} <= parameters.keys(), told
    assert "(-1, 0) for causal" in inspect.getdoc(varlen_attn), told


def test_autocast_can_be_switched_off_by_the_handler(tmp_path):
    # The trainer's own: an accelerator made here would meet the precision that an earlier test has set
    accelerator = make_trainer(tmp_path, make_family("llama"), bf16=True).accelerator
    with accelerator.autocast():
        assert torch.is_autocast_enabled("cpu")
    accelerator.autocast_handler = AutocastKwargs(enabled=False)
    with accelerator.autocast():
        assert not torch.is_autocast_enabled("cpu"), f"autocast no longer asks autocast_handler: {PROBE}"
