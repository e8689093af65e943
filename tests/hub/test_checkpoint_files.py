"""A finished checkpoint: sampling, ends, templates, and the folders that are refused."""

import json
import shutil
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_checkpoints import save_policy
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaForSequenceClassification
from transformers.integrations import deepspeed

from trl_r1.chat_template import load_prompt_template
from trl_r1.errors import CheckpointError
from trl_r1.hub.checkpoints import adapters
from trl_r1.hub.checkpoints.adapters import merge_adapter
from trl_r1.hub.checkpoints.files import finish_checkpoint
from trl_r1.hub.checkpoints.prefill import prefill_template, prefills_itself


QUESTION = [{"role": "user", "content": "what is 3 plus 4 ?"}]
# A template in the manner of released chat models: a default system prompt, a switch of its own, a newline at the end.
RELEASED = """\
{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and not enable_thinking %}
        {{- 'no thoughts' }}
    {%- endif %}
{%- endif %}
"""
NO_SYSTEM = """\
{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no system') }}{% endif %}
{{ message.role }}: {{ message.content }}
{% endfor %}{% if add_generation_prompt %}assistant:
{% endif %}"""
OPENS_THOUGHTS = """\
{% for message in messages %}{{ message.role + message.content }}{% endfor %}
{% if add_generation_prompt %}{{ '<think>\\n' }}{% endif %}"""
ENDS_IN_COMMENT = "{% for m in messages %}{{ m.content }}{% endfor %}{# the end #}"


@pytest.fixture
def folder(tmp_path, tokenizer):
    return save_policy(tmp_path / "stage", tokenizer)


def contents(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}


def render(tokenizer, **changes):
    return tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True, **changes)


def test_sampling_is_the_papers(folder, tokenizer):
    finish_checkpoint(folder, kind="grpo")
    content = json.loads((folder / "generation_config.json").read_text())
    del content["transformers_version"]
    assert content == {
        "do_sample": True,
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 0,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    assert GenerationConfig.from_pretrained(folder).top_k == 0


def test_doing_it_again_changes_nothing(folder):
    finish_checkpoint(folder, kind="grpo")
    before = contents(folder)
    finish_checkpoint(folder, kind="grpo")
    assert contents(folder) == before


def test_the_tokenizer_loads_as_before(folder, tokenizer):
    content = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(content | {"is_local": True, "local_files_only": True}))
    finish_checkpoint(folder, kind="grpo")
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded.chat_template == tokenizer.chat_template
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert not {"is_local", "local_files_only"} & set(json.loads((folder / "tokenizer_config.json").read_text()))


@pytest.mark.parametrize("template", [None, RELEASED, RELEASED.rstrip("\n"), NO_SYSTEM, ENDS_IN_COMMENT])
def test_prefill_differs_by_the_tag_alone(folder, tokenizer, template):
    if template:
        loaded = AutoTokenizer.from_pretrained(folder)
        loaded.chat_template = template
        loaded.save_pretrained(folder)
    finish_checkpoint(folder, kind="sft")
    prefill = (folder / "chat_template_prefill.jinja").read_text()
    loaded = AutoTokenizer.from_pretrained(folder)
    assert render(loaded, chat_template=prefill) == render(loaded) + "<think>\n"
    conversation = [*QUESTION, {"role": "assistant", "content": "<think> 7 </think> 7"}]
    plain, other = (
        loaded.apply_chat_template(conversation, chat_template=text, tokenize=False) for text in (None, prefill)
    )
    assert plain == other


def test_our_own_switch_and_the_file_agree(folder):
    finish_checkpoint(folder, kind="sft")
    loaded = AutoTokenizer.from_pretrained(folder)
    prefill = (folder / "chat_template_prefill.jinja").read_text()
    assert render(loaded, chat_template=prefill) == render(loaded, prefill_think=True)


def test_a_template_that_opens_the_thoughts_has_no_variant(folder, caplog):
    loaded = AutoTokenizer.from_pretrained(folder)
    loaded.chat_template = OPENS_THOUGHTS
    assert prefills_itself(loaded)
    assert prefill_template(loaded) is None
    loaded.save_pretrained(folder)
    (folder / "chat_template_prefill.jinja").write_text("of an earlier save")
    with caplog.at_level("INFO", logger="trl_r1"):
        finish_checkpoint(folder, kind="sft")
    assert not (folder / "chat_template_prefill.jinja").exists()
    assert "opens the thoughts itself" in caplog.text


