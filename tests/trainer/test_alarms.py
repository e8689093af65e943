"""Alarms on curves of healthy and of broken runs, their evidence, and training that one of them stops."""

import json
import logging
import math
import random

import pytest
from tiny_run import make_grpo, questions
from transformers import TrainerControl, TrainerState

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import R1Error
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import (
    AlarmCallback,
    AlarmThresholds,
    RolloutSignals,
    check_not_stopped,
    last_whole_checkpoint,
    train_or_resume,
)
from trl_r1.trainer.callbacks.alarm_rules import RULES
from trl_r1.trainer.callbacks.alarms import ALARMS_NAME, pick_evidence
from trl_r1.trainer.callbacks.judged_row import JudgedRow


STEPS = 60
HELD_OUT = "eval_held_out/greedy/accuracy"


def healthy(step, noise):
    """A log row of a run as it should be: right answers, lengths and KL rise, the entropy falls."""
    progress = min(1.0, step / STEPS)
    return {
        "loss": noise.gauss(0, 0.01),
        "grad_norm": abs(noise.gauss(0.3, 0.1)),
        "entropy": 0.8 * math.exp(-2.5 * progress) * noise.uniform(0.8, 1.2),
        "kl": 0.2 * progress * noise.uniform(0.5, 1.5),
        "clip_ratio/region_mean": noise.uniform(0, 0.03),
        "completions/mean_length": (100 + 900 * progress) * noise.uniform(0.8, 1.2),
        "completions/clipped_ratio": noise.uniform(0, 0.2),
        "rewards/accuracy_reward/mean": 0.1 + 0.8 * progress,
        "rewards/accuracy_reward/std": 0.4,
        "rewards/format_reward/mean": 1.0,
        "rewards/format_reward/std": 0.0,
        "rewards/repetition_penalty/mean": 0.0,
        "rewards/repetition_penalty/std": 0.0,
        "signals/with_signal": noise.uniform(0.2, 0.9),
        "signals/all_right": 0.1 * progress,
        "signals/all_wrong": 0.1 * (1 - progress),
        "signals/cancelled": 0.0,
        "signals/tied_otherwise": 0.0,
        "signals/judge_lowest": 0.0,
        "signals/judge_highest": 1.0,
        "signals/correct": 0.1 + 0.8 * progress,
        "signals/think_closed": 0.9,
        "signals/same_text": noise.uniform(0.01, 0.1),
        "signals/reflective_per_100_words": 1 + 4 * progress,
        "signals/canary_right": 0.1 + 0.75 * progress * noise.uniform(0.9, 1.1),
        "signals/canary_reward_right": 0.1 + 0.8 * progress,
        "signals/canary_agreement": noise.uniform(0.9, 1.0),
    }


def evaluated(step):
    """A row of an evaluation during training, which has no loss."""
    score = 0.1 + 0.6 * min(1.0, step / STEPS)
    ends = {f"{HELD_OUT}_low": score - 0.08, f"{HELD_OUT}_high": score + 0.08}
    return {HELD_OUT: score, **ends, "eval_seconds": 0.5}


def constant(value, start=30):
    return lambda step, old: value if step >= start else old


# What breaks, from which step on, and the one alarm that is for it
BROKEN = {
    "not_finite": {"grad_norm": constant(math.nan)},
    "no_signal": {"signals/with_signal": constant(0.02), "signals/all_wrong": constant(0.98)},
    "truncated": {"completions/clipped_ratio": constant(0.8)},
    "length_collapse": {"completions/mean_length": constant(3.0)},
    "length_explosion": {"completions/mean_length": constant(30_000.0)},
    "entropy_collapse": {"entropy": constant(0.001)},
    "kl_explosion": {"kl": constant(25.0)},
    "clipped": {"clip_ratio/region_mean": constant(0.6)},
    "reward_hacking": {
        "signals/canary_right": constant(0.1, 1),
        "signals/canary_agreement": lambda step, old: 0.75,  # above what is alarming by itself
    },
    "held_out_gap": {HELD_OUT: constant(0.1, 1), f"{HELD_OUT}_high": constant(0.18, 1)},
    "reward_constant": {"rewards/format_reward/mean": constant(0.25, 1)},
    "think_lost": {"signals/think_closed": constant(0.02)},
    "same_text": {"signals/same_text": constant(0.9)},
    "reflective_spam": {"signals/reflective_per_100_words": constant(40.0)},
}


