"""Merging: the merged folder computes what the adapter does, and is whole; what cannot be merged is refused."""

import dataclasses
import json
import shlex
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_checkpoints import save_policy
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForSequenceClassification

from trl_r1.errors import CheckpointError
from trl_r1.hub.checkpoints import adapters
from trl_r1.hub.checkpoints.adapters import loadable_checkpoint, merge_adapter
from trl_r1.hub.checkpoints.files import finish_checkpoint
from trl_r1.hub.checkpoints.merge_record import read_merge_record
from trl_r1.stage_record import hash_weights


LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora(**changes):
    return LoraConfig(
        **{"task_type": "CAUSAL_LM", "init_lora_weights": False, "target_modules": LINEAR, "r": 4} | changes
    )


def save_adapter(folder, base, config, *, edit=None, resize=0):
    """An adapter of random weights on `base`, as a stage leaves it behind."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    if resize:
        tokenizer.add_tokens([f"<new{number}>" for number in range(resize)])
        model.resize_token_embeddings(len(tokenizer))
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if any(part in name for part in ("modules_to_save", "trainable_tokens_delta", "lora_magnitude_vector")):
            parameter.data += 0.1 * torch.randn_like(parameter)
        if edit:
            edit(name, parameter)
    wrapped.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    finish_checkpoint(folder, kind="grpo")
    return folder


def logits(model, ids):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits.float()


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer):
    return save_policy(tmp_path_factory.mktemp("base"), tokenizer)


@pytest.mark.parametrize(
    ("changes", "tied", "resize"),
    [
        ({}, True, 0),
        ({"target_modules": ["q_proj"], "use_rslora": True, "r": 8, "lora_alpha": 32}, True, 0),
        ({"use_dora": True}, True, 0),
        ({"modules_to_save": ["embed_tokens"]}, True, 0),
        ({"modules_to_save": ["lm_head"]}, True, 0),
        ({"modules_to_save": ["embed_tokens", "lm_head"]}, False, 0),
        ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True, 0),
        ({"target_modules": [*LINEAR, "lm_head"]}, True, 0),
        ({"target_modules": [*LINEAR, "embed_tokens"]}, True, 0),
        ({"target_modules": "all-linear", "bias": "none"}, False, 0),
        ({"trainable_token_indices": [5, 7]}, True, 0),
        ({"modules_to_save": ["embed_tokens", "lm_head"]}, False, 3),
        ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True, 3),
        ({"trainable_token_indices": [43, 44]}, True, 2),
    ],
)
def test_merged_model_is_the_adapter(tmp_path, tokenizer, changes, tied, resize):
    base = save_policy(tmp_path / "base", tokenizer, tied=tied)
    folder = save_adapter(tmp_path / "stage", base, lora(**changes), resize=resize)
    merged = AutoModelForCausalLM.from_pretrained(merge_adapter(folder))
    model = AutoModelForCausalLM.from_pretrained(base)
    if resize:
        model.resize_token_embeddings(merged.config.vocab_size)
    before = logits(model, range(merged.config.vocab_size))
    adapter = logits(PeftModel.from_pretrained(model, folder), range(merged.config.vocab_size))
    after = logits(merged, range(merged.config.vocab_size))
    assert (after - adapter).norm() < 1e-5 * adapter.norm()
    assert (after - before).norm() > 1e-3 * adapter.norm()
    record = read_merge_record(folder / "merged")
    assert record.difference_on_disk < 1e-5 < 1e-3 < record.change
    assert (record.dtype, record.notes) == ("float32", [])
    assert record.base_weights_sha256 == hash_weights(base)


def test_merged_folder_is_complete(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    merged = merge_adapter(folder)
    names = {path.name for path in merged.iterdir()}
    assert names == {
        *("model.safetensors", "config.json", "generation_config.json", "merge.json", "tokenizer.json"),
        *("tokenizer_config.json", "chat_template.jinja", "chat_template_prefill.jinja"),
    }
    finish_checkpoint(merged, kind="grpo")  # finds nothing to mend
    assert (merged / "generation_config.json").read_bytes() == (folder / "generation_config.json").read_bytes()
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"merged"}


def test_a_stage_with_a_merged_model_keeps_the_hash_of_its_adapter(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    before = hash_weights(folder)
    merge_adapter(folder)
    assert hash_weights(folder) == before


def test_merging_again_does_nothing_until_the_adapter_changes(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    merged = merge_adapter(folder)
    first = (merged / "model.safetensors").stat().st_mtime_ns  # reading it may change the time of the last access
    assert (merge_adapter(folder) / "model.safetensors").stat().st_mtime_ns == first
    save_adapter(folder, base, lora(r=2))
    with pytest.raises(CheckpointError, match="was trained on since it was merged"):
        loadable_checkpoint(str(folder))
    assert (merge_adapter(folder) / "model.safetensors").stat().st_mtime_ns != first
    assert loadable_checkpoint(str(folder)) == str(merged)


def test_a_damaged_merged_model_is_made_again(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    weights = merge_adapter(folder) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8] + b"\x00" * 8)
    merge_adapter(folder)
    assert weights.read_bytes() == whole


def test_bfloat16_base_gives_bfloat16_weights(tmp_path, tokenizer):
    base = save_policy(tmp_path / "base", tokenizer, dtype=torch.bfloat16)
    folder = save_adapter(tmp_path / "stage", base, lora())
    merged = AutoModelForCausalLM.from_pretrained(merge_adapter(folder))
    record = read_merge_record(folder / "merged")
    assert merged.dtype == torch.bfloat16
    assert record.difference_in_memory < 1e-5 < record.difference_on_disk < record.change / 2


def test_a_change_below_the_rounding_is_kept_in_float32(tmp_path, tokenizer):
    base = save_policy(tmp_path / "base", tokenizer, dtype=torch.bfloat16)

    def small(name, parameter):
        if "lora_B" in name:
            parameter.data *= 1e-4

    folder = save_adapter(tmp_path / "stage", base, lora(), edit=small)
    merged = AutoModelForCausalLM.from_pretrained(merge_adapter(folder))
    record = read_merge_record(folder / "merged")
    assert merged.dtype == torch.float32
    assert record.difference_on_disk < 1e-5
    assert "would swallow" in record.notes[0]


def test_an_adapter_that_changes_nothing_is_said_to(tmp_path, base, caplog):
    folder = save_adapter(tmp_path / "stage", base, lora(init_lora_weights=True))
    merge_adapter(folder)
    assert read_merge_record(folder / "merged").change == 0
    assert "the adapter changes nothing" in caplog.text


def test_an_adapter_that_does_not_reach_the_model_is_refused(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name.replace("layers.", "blocks."): value for name, value in weights.items()},
        folder / "adapter_model.safetensors",
    )
    with pytest.raises(CheckpointError, match="does not fit its base"):
        merge_adapter(folder)
    assert not (folder / "merged").exists()


def test_unequal_logits_leave_nothing_behind(tmp_path, base, monkeypatch):
    folder = save_adapter(tmp_path / "stage", base, lora())

    def merge_wrongly(wrapped):
        model = merge(wrapped)
        model.model.layers[1].mlp.down_proj.weight.data[0, 0] += 0.01
        return model

    merge = adapters.merge
    monkeypatch.setattr(adapters, "merge", merge_wrongly)
    with pytest.raises(CheckpointError, match=r"logits differ by [\d.e-]+, 1e-05 is allowed"):
        merge_adapter(folder)
    assert [path for path in folder.iterdir() if path.is_dir()] == []


def test_a_model_saved_wrongly_leaves_nothing_behind(tmp_path, base, monkeypatch):
    folder = save_adapter(tmp_path / "stage", base, lora())

    def damage(target, _):
        weights = load_file(target / "model.safetensors")
        weights["model.norm.weight"] += 0.01
        save_file(weights, target / "model.safetensors", metadata={"format": "pt"})

    take_over = adapters._take_over
    monkeypatch.setattr(
        adapters, "_take_over", lambda folder, target: (take_over(folder, target), damage(target, folder))
    )
    with pytest.raises(CheckpointError, match="merged and read back is not the adapter"):
        merge_adapter(folder)
    assert [path for path in folder.iterdir() if path.is_dir()] == []


def test_weights_that_are_no_numbers_are_refused(tmp_path, base):
    def poison(name, parameter):
        if "lora_B" in name:
            parameter.data[0, 0] = float("nan")

    folder = save_adapter(tmp_path / "stage", base, lora(), edit=poison)
    with pytest.raises((CheckpointError), match="NaNs detected"):
        merge_adapter(folder)
    assert not (folder / "merged").exists()


def test_quantised_training_is_said(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    (folder / "resolved_config.yaml").write_text("load_in_4bit: true\nuse_peft: true\n")
    merge_adapter(folder)
    assert "load_in_4bit; merged into the unquantised base" in read_merge_record(folder / "merged").notes[0]


def test_a_base_stored_quantised_is_refused(tmp_path, tokenizer):
    base = save_policy(tmp_path / "base", tokenizer)
    folder = save_adapter(tmp_path / "stage", base, lora())
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="stored quantised"):
        merge_adapter(folder)


def test_a_base_that_is_gone_is_named(tmp_path, tokenizer):
    base = save_policy(tmp_path / "base", tokenizer)
    folder = save_adapter(tmp_path / "stage", base, lora())
    shutil.rmtree(base)
    with pytest.raises(CheckpointError, match="base_model_name_or_path"):
        merge_adapter(folder)


def test_what_is_no_lora_is_refused(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(CheckpointError, match="cannot be merged"):
        merge_adapter(folder)


def test_what_is_no_adapter_is_refused(tmp_path, base):
    with pytest.raises(CheckpointError, match="no adapter to merge"):
        merge_adapter(base)
    with pytest.raises(CheckpointError, match="no adapter to merge"):
        merge_adapter(tmp_path)


def test_an_adapter_of_a_reward_model_merges(tmp_path, tokenizer):
    base = save_policy(tmp_path / "base", tokenizer)
    torch.manual_seed(1)
    model = LlamaForSequenceClassification.from_pretrained(base, num_labels=1)
    wrapped = get_peft_model(model, lora(task_type="SEQ_CLS", modules_to_save=["score"]))
    wrapped.save_pretrained(tmp_path / "stage")
    tokenizer.save_pretrained(tmp_path / "stage")
    finish_checkpoint(tmp_path / "stage", kind="reward_model")
    merged = LlamaForSequenceClassification.from_pretrained(merge_adapter(tmp_path / "stage"))
    assert torch.allclose(logits(merged, [7, 8, 9]), logits(wrapped, [7, 8, 9]), rtol=1e-5)
    assert not (tmp_path / "stage" / "merged" / "generation_config.json").exists()


def test_trainers_start_from_the_merged_model(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    with pytest.raises(CheckpointError, match="was not merged; merge it: python -c"):
        loadable_checkpoint(str(folder))
    merged = merge_adapter(folder)
    assert loadable_checkpoint(str(folder)) == str(merged)
    assert loadable_checkpoint(str(base)) == str(base)
    assert loadable_checkpoint("org/model") == "org/model"


def test_damaged_merge_record_is_named(tmp_path, base):
    merged = merge_adapter(save_adapter(tmp_path / "stage", base, lora()))
    record = dataclasses.asdict(read_merge_record(merged))
    del record["change"]
    (merged / "merge.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="no record of a merge"):
        read_merge_record(merged)
    merge_adapter(merged.parent)
    assert read_merge_record(merged).change > 0


def test_what_a_killed_merge_left_is_taken_away(tmp_path, base):
    folder = save_adapter(tmp_path / "stage", base, lora())
    (folder / ".merged.1.partial").mkdir()
    merge_adapter(folder)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"merged"}


def test_the_command_that_merges_can_be_pasted(tmp_path, base):
    folder = save_adapter(tmp_path / "it's a 模型", base, lora())
    with pytest.raises(CheckpointError) as caught:
        loadable_checkpoint(str(folder))
    *_, code = shlex.split(str(caught.value).partition("merge it: ")[2])
    exec(code)
    assert loadable_checkpoint(str(folder)) == str(folder / "merged")


@pytest.mark.parametrize("content", ["{", "{}", '{"peft_type": "NONE"}'])
def test_a_damaged_adapter_is_named(tmp_path, base, content):
    folder = save_adapter(tmp_path / "stage", base, lora())
    (folder / "adapter_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"adapter_config.json is damaged|base_model_name_or_path"):
        merge_adapter(folder)
