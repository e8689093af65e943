"""A small ancestry on disk: a base, data sampled from a policy, and the SFT on it."""

import time

import pytest
from fake_run import FakeRun, measured
from huggingface_hub import close_session, constants
from loopback_hub import LoopbackHub

from trl_r1.hub.cards.text import seal
from trl_r1.hub.publishing import access
from trl_r1.stage_record import DataSource, Measurement, RewardUse, hash_weights


@pytest.fixture
def ancestry(tmp_path):
    """base -> zero -> data -> cold (also from base)."""
    made = FakeRun(tmp_path / "run")
    made.stage("base", "script", weights=b"base", config={"script": "make_base.py"})
    made.stage(
        "zero",
        "grpo",
        weights=b"zero",
        parents=[("base", "base"), ("org/judge", "reward_model")],
        config={"prompt_template": "r1_zero", "max_steps": 3},
        rewards=[
            RewardUse(name="accuracy_reward", weight=1.0),
            RewardUse(name="length|reward", weight=0.1, parameters={"limit": 3}),
        ],
        data=[
            DataSource(
                source="org/questions",
                split="train",
                fingerprint="f" * 64,
                rows_in=10,
                rows_kept=8,
                dropped={"unusable gold": 2},
            )
        ],
        metrics={"reward": Measurement(value=0.75), "rewards/accuracy_reward/mean": Measurement(value=0.5)},
        template={"prompt_template": "a" * 64},
    )
    made.stage("data", "rejection_sample", parents=[("zero", "teacher")])
    made.stage(
        "cold",
        "sft",
        weights=b"cold",
        parents=[("base", "base")],
        data=[
            DataSource(source=str(made.folder / "data"), split="train", fingerprint="0" * 64, rows_in=5, rows_kept=5)
        ],
    )
    return made


@pytest.fixture
def evaluated(ancestry):
    """The ancestry with a stage that evaluated `zero`."""
    entry = measured(hash_weights(ancestry.folder / "zero"))
    ancestry.stage("evaluation", "evaluate", parents=[("zero", "evaluated")], evaluations=[entry])
    return ancestry


TOKEN = "hf_" + "Canary" * 6


@pytest.fixture
def online(monkeypatch):
    """A Hub that this process may reach, where `me` writes, also for `lab`; waiting takes no time."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with LoopbackHub(multipart_threshold=50_000, part_size=16_000, page_size=4) as hub:
        hub.add_user("me", token=TOKEN, orgs={"lab": "write", "club": "read", "guild": "contributor"})
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(access, "_answers", {})  # another test's Hub may have had this port
        yield hub
    close_session()


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished stage, with what a training leaves there: some of it is for nobody else."""
    made = FakeRun(tmp_path / "run")
    made.stage("base", "script", weights=b"base")
    folder = made.stage("zero", "grpo", weights=b"weights " * 12_000, parents=[("base", "base")])
    (folder / "README.md").write_text(seal("---\nlicense: mit\n---\n# Zero\n"), encoding="utf-8")
    for path in (
        *("config.json", "tokenizer.json", "chat_template.jinja", "resolved_config.yaml", ".eval_results/m.yaml"),
        *("additional_chat_templates/prefill.jinja", "merged/model.safetensors", "merged/config.json"),
        *("checkpoint-5/optimizer.pt", "checkpoint-5/model.safetensors", "logs/events", "completions/step_1.parquet"),
        *(".begun", "progress.json", "trainer_state.json", ".cache/x.json", ".README.md.partial", "optimizer.pt"),
    ):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(f"{path}\n", encoding="utf-8")
    return folder