def run_curves(tmp_path, changes=(), rows=STEPS, stop=False, rollout=(), fp16=False, **thresholds):
    """Feed log rows to the callback as the Trainer does; returns it, the control and what the alarm file holds."""
    args = R1GRPOConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, stop_on_alarm=stop)
    args.fp16 = fp16  # no CPU would be let have it
    signals = RolloutSignals()
    signals.rows = list(rollout)
    callback = AlarmCallback(signals, AlarmThresholds(**thresholds))
    state, control, noise = TrainerState(is_world_process_zero=True), TrainerControl(), random.Random(3)
    state.max_steps = rows
    callback.on_train_begin(args, state, control)
    held_out = {name: change for name, change in dict(changes).items() if name.startswith("eval_")}
    changes = {name: change for name, change in dict(changes).items() if name not in held_out}
    for step in range(1, rows + 1):
        row, found = healthy(step, noise), evaluated(step)
        row.update({name: change(step, row.get(name)) for name, change in changes.items()})
        found.update({name: change(step, found[name]) for name, change in held_out.items()})
        row = {name: value for name, value in row.items() if value is not ...}
        state.global_step = step
        for own in [found, row] if step % 10 == 0 else [row]:
            state.log_history.append({**own, "step": step})
            callback.on_log(args, state, control, logs=own)
        if control.should_training_stop:
            break
    path = tmp_path / "out" / ALARMS_NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return callback, state, control, lines


def test_a_healthy_run_raises_nothing(tmp_path):
    callback, _, _, lines = run_curves(tmp_path)
    assert (callback.raised, lines) == ([], [])


def test_every_rule_has_a_curve_that_breaks_it():
    assert BROKEN.keys() == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_curve_raises_its_own_alarm_once(name, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="trl_r1"):
        _, _, control, lines = run_curves(tmp_path, BROKEN[name])
    assert [line["alarm"] for line in lines] == [name]
    assert sum(f"alarm {name} at step" in record.getMessage() for record in caplog.records) == 1
    assert lines[0]["message"]
    assert lines[0]["advice"]
    assert not control.should_training_stop


def test_the_reason_without_signal_is_named(tmp_path):
    for kind, words in {"all_right": "harder prompts", "all_wrong": "easier", "cancelled": "reward_weights"}.items():
        changes = {"signals/with_signal": constant(0.0), f"signals/{kind}": constant(1.0)}
        assert words in run_curves(tmp_path / kind, changes)[3][0]["message"]


def test_a_silent_reward_and_a_judge_that_never_varies(tmp_path):
    silent = {"rewards/other/mean": lambda step, old: None, "rewards/other/std": lambda step, old: None}
    assert "other never judged" in run_curves(tmp_path / "a", silent)[3][0]["message"]
    always = {"signals/judge_lowest": lambda step, old: 1.0}
    assert "gave every completion 1" in run_curves(tmp_path / "b", always)[3][0]["message"]
    rounded = {
        "rewards/other/mean": lambda step, old: 0.1 + 1e-9 * (step % 3),  # means of float32
        "rewards/other/std": lambda step, old: 7e-9,
    }
    assert "other gave every completion 0.1" in run_curves(tmp_path / "d", rounded)[3][0]["message"]
    once = {"rewards/other/mean": lambda step, old: 0.5 if step == 5 else None}
    assert run_curves(tmp_path / "c", once)[3] == []


