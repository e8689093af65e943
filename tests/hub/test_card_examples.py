"""What a card tells its reader to type runs, word for word, against a Hub that holds what publishing sends."""

import os
import re
import subprocess
import sys
from dataclasses import asdict

import torch
from data_stages import sampled_stage
from fake_run import FakeRun
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForSequenceClassification

from trl_r1.chat_template import load_prompt_template
from trl_r1.hub import create_dataset_card, create_model_card
from trl_r1.hub.checkpoints.files import finish_checkpoint
from trl_r1.hub.publishing import plan_files
from trl_r1.stage_record import describe_artefacts


# Run without trl_r1, as most readers will; each block as it stands, but for the length of what is written.
READER = """
import sys, transformers
sys.modules["trl_r1"] = None
transformers.logging.set_verbosity_error()
for number, block in enumerate(sys.stdin.read().split("\\0")):
    scope = {}
    exec(compile(block, f"example {number}", "exec"), scope)
    model = scope.get("model")
    print("RAN", type(scope.get("train") or model or scope.get("generate") or scope["chat"]).__name__)
"""
LORA = {"init_lora_weights": False, "target_modules": ["q_proj", "v_proj"], "r": 2}


def save_reward_model(folder, tokenizer):
    """A random reward model, as the Trainer leaves it."""
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **size)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Published:
    """Stages of real checkpoints, whose cards and files go to a Hub as `trl-r1 publish` would send them."""

    def __init__(self, run, hub, checkpoint, tokenizer):
        self.run, self.hub, self.checkpoint, self.tokenizer = run, hub, checkpoint, tokenizer
        self.blocks = []

    def stage(self, name, kind, *, template=None, adapter=False):
        """Make one and publish it at its own name, its examples kept."""
        config = {"prompt_template": template} if template else {}
        config |= {"use_peft": True, "lora_r": LORA["r"]} if adapter else {}
        folder = self.run.stage(name, kind, weights=b"none yet", config=config)
        (folder / "model.safetensors").unlink()
        if adapter:
            model = AutoModelForCausalLM.from_pretrained(self.checkpoint)
            model.name_or_path = "me/base"
            get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **LORA)).save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            AutoModelForCausalLM.from_pretrained(self.checkpoint).save_pretrained(folder / "merged")
        elif kind == "reward_model":
            save_reward_model(folder, self.tokenizer)
        else:
            AutoModelForCausalLM.from_pretrained(self.checkpoint).save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        if kind != "script":
            finish_checkpoint(folder, kind=kind, prompt_template=load_prompt_template(template) if template else None)
        self.send(folder, create_model_card)

    def send(self, folder, create_card, repo_type="model"):
        """Write the card and put on the Hub what would be sent."""
        self.run.edit(folder.name, artefacts=[asdict(item) for item in describe_artefacts(folder)])
        text = create_card(folder, repo_id=f"me/{folder.name}")
        self.blocks += re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        for call in re.findall(r"`(from_pretrained\(.*merged.*\))`", text):
            imports = "from huggingface_hub import snapshot_download\nfrom transformers import AutoModelForCausalLM\n"
            self.blocks.append(f"{imports}model = AutoModelForCausalLM.{call}")
        sent = {file.path: (folder / file.path).read_bytes() for file in plan_files(folder)}
        self.hub.seed(f"me/{folder.name}", sent, repo_type=repo_type)


def test_every_example_runs(tmp_path, hub_server, checkpoint, tokenizer):
    hub_server.add_user("me", token="hf_test_token")
    published = Published(FakeRun(tmp_path / "run"), hub_server, checkpoint, tokenizer)
    published.stage("base", "script")
    published.stage("zero", "grpo", template="r1_zero")
    published.stage("chat", "sft")
    published.stage("judge", "reward_model")
    published.stage("chat-adapter", "sft", adapter=True)
    published.stage("zero-adapter", "grpo", template="r1_zero", adapter=True)
    rows = sampled_stage(published.run, "rows")
    published.send(rows, create_dataset_card, repo_type="dataset")
    blocks = [re.sub(r"(max_new_tokens)=\d+", r"\1=4", block) for block in published.blocks]
    environment = os.environ | hub_server.environment(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", READER], input="\0".join(blocks), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("RAN")] == [
        *("TextGenerationPipeline", "TextGenerationPipeline", "TextGenerationPipeline"),
        "LlamaForSequenceClassification",
        *("PeftModelForCausalLM", "LlamaForCausalLM", "TextGenerationPipeline", "LlamaForCausalLM"),
        "Dataset",
    ]
