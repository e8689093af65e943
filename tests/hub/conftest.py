"""A small ancestry on disk: a base, data sampled from a policy, and the SFT on it."""

import pytest
from fake_run import FakeRun, measured

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