def test_a_reward_of_the_last_steps_may_be_silent_before_them(tmp_path):
    late = {
        "rewards/kind_reward/mean": lambda step, old: None,
        "kind_reward/on": lambda step, old: float(step >= 35),
    }
    assert run_curves(tmp_path / "a", late, rows=50)[3] == []
    assert [line["step"] for line in run_curves(tmp_path / "b", late)[3]] == [54]  # still silent when it is on


def test_healthy_turns_raise_nothing(tmp_path):
    """A base model that learns to stop; a KL estimate of one odd row, or above its limit and steady; few tags ever."""
    learnt = lambda step: min(1.0, max(0.0, (step - 30) / 15))  # noqa: E731
    turns = {
        "completions/mean_length": lambda step, old: 2000 - 1800 * learnt(step),
        "completions/clipped_ratio": lambda step, old: 0.9 - 0.8 * learnt(step),
        "kl": lambda step, old: 30.0 if step % 25 == 0 else 1.0 + old,
        "signals/think_closed": lambda step, old: 0.4 if step < 40 else 0.0,
        "rewards/format_reward/mean": lambda step, old: 0.25 + 1e-4 * (step % 2),
    }
    assert {line["alarm"] for line in run_curves(tmp_path, turns, rows=90)[3]} == {"truncated"}


@pytest.mark.parametrize(
    ("alarm", "changes"),
    [
        ("think_lost", {"signals/think_closed": lambda step, old: max(0.0, 0.9 - 0.01 * max(0, step - 100))}),
        ("length_collapse", {"completions/mean_length": lambda step, old: 2000 * 0.98 ** max(0, step - 100)}),
        ("length_explosion", {"completions/mean_length": lambda step, old: 200 * 1.02 ** max(0, step - 100)}),
    ],
)
def test_slow_decline_is_seen_too(alarm, changes, tmp_path):
    assert [line["alarm"] for line in run_curves(tmp_path, changes, rows=250)[3]] == [alarm]


def test_fp16_may_leave_out_single_steps(tmp_path):
    """Its loss scaler skips a step whose gradients overflow, as the first ones do."""
    once = {"grad_norm": lambda step, old: math.inf if step in (1, 2, 30) else old}
    assert run_curves(tmp_path / "a", once, fp16=True)[3] == []
    lost = run_curves(tmp_path / "b", BROKEN["not_finite"], fp16=True)[3]
    assert [(line["alarm"], line["step"]) for line in lost] == [("not_finite", 37)]


def test_kl_that_is_high_from_the_start_needs_no_history(tmp_path):
    assert [line["step"] for line in run_curves(tmp_path / "a", {"kl": constant(25.0, 1)})[3]] == [4]
    assert run_curves(tmp_path / "b", {"kl": constant(5.0, 1)})[3] == []


def test_low_agreement_alone_is_hacking_only_if_the_canary_finds_fewer_right(tmp_path):
    low = {"signals/canary_agreement": lambda step, old: 0.3}
    strict = {**low, "signals/canary_right": lambda step, old: 0.05}
    kind = {**low, "signals/canary_right": lambda step, old: 0.99}
    assert [line["alarm"] for line in run_curves(tmp_path / "a", strict)[3]] == ["reward_hacking"]
    assert run_curves(tmp_path / "b", kind)[3] == []


def test_one_of_several_held_out_sets_that_rises_is_enough(tmp_path):
    stuck = {HELD_OUT: constant(0.1, 1), f"{HELD_OUT}_high": constant(0.18, 1)}
    _, _, _, lines = run_curves(tmp_path, stuck)
    assert [line["alarm"] for line in lines] == ["held_out_gap"]
    assert "held-out accuracy of held_out/greedy from 10% to 10% while" in lines[0]["message"]
    risen = {HELD_OUT: constant(0.1, 1), f"{HELD_OUT}_high": constant(0.6, 1)}  # so few questions that it may have
    assert not run_curves(tmp_path / "wide", risen)[3]
    assert not run_curves(tmp_path / "lax", stuck, held_out_share=0.01)[3]