@pytest.mark.parametrize("template", ["{% if %}", "{{ 1 / 0 }}", {"default": RELEASED, "other": RELEASED}])
def test_a_template_that_cannot_be_changed_has_no_variant(tokenizer, tmp_path, template):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    loaded.chat_template = template
    assert prefill_template(loaded) is None


@pytest.mark.parametrize(
    ("name", "has_variant"),
    [("qwen2_5", True), ("qwen3", True), ("llama3_1", True), ("deepseek_r1_distill", False), ("qwen3_5_think", False)],
)
def test_templates_of_released_models(tokenizer, tmp_path, name, has_variant):
    """As TRL ships them: the distilled models open the thoughts themselves."""
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    loaded.chat_template = (files("trl") / "chat_templates" / f"{name}.jinja").read_text()
    variant = prefill_template(loaded)
    assert (variant is not None, prefills_itself(loaded)) == (has_variant, not has_variant)
    assert render(loaded, chat_template=variant).endswith("<think>\n")


def test_r1_zero_comes_with_its_prompt(folder):
    template = load_prompt_template("r1_zero")
    finish_checkpoint(folder, kind="grpo", prompt_template=template)
    assert (folder / "prompt_template.txt").read_text() == template
    assert not (folder / "chat_template_prefill.jinja").exists()
    finish_checkpoint(folder, kind="sft")  # trained on, by chat
    assert not (folder / "prompt_template.txt").exists()
    assert (folder / "chat_template_prefill.jinja").exists()


def test_a_prompt_that_cannot_be_filled_is_refused_before_anything_is_written(folder):
    before = contents(folder)
    with pytest.raises(CheckpointError, match="prompt_template"):
        finish_checkpoint(folder, kind="grpo", prompt_template="no field")
    assert contents(folder) == before


def end_ids(folder):
    return GenerationConfig.from_pretrained(folder).eos_token_id


def test_ends_that_the_model_declares_are_kept(folder, tokenizer):
    GenerationConfig(eos_token_id=[2, 9], repetition_penalty=1.1, top_k=20, do_sample=True).save_pretrained(folder)
    finish_checkpoint(folder, kind="grpo", prompt_template="{prompt}")
    assert end_ids(folder) == [2, 9]
    assert GenerationConfig.from_pretrained(folder).repetition_penalty is None


def test_the_end_of_a_turn_stops_a_chat_but_not_a_plain_prompt(tmp_path, tokenizer):
    """Tokenizers of base models end with the document, chat templates with the turn."""
    own = AutoTokenizer.from_pretrained(save_policy(tmp_path / "stage", tokenizer))
    end, turn = own.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    own.eos_token, own.pad_token = "<|endoftext|>", "<|unk|>"
    folder = save_policy(tmp_path / "base", own)
    finish_checkpoint(folder, kind="grpo", prompt_template="{prompt}")
    assert end_ids(folder) == end
    finish_checkpoint(folder, kind="sft")
    assert end_ids(folder) == [end, turn]


def test_a_reward_model_gets_no_sampling(tmp_path, folder, tokenizer):
    model = LlamaForSequenceClassification.from_pretrained(folder, num_labels=1)
    model.save_pretrained(tmp_path / "judge")
    tokenizer.save_pretrained(tmp_path / "judge")
    finish_checkpoint(tmp_path / "judge", kind="reward_model")
    assert {path.name for path in (tmp_path / "judge").iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }


def test_shards_are_checked(tmp_path, folder, tokenizer):
    sharded = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(sharded, max_shard_size="20KB")
    tokenizer.save_pretrained(sharded)
    assert len(list(sharded.glob("*.safetensors"))) > 1
    finish_checkpoint(sharded, kind="sft")
    shutil.copy(folder / "model.safetensors", sharded)
    with pytest.raises(CheckpointError, match=r"'model.safetensors'\] are not in .*delete them"):
        finish_checkpoint(sharded, kind="sft")
    (sharded / "model.safetensors").unlink()
    index = sharded / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    moved = {"model.norm.weight": next(name for name in places.values() if name != places["model.norm.weight"])}
    edit_json(index, weight_map=places | moved)
    with pytest.raises(CheckpointError, match=r"1 tensors such as 'model.norm.weight' are not in the file it names"):
        finish_checkpoint(sharded, kind="sft")
    edit_json(index, weight_map=places)
    next(sharded.glob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="which are not there"):
        finish_checkpoint(sharded, kind="sft")
    for text in ("{", "{}", "[]"):
        index.write_text(text)
        with pytest.raises(CheckpointError, match=r"index.json: damaged"):
            finish_checkpoint(sharded, kind="sft")


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def drop_tensor(folder, name):
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


