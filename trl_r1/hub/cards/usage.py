"""How a checkpoint is used, and whom to cite, for its card."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from trl_r1.hub.cards.markdown import fenced, inline_code, visible
from trl_r1.hub.cards.metadata import is_adapter
from trl_r1.hub.checkpoints.checks import ADAPTER_CONFIG
from trl_r1.hub.checkpoints.files import PREFILL_TEMPLATE, PROMPT_TEMPLATE
from trl_r1.stage_record import MERGED_NAME, StageRecord, read_stage_record, stage_folder


_R1: Final = """\
@article{deepseek2025r1,
    title   = {{DeepSeek-R1 incentivizes reasoning in LLMs through reinforcement learning}},
    author  = {Guo, Daya and Yang, Dejian and Zhang, Haowei and Song, Junxiao and others},
    year    = 2025,
    journal = {Nature},
    volume  = 645,
    pages   = {633--638},
    doi     = {10.1038/s41586-025-09422-z},
    note    = {arXiv:2501.12948},
}"""

_GRPO: Final = """\
@article{shao2024deepseekmath,
    title   = {{DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models}},
    author  = {Shao, Zhihong and Wang, Peiyi and Zhu, Qihao and Xu, Runxin and Song, Junxiao and Zhang, Mingchuan and
               Li, Y. K. and Wu, Y. and Guo, Daya},
    year    = 2024,
    journal = {arXiv preprint arXiv:2402.03300},
}"""

_ON_POLICY: Final = """\
@inproceedings{agarwal2024onpolicy,
    title     = {{On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes}},
    author    = {Agarwal, Rishabh and Vieillard, Nino and Zhou, Yongchao and Stanczyk, Piotr and Ramos, Sabela and
                 Geist, Matthieu and Bachem, Olivier},
    booktitle = {International Conference on Learning Representations},
    year      = 2024,
    url       = {https://openreview.net/forum?id=3zKtaqxLhW},
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


@dataclass(frozen=True, slots=True)
class HubPlace:
    """
    Where a reader loads a checkpoint from: a Hub id with its branch or tag, or a folder.

    Args:
        path (`str`):
            The id, or the folder.
        revision (`str`, *optional*):
            Branch or tag; the main one by default.
        on_hub (`bool`, *optional*):
            Whether it is an id.
        is_merged (`bool`, *optional*):
            Whether the merged form of the adapter that lies there is meant.
    """

    path: str
    revision: str | None = None
    on_hub: bool = False
    is_merged: bool = False

    @property
    def python(self) -> str:
        """
        The arguments of `from_pretrained`, as Python.

        A merged form not by `subfolder`: where `peft` is installed, transformers would follow the adapter beside it to
        its base.
        """
        if not self.is_merged:
            return _quoted(self.path) + self.python_revision
        if not self.on_hub:
            return _quoted(f"{self.path}/{MERGED_NAME}")
        return f'snapshot_download({_quoted(self.path)}{self.python_revision}, allow_patterns="merged/*") + "/merged"'

    @property
    def python_revision(self) -> str:
        """The argument after others."""
        return f", revision={_quoted(self.revision)}" if self.revision else ""

    def open_file(self, name: str) -> str:
        """Python that reads one of its files."""
        if self.on_hub:
            return f"open(hf_hub_download({_quoted(self.path)}, {_quoted(name)}{self.python_revision})).read()"
        return f"open({_quoted(f'{self.path}/{name}')}).read()"

    @property
    def code(self) -> str:
        """Its name, as inline code."""
        return f"{'the merged form of ' if self.is_merged else ''}{inline_code(self.path)}"

    @property
    def serve(self) -> str:
        """The command that serves it with vLLM, as a code block."""
        revision = ["--revision", self.revision] if self.revision else []
        return fenced(shlex.join(["vllm", "serve", self.path, *revision]), "bash")

    @property
    def merged(self) -> str:
        """Python that loads the merged form of an adapter, as inline code."""
        return inline_code(f"from_pretrained({replace(self, is_merged=True).python})")


def hub_place(folder: Path, record: StageRecord, repo_id: str | None = None) -> HubPlace:
    """Where a checkpoint is about to be published (`repo_id`), was published, is to be published, or lies."""
    from trl_r1.hub.publishing.published import read_published

    published = read_published(folder)
    config = record.config
    if repo_id is not None and published.get("repo_id") != repo_id:
        path, revision = repo_id, config.get("hub_revision")
    elif isinstance(published.get("repo_id"), str):
        path, revision = published["repo_id"], published.get("revision")
    elif config.get("hub_model_id"):
        path, revision = str(config["hub_model_id"]), config.get("hub_revision")
    else:
        return HubPlace(str(config.get("output_dir") or record.stage))
    return HubPlace(path, _branch(revision), on_hub=True)


def base_in_a_folder(folder: Path) -> HubPlace | None:
    """
    Where a reader finds the base that an adapter names by a folder; `None` if it names one of the Hub.

    The folder may be the merged form of another adapter, which lies on the Hub within that one's repository.
    """
    from trl_r1.hub.lineage.file import published_id
    from trl_r1.hub.publishing.published import read_published

    try:
        name = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    if not name or not (Path(name).is_absolute() or Path(name).exists() or str(name).count("/") > 1):
        return None
    home = stage_folder(Path(name))
    repo_id = published_id(home, read_stage_record(home)) if home else None
    if home is None or repo_id is None:
        return HubPlace(str(name))
    branch = _branch(read_published(home).get("revision"))
    return HubPlace(repo_id, branch, on_hub=True, is_merged=home != Path(name))


def _branch(revision: Any) -> str | None:
    """What must be said to load it: nothing of the main branch."""
    return None if revision in (None, "main") else str(revision)


def usage_section(folder: Path, record: StageRecord, repo_id: str | None = None) -> dict[str, Any]:
    """What the usage section of a card is filled with."""
    names = {artefact.path for artefact in record.artefacts}
    template = record.config.get("prompt_template")
    base = base_in_a_folder(folder) if is_adapter(record) else None
    return {
        "kind": usage_kind(record),
        "place": hub_place(folder, record, repo_id),
        "adapter": is_adapter(record),
        "base": base,
        "fetched": base is not None and base.is_merged,
        "merged": (folder / MERGED_NAME / "config.json").is_file(),
        "prefill": PREFILL_TEMPLATE if PREFILL_TEMPLATE in names else "",
        "prompt_file": PROMPT_TEMPLATE if PROMPT_TEMPLATE in names else "",
        "template": _quoted(str(template)) if template else "",
    }


def usage_kind(record: StageRecord) -> str:
    """Which part of the card's usage section fits: `"reward_model"`, `"template"`, `"chat"` or `"plain"`."""
    if record.kind == "reward_model":
        return "reward_model"
    if record.config.get("prompt_template"):
        return "template"
    return "chat" if record.kind in ("grpo", "sft", "distill") else "plain"


def cite(record: StageRecord) -> str:
    """BibTeX of what the stage builds on."""
    method = {"grpo": [_GRPO], "distill": [_ON_POLICY]}.get(record.kind, [])
    return "\n\n".join([_R1, *method, _TRL])


def _quoted(text: str) -> str:
    """A text as a Python string of one line."""
    return json.dumps(visible(text), ensure_ascii=False)