def test_evaluations_are_remembered_when_a_run_goes_on(tmp_path):
    stuck = {HELD_OUT: constant(0.1, 1), f"{HELD_OUT}_high": constant(0.18, 1)}
    first, state, control, _ = run_curves(tmp_path, stuck)
    again = AlarmCallback(RolloutSignals())
    args = R1GRPOConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False)
    again.on_train_begin(args, state, control)
    assert first.raised == again.raised
    assert len(first.raised) == 1


def test_metrics_that_are_not_logged_raise_nothing(tmp_path):
    optional = [name for name in healthy(1, random.Random(0)) if name != "loss"]
    assert run_curves(tmp_path, {name: lambda step, old: ... for name in optional})[3] == []


def test_other_names_of_a_metric_count(tmp_path):
    entropy = constant(0.001)
    changes = {
        "entropy": lambda step, old: ...,
        "entropy_of_rows_with_signal": lambda step, old: entropy(step, 0.5),
        "cispo_clip_ratio": constant(0.6, 40),  # as that loss type calls it
    }
    _, _, _, lines = run_curves(tmp_path, changes)
    assert [line["alarm"] for line in lines] == ["entropy_collapse", "clipped"]


def test_an_alarm_is_raised_again_after_it_was_over(tmp_path):
    waves = {"completions/clipped_ratio": lambda step, old: float(step % 30 >= 15)}
    lines = run_curves(tmp_path, waves, rows=90, window=2, quiet_rows=5)[3]
    truncated = [line["step"] for line in lines if line["alarm"] == "truncated"]
    assert truncated == [16, 46, 76]
    lines = run_curves(tmp_path / "long", waves, rows=90, window=2, quiet_rows=50)[3]
    assert [line["step"] for line in lines if line["alarm"] == "truncated"] == [16]


def judged_row(text, **fields):
    defaults = {"prompt": "p", "rewards": {"r": 1.0}, "tokens": 5, "truncated": False, "tied": False}
    return JudgedRow(**{**defaults, "text": text, "correct": True, "canary": None, "reflective": 0.0, **fields})


def rule_named(name):
    return next(rule for rule in RULES if rule.name == name)


def test_evidence_shows_the_alarm_best_and_no_text_twice():
    rows = [judged_row(f"text {n % 5}", tokens=n % 5, truncated=n % 5 > 1, tied=n == 3) for n in range(10)]
    picked = {
        name: [row.text[-1] for row in pick_evidence(rule_named(name), rows)]
        for name in ("truncated", "length_collapse", "length_explosion", "no_signal", "entropy_collapse")
    }
    assert picked == {
        "truncated": ["4", "3", "2"],
        "length_collapse": ["0", "1", "2"],
        "length_explosion": ["4", "3", "2"],
        "no_signal": ["3"],
        "entropy_collapse": ["0", "1", "2"],
    }
    hacked = [
        judged_row("a", canary=True),
        judged_row("b", canary=False),
        judged_row("c", canary=False, correct=False),
    ]
    assert [row.text for row in pick_evidence(rule_named("reward_hacking"), hacked)] == ["b"]
    assert pick_evidence(rule_named("no_signal"), []) == []


def test_evidence_is_trimmed_and_any_text_can_be_written(tmp_path):
    rows = [judged_row("a" * 5000 + "\ud800 end 终", truncated=True, prompt=[{"role": "user", "content": "q"}])]
    evidence = run_curves(tmp_path, BROKEN["truncated"], rollout=rows)[3][0]["evidence"][0]
    assert len(evidence["completion"]) < 700
    assert evidence["completion"].endswith("end 终")
    assert evidence["prompt"] == "q"
    assert evidence["rewards"] == {"r": 1.0}


def test_a_loss_that_is_no_number_is_enough(tmp_path):
    lines = run_curves(tmp_path, {"loss": constant(math.nan)})[3]
    assert [(line["alarm"], line["step"], line["message"]) for line in lines] == [("not_finite", 30, "loss is nan")]