BREAKS = {
    "are pickles": lambda f: torch.save({}, f / "pytorch_model.bin"),
    "there are none": lambda f: (f / "model.safetensors").unlink(),
    "not a whole safetensors file": lambda f: (f / "model.safetensors").write_bytes(
        (f / "model.safetensors").read_bytes()[:-9]
    ),
    "1 missing for config.json, such as model.norm.weight": lambda f: drop_tensor(f, "model.norm.weight"),
    "unexpected for config.json": lambda f: edit_json(f / "config.json", num_hidden_layers=1),
    "they do not fit config.json (StrictDataclass": lambda f: edit_json(f / "config.json", num_attention_heads="two"),
    "do not fit config.json": lambda f: edit_json(f / "config.json", hidden_size=64),
    "is no model of transformers": lambda f: edit_json(f / "config.json", architectures=["MyOwn"]),
    "must be model.safetensors alone": lambda f: shutil.copy(f / "model.safetensors", f / "other.safetensors"),
    "generation_config.json: not valid JSON": lambda f: (f / "generation_config.json").write_text("{"),
    "no tokenizer.json": lambda f: (f / "tokenizer.json").unlink(),
    "tokenizer does not load": lambda f: (f / "tokenizer.json").write_text("{}"),
    "eos_token: the tokenizer names none": lambda f: edit_json(f / "tokenizer_config.json", eos_token=None),
    "config.json": lambda f: (f / "config.json").unlink(),
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_folder_that_is_not_whole_is_refused(folder, message):
    BREAKS[message](folder)
    before = contents(folder)
    with pytest.raises(CheckpointError) as caught:
        finish_checkpoint(folder, kind="grpo")
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert contents(folder) == before


def test_a_model_with_code_of_its_own_is_not_run(folder, caplog):
    edit_json(folder / "config.json", architectures=["MyOwn"], auto_map={"AutoModelForCausalLM": "modeling.MyOwn"})
    finish_checkpoint(folder, kind="grpo")
    assert "brings its own code" in caplog.text


def add_token(folder):
    loaded = AutoTokenizer.from_pretrained(folder)
    loaded.add_tokens(["<new>"])
    loaded.save_pretrained(folder)


DISAGREE = {
    "dtype is bfloat16, but the weights are ['float32']": lambda f: edit_json(f / "config.json", dtype="bfloat16"),
    "the tokenizer ends with 3": lambda f: edit_json(f / "tokenizer_config.json", eos_token="<|unk|>"),
    "embeddings; a text with one of the others": add_token,
}


@pytest.mark.parametrize("message", DISAGREE)
def test_what_can_be_mended_in_a_text_file_does_not_cost_a_training(folder, message, caplog):
    """Gemma 3, for one, has a token more than embeddings: its training must not fail at the end for it."""
    DISAGREE[message](folder)
    finish_checkpoint(folder, kind="grpo")
    assert message in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_checkpoint_as_it_was_saved_warns_of_nothing(tmp_path, tokenizer, dtype, caplog):
    finish_checkpoint(save_policy(tmp_path / "stage", tokenizer, dtype=dtype), kind="grpo")
    assert not [record for record in caplog.records if record.name.startswith("trl_r1") and record.levelname != "INFO"]


def save_adapter(folder, base):
    torch.manual_seed(1)
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, target_modules=["q_proj", "down_proj"], r=4)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def test_an_adapter_takes_over_what_its_base_ends_with(tmp_path, folder):
    GenerationConfig(eos_token_id=[2, 9]).save_pretrained(folder)
    stage = save_adapter(tmp_path / "adapter", folder)
    finish_checkpoint(stage, kind="sft")
    assert end_ids(stage) == [2, 9]
    before = contents(stage)
    finish_checkpoint(stage, kind="sft")
    assert contents(stage) == before


def test_an_adapter_whose_base_is_not_here_ends_as_its_tokenizer_does(tmp_path, folder):
    stage = save_adapter(tmp_path / "adapter", folder)
    edit_json(stage / "adapter_config.json", base_model_name_or_path="org/elsewhere")
    finish_checkpoint(stage, kind="sft")
    assert end_ids(stage) == 2
    with pytest.raises(CheckpointError, match=r"'org/elsewhere' \(revision main\) does not load"):
        merge_adapter(stage)


