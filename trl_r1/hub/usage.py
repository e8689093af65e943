"""How a checkpoint is used, and whom to cite, as text for its card."""

from __future__ import annotations

from typing import Final

from trl_r1.stage_record import StageRecord


PLAIN_USAGE: Final = """\
It continues plain text; it has not learned to follow instructions or a chat template.

```python
from transformers import pipeline

generate = pipeline("text-generation", model={path!r})
print(generate("...", max_new_tokens=256)[0]["generated_text"])
```"""

TEMPLATE_USAGE: Final = """\
It was trained on one plain-text prompt, not on a chat template; ask it in the same words. Its thoughts stand between
`<think>` and `</think>`, its answer between `<answer>` and `</answer>`; only the answer is meant to be shown.

```python
from transformers import pipeline
from trl_r1.chat_template import ThinkParser, load_prompt_template, render_plain

prompt = render_plain(load_prompt_template({template!r}), "...")
generate = pipeline("text-generation", model={path!r})
text = generate(prompt, max_new_tokens=1024, return_full_text=False)[0]["generated_text"]
print(ThinkParser("r1_zero").parse(text).answer)
```"""

CHAT_USAGE: Final = """\
```python
from transformers import pipeline

chat = pipeline("text-generation", model={path!r})
reply = chat([{{"role": "user", "content": "..."}}], max_new_tokens=1024, do_sample=True, temperature=0.6, top_p=0.95)
print(reply[0]["generated_text"][-1]["content"])  # <think> thoughts </think> answer
```

The usage rules of the DeepSeek-R1 release hold for models trained by its recipe:

- Sample at a temperature between 0.5 and 0.7 (0.6 is recommended); greedy decoding of long thoughts tends to repeat.
- Give no system prompt; put all instructions into the user's message.
- State the task and the form of the answer. Examples in the prompt make it worse.
- For mathematics, ask it to reason step by step and to put the final answer within `\\boxed{{}}`.
- If it skips its thoughts, let its reply begin with `<think>` and a newline
  (`apply_chat_template(..., prefill_think=True)` with the template of trl_r1).
- To measure it, sample several answers a question and average."""

REWARD_USAGE: Final = """\
It gives one number to a conversation, higher for the reply its training pairs preferred. It knows nothing beyond those
pairs; a policy trained hard against it will find what it overlooks.

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({path!r})
model = AutoModelForSequenceClassification.from_pretrained({path!r})
```"""

_R1: Final = """\
@article{deepseek2025r1,
    title   = {{DeepSeek-R1: Incentivizing Reasoning Capability in LLMs via Reinforcement Learning}},
    author  = {{DeepSeek-AI}},
    year    = 2025,
    journal = {arXiv preprint arXiv:2501.12948},
}"""

_GRPO: Final = """\
@article{shao2024deepseekmath,
    title   = {{DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models}},
    author  = {Shao, Zhihong and Wang, Peiyi and Zhu, Qihao and Xu, Runxin and Song, Junxiao and Zhang, Mingchuan and
               Li, Y. K. and Wu, Y. and Guo, Daya},
    year    = 2024,
    journal = {arXiv preprint arXiv:2402.03300},
}"""

_TRL: Final = """\
@software{vonwerra2020trl,
    title   = {{TRL: Transformers Reinforcement Learning}},
    author  = {von Werra, Leandro and Belkada, Younes and Tunstall, Lewis and Beeching, Edward and Thrush, Tristan and
               Lambert, Nathan and Huang, Shengyi and Rasul, Kashif and Gallouedec, Quentin},
    license = {Apache-2.0},
    url     = {https://github.com/huggingface/trl},
    year    = 2020,
}"""


def describe_usage(record: StageRecord) -> str:
    """How to ask the checkpoint of a stage, as Markdown."""
    path = str(record.config.get("hub_model_id") or record.config.get("output_dir") or record.stage)
    if record.kind == "reward_model":
        return REWARD_USAGE.format(path=path)
    if record.config.get("prompt_template"):
        return TEMPLATE_USAGE.format(path=path, template=record.config["prompt_template"])
    return (CHAT_USAGE if record.kind in ("grpo", "sft") else PLAIN_USAGE).format(path=path)


def cite(record: StageRecord) -> str:
    """BibTeX of what the stage builds on."""
    entries = [_R1, _GRPO, _TRL] if record.kind == "grpo" else [_R1, _TRL]
    return "\n\n".join(entries)
