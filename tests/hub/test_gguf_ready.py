"""A folder that is called ready becomes a GGUF file that computes the same; what would stop the converter is named."""

import json
import shutil

import gguf
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tiny_checkpoints import save_policy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForSequenceClassification,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
)

from trl_r1.chat_template import load_template
from trl_r1.hub.checkpoints.adapters import merge_adapter
from trl_r1.hub.checkpoints.files import finish_checkpoint
from trl_r1.hub.checkpoints.gguf_ready import gguf_problems


@pytest.fixture(scope="module")
def bpe():
    """A byte-level BPE tokenizer with ChatML marks, as Qwen's are made."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["what is three plus four ? think first, then answer"] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = load_template("r1")
    return tokenizer


@pytest.fixture
def folder(tmp_path, bpe):
    folder = save_policy(tmp_path / "stage", bpe, architecture="qwen2")
    finish_checkpoint(folder, kind="grpo")
    return folder


def write_gguf(folder, path):
    """What llama.cpp's converter does, for the two architectures of these tests."""
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    architecture = getattr(gguf.MODEL_ARCH, config["model_type"].upper())
    writer = gguf.GGUFWriter(path, config["model_type"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    vocabulary = tokenizer["model"]["vocab"]
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = sorted(vocabulary | special, key=(vocabulary | special).get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, value in load_file(folder / "model.safetensors").items():
        for part, count in heads.items():
            if part in name and config["model_type"] == "llama":  # pairs side by side instead of halves
                value = value.reshape(count, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_ready_folder_becomes_a_file_that_computes_the_same(tmp_path, bpe, architecture, tied):
    folder = save_policy(tmp_path / "stage", bpe, architecture=architecture, tied=tied)
    finish_checkpoint(folder, kind="grpo")
    assert gguf_problems(folder) == []
    (tmp_path / "gguf").mkdir()
    write_gguf(folder, tmp_path / "gguf" / "model.gguf")
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "gguf", gguf_file="model.gguf", dtype=torch.float32)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        own, other = AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits, read(input_ids=ids).logits
    assert torch.allclose(own, other, rtol=1e-5, atol=1e-6)
    text = "<|im_start|>user\nwhat is three plus four ?<|im_end|>\n"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "gguf", gguf_file="model.gguf")
    assert tokenizer(text)["input_ids"] == bpe(text)["input_ids"]


def test_an_adapter_is_sent_to_its_merged_model(tmp_path, folder, bpe):
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, target_modules="all-linear")
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(tmp_path / "adapter")
    bpe.save_pretrained(tmp_path / "adapter")
    finish_checkpoint(tmp_path / "adapter", kind="grpo")
    [problem] = gguf_problems(tmp_path / "adapter")
    assert "merge it" in problem
    assert gguf_problems(merge_adapter(tmp_path / "adapter")) == []


def test_a_tokenizer_that_llama_cpp_cannot_read_is_named(tmp_path, tokenizer):
    [problem] = gguf_problems(save_policy(tmp_path / "stage", tokenizer))
    assert "model.type is 'WordLevel'" in problem
    shutil.copy(tmp_path / "stage" / "config.json", tmp_path / "stage" / "tokenizer.model")  # its presence is enough
    assert gguf_problems(tmp_path / "stage") == []


def test_a_reward_model_is_named(tmp_path, folder, bpe):
    LlamaForSequenceClassification.from_pretrained(save_policy(tmp_path / "llama", bpe), num_labels=1).save_pretrained(
        tmp_path / "judge"
    )
    bpe.save_pretrained(tmp_path / "judge")
    [problem] = gguf_problems(tmp_path / "judge")
    assert "'score.weight'" in problem


BREAKS = {
    "are pickles": lambda f: torch.save({}, f / "pytorch_model.bin"),
    "no tokenizer.json": lambda f: (f / "tokenizer.json").unlink(),
    "chat template: there is none": lambda f: (f / "chat_template.jinja").unlink(),
    "there are none": lambda f: [path.unlink() for path in f.iterdir()],
}


@pytest.mark.parametrize("message", BREAKS)
def test_what_would_stop_the_converter_is_named(folder, message):
    BREAKS[message](folder)
    assert any(message in problem for problem in gguf_problems(folder))


def test_an_architecture_that_gguf_does_not_name(tmp_path, bpe):
    sizes = {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64, "num_hidden_layers": 1}
    config = OPTConfig(vocab_size=len(bpe), num_attention_heads=2, eos_token_id=bpe.eos_token_id, **sizes)
    OPTForCausalLM(config).save_pretrained(tmp_path)
    bpe.save_pretrained(tmp_path)
    assert gguf_problems(tmp_path) == ["config.json: model_type: 'opt' is no architecture that gguf names"]


def test_float64_is_not_converted(tmp_path, bpe):
    folder = save_policy(tmp_path / "stage", bpe, dtype=torch.float64)
    [problem] = gguf_problems(folder)
    assert "['F64'] are not converted" in problem
    assert gguf_problems(save_policy(tmp_path / "half", bpe, dtype=torch.bfloat16)) == []
