"""How a checkpoint is used, and whom to cite, for its card."""

from __future__ import annotations

from typing import Final

from trl_r1.stage_record import StageRecord


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


def usage_kind(record: StageRecord) -> str:
    """Which part of the card's usage section fits: `"reward_model"`, `"template"`, `"chat"` or `"plain"`."""
    if record.kind == "reward_model":
        return "reward_model"
    if record.config.get("prompt_template"):
        return "template"
    return "chat" if record.kind in ("grpo", "sft") else "plain"


def cite(record: StageRecord) -> str:
    """BibTeX of what the stage builds on."""
    entries = [_R1, _GRPO, _TRL] if record.kind == "grpo" else [_R1, _TRL]
    return "\n\n".join(entries)