def test_stop_saves_unless_the_weights_are_lost(tmp_path):
    callback, state, control, _ = run_curves(tmp_path / "a", BROKEN["truncated"], stop=True)
    assert (control.should_training_stop, control.should_save) == (True, True)
    assert "truncated (" in callback.stopped_by
    assert state.global_step < STEPS
    callback, _, control, _ = run_curves(tmp_path / "b", BROKEN["not_finite"], stop=True)
    assert (control.should_training_stop, control.should_save) == (True, False)
    both = {**BROKEN["truncated"], **BROKEN["not_finite"]}
    callback, _, control, _ = run_curves(tmp_path / "c", both, stop=True, window=1)
    assert callback.stopped_by.count("(") == 2
    assert not control.should_save


def test_alarms_of_steps_made_anew_are_forgotten(tmp_path):
    both = {"completions/clipped_ratio": constant(0.9, 10), "signals/same_text": constant(0.9, 40)}
    _, state, _, lines = run_curves(tmp_path, both)
    steps = {line["alarm"]: line["step"] for line in lines}
    path = tmp_path / "out" / ALARMS_NAME
    path.write_text(path.read_text() + '{"alarm": "torn", "st')
    args = R1GRPOConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False)
    resumed, kept = AlarmCallback(RolloutSignals()), 30  # a checkpoint between the two alarms
    again = TrainerState(is_world_process_zero=True, global_step=kept, log_history=state.log_history[:kept])
    resumed.on_train_begin(args, again, TrainerControl())
    assert [json.loads(line)["alarm"] for line in path.read_text().splitlines()] == ["truncated"]
    assert len(resumed.raised) == 1
    for row in state.log_history[kept:]:
        again.global_step = row["step"]
        resumed.on_log(args, again, TrainerControl(), logs=row)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["alarm"]: line["step"] for line in found} == steps
    assert len(found) == 2
    resumed.on_train_begin(args, TrainerState(is_world_process_zero=True), TrainerControl())  # a new run
    assert not path.exists()


def same_reward(completions, **kwargs):
    return [0.0] * len(completions)


def stopping_run(folder, max_steps=6):
    thresholds = AlarmThresholds(window=3, most_truncated=1.0, long_window=100)
    watching = [signals := RolloutSignals(), AlarmCallback(signals, thresholds)]
    return make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(folder / "out"),
        max_steps=max_steps,
        stop_on_alarm=True,
        run={"reward_funcs": [same_reward], "train_dataset": questions(), "callbacks": watching},
    )


def test_stop_on_alarm_brings_its_alarms_unless_there_are_some(tmp_path):
    def callbacks_of(**options):
        trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **options)
        return [
            each for each in trainer.callback_handler.callbacks if isinstance(each, AlarmCallback | RolloutSignals)
        ]

    assert callbacks_of() == []
    assert [type(each) for each in callbacks_of(stop_on_alarm=True)] == [RolloutSignals, AlarmCallback]
    own = [signals := RolloutSignals(), AlarmCallback(signals)]
    assert callbacks_of(stop_on_alarm=True, run={"callbacks": own}) == own


def test_training_stops_with_a_checkpoint_and_goes_on_from_it(tmp_path):
    trainer = stopping_run(tmp_path)
    train_or_resume(trainer)
    assert trainer.state.global_step == 3
    with pytest.raises(R1Error, match=r"stopped at step 3 of 6 by no_signal .*alarms.jsonl.*goes on from the last"):
        check_not_stopped(trainer)
    assert last_whole_checkpoint(tmp_path / "out").endswith("checkpoint-3")
    path = tmp_path / "out" / ALARMS_NAME
    entry = json.loads(path.read_text())
    assert len(entry["evidence"]) == 3
    assert entry["evidence"][0]["rewards"] == {"same_reward": 0.0}
    resumed = stopping_run(tmp_path)
    train_or_resume(resumed)
    assert resumed.state.global_step == 6
    check_not_stopped(resumed)
    assert json.loads(path.read_text()) == entry
