"""Signals of a rollout against values worked out by hand, the canary, and what they add to the log of a run."""

import dataclasses
import math

import pytest
import torch
from tiny_run import length_reward, make_grpo, questions, token_reward

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import R1Error
from trl_r1.rewards.reflection import REFLECTIVE_WORDS, count_reflective
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import RolloutSignals, get_canary, signals
from trl_r1.trainer.callbacks.signals import (
    correctness,
    group_signals,
    same_text_share,
)
from trl_r1.trainer.rollout import Rollout, RolloutCallback


NAN = math.nan
KINDS = ("with_signal", "all_right", "all_wrong", "cancelled", "tied_otherwise")


def make_rollout(rewards, texts=None, weights=(1.0, 0.5), size=2, **columns):
    rewards = torch.tensor(rewards)
    texts = texts or [f"text {row}" for row in range(len(rewards))]
    given = {"solution": "7", "response_format": "r1", **columns}
    return Rollout(
        step=0,
        rows=[dict(given) for _ in texts],
        prompts=[f"prompt {row // size}" for row in range(len(texts))],
        completions=texts,
        completion_ids=[[1] * len(text.split()) for text in texts],
        truncated=[text.endswith("...") for text in texts],
        rewards=rewards,
        offset=0,
        num_generations=size,
        reward_names=("format_reward", "accuracy_reward")[-rewards.size(1) :],
        reward_weights=weights[: rewards.size(1)],
    )


def signals_of(rollout, **options):
    logged = {}
    callback = RolloutSignals(**options)
    callback.on_rollout(rollout, logged.__setitem__)
    return {name.removeprefix("signals/"): value for name, value in logged.items()}, callback.rows


# A group of two rows (format, accuracy with weight 0.5), and its kind
GROUPS = [
    ([[0.0, 1.0], [0.0, 0.0]], "with_signal"),
    ([[1.0, 1.0], [1.0, 1.0]], "all_right"),
    ([[1.0, 0.0], [1.0, 0.0]], "all_wrong"),
    ([[0.5, 0.0], [0.0, 1.0]], "cancelled"),
    ([[0.5, NAN], [0.5, NAN]], "tied_otherwise"),
    ([[NAN, NAN], [NAN, 1.0]], "all_right"),  # one row takes part: nothing to be compared with
    ([[NAN, NAN], [NAN, NAN]], "tied_otherwise"),
    ([[0.1, 0.3], [0.1, 0.3]], "all_wrong"),  # not exactly 1 is not right
]


@pytest.mark.parametrize(("rows", "kind"), GROUPS)
def test_each_group_has_one_kind(rows, kind):
    rollout = make_rollout(rows)
    found = group_signals(rollout, correctness(rollout))
    assert {name: found[name] for name in KINDS} == {name: float(name == kind) for name in KINDS}


def test_shares_of_all_kinds_add_up_to_one():
    generator = torch.Generator().manual_seed(0)
    choices = torch.tensor([0.0, 0.5, 1.0, NAN])
    for _ in range(20):
        rewards = choices[torch.randint(4, (24, 2), generator=generator)]
        rollout = make_rollout(rewards.tolist(), size=3)
        found = group_signals(rollout, correctness(rollout))
        assert sum(found[name] for name in KINDS) == pytest.approx(1.0)


def test_a_weight_of_zero_cancels_nothing():
    rollout = make_rollout([[0.0, 1.0], [1.0, 1.0]], weights=(0.0, 1.0))
    assert group_signals(rollout, correctness(rollout))["all_right"] == 1.0


def test_lengths_and_truncation_by_correctness_and_difficulty():
    texts = [
        "<think> a b c </think> 7",  # 6 tokens
        "<think> a b c d e </think> 7",  # 8 tokens
        "<think> a b ...",  # 4 tokens, truncated
        "<think> wait a </think> 8",  # 5 tokens
    ]
    found, rows = signals_of(make_rollout([[1.0], [1.0], [0.0], [0.0]], texts))
    assert (found["length_correct"], found["length_wrong"]) == (7.0, 4.5)
    assert (found["truncated_correct"], found["truncated_wrong"]) == (0.0, 0.5)
    assert found["correct"] == 0.5
    assert found["think_closed"] == 0.75
    thinking = [6 * 5 / 24, 8 * 9 / 28, 4 * 7 / 15, 5 * 6 / 25]  # tokens x characters of the thoughts / of the text
    assert found["think_tokens"] == pytest.approx(sum(thinking) / 4)
    assert found["think_tokens_easy"] == pytest.approx(sum(thinking[:2]) / 2)
    assert found["think_tokens_hard"] == pytest.approx(sum(thinking[2:]) / 2)
    assert math.isnan(found["think_tokens_middle"])
    assert found["reflective_per_100_words"] == pytest.approx(100 / 12)
    assert [row.tied for row in rows] == [True] * 4
    assert [row.truncated for row in rows] == [False, False, True, False]
    assert rows[3].reflective == 50.0


def test_reflective_words_are_whole_words_inside_the_thoughts():
    assert len(REFLECTIVE_WORDS) == 10
    assert count_reflective("Wait, waiting; WAIT! a checkbox... check_sum but-no 3") == (4, 10)
    assert count_reflective(None) == (0, 0)
    found, _ = signals_of(make_rollout([[1.0]], ["<think> so </think> wait wait wait"], size=1))
    assert found["reflective_per_100_words"] == 0.0


