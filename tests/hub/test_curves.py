"""The picture of a stage's training curves: what it shows, when there is none, and that it is the same each time."""

import io
import logging
import math

import pytest
from PIL import Image

from trl_r1.hub.cards import curves
from trl_r1.hub.cards.curves import CURVES_NAME, draw_curves, write_curves


GRPO = [
    {
        "step": step,
        "loss": 0.0,
        "reward": step / 10,
        "kl": 0.01 * step,
        "entropy": 1.0,
        "completions/clipped_ratio": 0.0,
    }
    | {
        "rewards/accuracy_reward/mean": step / 10,
        "rewards/_odd $name$ 思考/mean": -1.0,
        "completions/mean_length": 20.0,
    }
    for step in range(1, 6)
]
SFT = [{"step": step, "loss": 1 / step, "mean_token_accuracy": 0.9} for step in range(1, 6)]


def titles(history):
    return [panel.title for panel in curves._panels(history) if curves._curves(panel, history)]


def test_each_kind_of_history_has_its_panels():
    assert titles(GRPO) == [
        "Reward by function",
        "Total reward",
        "Completion length",
        "KL to the reference",
        "Entropy",
    ]
    assert titles(SFT) == ["Loss", "Next tokens predicted"]
    pairs = [{"step": step, "loss": 1 / step, "accuracy": 0.9, "margin": 1.0} for step in range(1, 6)]
    assert titles(pairs) == ["Loss", "Pairs in the right order", "Margin"]
    assert "Cut off at the limit" in titles([{**row, "completions/clipped_ratio": 0.1} for row in GRPO])


@pytest.mark.parametrize("history", [GRPO, SFT])
def test_the_same_history_gives_the_same_bytes(history):
    picture = draw_curves(history)
    assert picture == draw_curves(history)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.width <= 1200
        assert "Software" not in image.info


@pytest.mark.parametrize(
    "history",
    [[], SFT[:1], [{"step": 1, "loss": None}, {"step": 2, "loss": math.nan}], [{"loss": 1.0}, {"loss": 2.0}]],
)
def test_nothing_to_draw_is_no_picture(history):
    assert draw_curves(history) is None


def test_a_picture_that_no_record_backs_is_removed(tmp_path):
    write_curves(tmp_path, draw_curves(SFT))
    assert (tmp_path / CURVES_NAME).read_bytes() == draw_curves(SFT)
    write_curves(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_extra_is_named(monkeypatch, caplog):
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert draw_curves(SFT) is None
    assert "trl_r1[report]" in caplog.text


def test_many_functions_and_steps_are_still_one_picture():
    history = [
        {"step": step, "reward": 0.5} | {f"rewards/{'long_name_' * 9}{index}/mean": 0.5 for index in range(12)}
        for step in range(300)
    ]
    with Image.open(io.BytesIO(draw_curves(history))) as image:
        assert image.width <= 1200