def test_an_adapter_without_its_weights_is_refused(tmp_path, folder):
    stage = save_adapter(tmp_path / "adapter", folder)
    (stage / "adapter_model.safetensors").rename(stage / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"no adapter_model.safetensors beside adapter_config.json"):
        finish_checkpoint(stage, kind="sft")


def test_an_adapter_for_another_task_is_not_merged(tmp_path, folder):
    stage = save_adapter(tmp_path / "adapter", folder)
    edit_json(stage / "adapter_config.json", task_type="SEQ_2_SEQ_LM")
    with pytest.raises(CheckpointError, match="task_type: 'SEQ_2_SEQ_LM' cannot be merged here"):
        merge_adapter(stage)


def test_an_adapter_that_does_not_reach_the_model_is_not_merged(tmp_path, folder, monkeypatch):
    """It would look merged, and be the base."""
    stage = save_adapter(tmp_path / "adapter", folder)
    monkeypatch.setattr(adapters, "load_adapter", lambda base, folder: base)
    with pytest.raises(CheckpointError, match="are not zero, but the adapter's logits are the base's"):
        merge_adapter(stage)
    assert not (stage / "merged").exists()


def test_the_revision_of_a_hub_base_is_written_down(tmp_path, folder):
    stage = save_adapter(tmp_path / "adapter", folder)
    finish_checkpoint(stage, kind="sft", base_revision="abc123")
    assert json.loads((stage / "adapter_config.json").read_text())["revision"] is None  # a folder has none
    edit_json(stage / "adapter_config.json", base_model_name_or_path="org/model")
    finish_checkpoint(stage, kind="sft", base_revision="abc123")
    assert json.loads((stage / "adapter_config.json").read_text())["revision"] == "abc123"


class ZeRO3:
    """What accelerate leaves behind after training under ZeRO-3. Loading for it needs deepspeed."""

    config = {}  # noqa: RUF012

    def is_zero3(self):
        return True


def test_one_process_alone_can_finish_what_zero3_trained(tmp_path, folder):
    adapter = save_adapter(tmp_path / "adapter", folder)
    active = ZeRO3()
    deepspeed.set_hf_deepspeed_config(active)
    try:
        with pytest.raises((ImportError, ValueError)):
            AutoModelForCausalLM.from_pretrained(folder, device_map={"": "meta"})
        finish_checkpoint(folder, kind="grpo")
        finish_checkpoint(adapter, kind="grpo")
        merge_adapter(adapter)
        assert deepspeed.is_deepspeed_zero3_enabled()
    finally:
        deepspeed.unset_hf_deepspeed_config()


ELSEWHERE = """
import sys
sys.modules["trl_r1"] = None  # not installed there
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

model, adapter = sys.argv[1:]
for folder in (model, adapter + "/merged"):
    policy, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    question = [{"role": "user", "content": "what is 3 plus 4 ?"}]
    inputs = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert policy.generate(**inputs, max_new_tokens=4).shape[1] > inputs["input_ids"].shape[1]
    reply = pipeline("text-generation", model=folder)(question, max_new_tokens=4)[0]["generated_text"][-1]
    assert reply["role"] == "assistant", reply
ids = torch.tensor([[5, 6, 7]])
peft = AutoPeftModelForCausalLM.from_pretrained(adapter)(input_ids=ids).logits
direct = AutoModelForCausalLM.from_pretrained(adapter)(input_ids=ids).logits
merged = AutoModelForCausalLM.from_pretrained(adapter + "/merged")(input_ids=ids).logits
assert torch.allclose(peft, merged, rtol=1e-4, atol=1e-5) and torch.allclose(direct, merged, rtol=1e-4, atol=1e-5)
print("loaded")
"""


def test_loads_where_trl_r1_is_not_installed(tmp_path, folder):
    finish_checkpoint(folder, kind="grpo")
    adapter = save_adapter(tmp_path / "adapter", folder)
    finish_checkpoint(adapter, kind="grpo")
    merge_adapter(adapter)
    command = [sys.executable, "-W", "ignore", "-c", ELSEWHERE, str(folder), str(adapter)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.strip().endswith("loaded"), run.stderr[-2000:]