def test_a_text_that_fills_the_rollout_is_seen_from_four_groups_on():
    hashes = torch.tensor([5, 5, 5, 1, 2, 3, 5, 5])
    assert same_text_share(hashes, 2) == 5 / 8
    assert math.isnan(same_text_share(hashes, 4))


def test_prompts_as_messages_and_completions_without_a_think_block():
    message = [{"role": "assistant", "content": "7"}]
    rollout = make_rollout([[1.0], [0.0]])
    rollout.completions[:] = [message, [{"role": "assistant", "content": ""}]]
    found, rows = signals_of(rollout)
    assert found["think_tokens"] == found["think_closed"] == 0.0
    assert math.isnan(found["reflective_per_100_words"])
    assert [row.text for row in rows] == ["7", ""]


def test_a_prefilled_tag_opens_the_thoughts():
    found, _ = signals_of(make_rollout([[1.0]], ["but \ud800 </think> 7"], size=1, prompt_tail="<think>"))
    assert (found["think_closed"], found["reflective_per_100_words"]) == (1.0, 100.0)


@pytest.mark.parametrize(
    ("answer", "exact", "by_math"),
    [
        (r"So \boxed{7}.", True, True),
        (" 7. ", True, True),
        (r"\boxed{\frac{14}{2}}", False, True),
        (r"\boxed{8}", False, False),
        (r"\boxed{7} or \boxed{8}", False, False),
        ("it must be seven", None, None),
        ("7 - 0" + " + 0" * 20, None, None),  # unboxed and long: no value
        (r"\boxed{7", None, None),
        ("", None, None),
    ],
)
def test_canaries_read_the_answer_themselves(answer, exact, by_math):
    assert get_canary("exact")([answer], ["#### 7"]) == [exact]
    assert get_canary("math")([answer], [r"$\boxed{7}$"]) == [by_math]


def test_unknown_canary_names_those_there_are():
    assert get_canary("none") is None
    with pytest.raises(R1Error, match=r"canary: 'maths' is unknown; use one of none, exact, math"):
        get_canary("maths")


def test_canary_is_compared_with_the_reward_on_its_own_sample():
    texts = [f"<think> a </think> {answer}" for answer in ("7", "8", "7", "what a day")]
    found, rows = signals_of(make_rollout([[1.0], [1.0], [0.0], [1.0]], texts), canary=get_canary("exact"))
    assert found["canary_right"] == pytest.approx(2 / 3)
    assert found["canary_reward_right"] == pytest.approx(2 / 3)
    assert found["canary_agreement"] == pytest.approx(1 / 3)
    assert [row.canary for row in rows] == [True, False, True, None]
    for most in (2, 3):  # spread evenly, so fewer where the rows do not divide by it
        _, rows = signals_of(make_rollout([[1.0]] * 4, texts), canary=get_canary("exact"), canary_rows=most)
        assert [row.canary for row in rows] == [True, None, True, None]


def test_canary_leaves_rows_without_a_gold_answer_or_verdict_alone():
    asked = []
    canary = lambda answers, golds: asked.append(list(answers)) or [None] * len(answers)  # noqa: E731
    found, _ = signals_of(make_rollout([[1.0], [1.0]], solution=None), canary=canary)
    assert asked == [[]]
    assert math.isnan(found["canary_agreement"])
    signals_of(make_rollout([[NAN], [1.0]], ["<think> a </think> 1", "<think> a </think> 2"]), canary=canary)
    assert asked[1] == ["2"]


def test_evidence_of_a_second_process_is_of_its_own_groups():
    rollout = dataclasses.replace(make_rollout([[1.0], [0.0], [1.0], [1.0]]), offset=2, prompts=["a", "a"])
    columns = torch.zeros(2, len(signals._COLUMNS))
    rows = signals._judged_rows(rollout, ["x", "y"], columns, correctness(rollout)[2:])
    assert [(row.tied, row.correct, row.rewards) for row in rows] == [(True, True, {"accuracy_reward": 1.0})] * 2


class Watcher(RolloutCallback):
    """Keeps every rollout."""

    def __init__(self):
        self.seen = []

    def on_rollout(self, rollout, log_metric):
        self.seen.append(rollout)


def test_signals_reach_the_log_of_training_and_not_that_of_evaluation(tmp_path):
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=8,
        eval_strategy="steps",
        eval_steps=1,
        run={"reward_funcs": [token_reward, length_reward], "eval_dataset": questions(2)},
    )
    watcher, watching = Watcher(), RolloutSignals()
    trainer.add_callback(watcher)
    trainer.add_callback(watching)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "loss" in row]
    assert len(rows) == len(watcher.seen) == 2
    for row, rollout in zip(rows, watcher.seen, strict=True):
        again, judged = signals_of(rollout)
        logged = {name: row[f"signals/{name}"] for name in again}
        assert logged == pytest.approx({k: None if math.isnan(v) else v for k, v in again.items()})
        assert len(judged) == 8
    assert watching.rows == judged
    evaluated = [row for row in trainer.state.log_history if "eval_reward" in row]
    assert evaluated
    assert not any("signals" in name for row in evaluated for name in row)
