"""The two rule-based rewards of R1-Zero, through TRL's reward contract."""

import pickle
import subprocess
import sys

import pytest

from trl_r1 import verifiers
from trl_r1.chat_template import Defect
from trl_r1.rewards import accuracy_reward, format_reward


RIGHT = r"<think> a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"
WRONG = r"<think> a 4 plus b 5 8 </think> the answer is \boxed{ 8 }"
ZERO_RIGHT = "<think> a 4 plus b 5 9 </think> <answer> 9 </answer>"


def test_accuracy_of_text_and_of_messages():
    assert accuracy_reward([RIGHT, WRONG, ZERO_RIGHT], ["9", "9", "9"]) == [1.0, 0.0, 1.0]
    messages = [[{"role": "assistant", "content": text}] for text in (RIGHT, WRONG)]
    assert accuracy_reward(messages, ["9", "9"]) == [1.0, 0.0]


@pytest.mark.parametrize(
    "hack",
    [
        "",
        "9",  # no thoughts: loose text may be the thinking itself
        r"\boxed{9}",
        r"<think> \boxed{9} </think>",
        r"<think> \boxed{9} </think> I give up",
        "<think> a <answer> 9 </answer> </think>",
        "<think> a </think> <answer> 9 or 8 </answer>",
        r"<think> a </think> \boxed{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}",
        "<think> a </think> <answer> </answer>",
        r"<think> a </think> \boxed{9} <think> no </think> \boxed{8}",
    ],
)
def test_nothing_is_earned_by(hack):
    assert accuracy_reward([hack], ["9"]) == [0.0]


def test_a_prefilled_think_tag_is_seen_through_the_prompt():
    completion = r"a 4 plus b 5 9 </think> \boxed{9}"
    assert accuracy_reward([completion, "the 9"], ["9", "9"], prompt_tail=["<think>\n"] * 2) == [1.0, 0.0]
    assert format_reward([completion], prompt_tail=["<think>\n"]) == [1.0]
    assert format_reward([completion]) == [0.0]


def test_rows_without_gold_are_not_judged():
    assert accuracy_reward([RIGHT, RIGHT], [None, "9"]) == [None, 1.0]
    assert accuracy_reward([RIGHT], [None]) == [None]


def test_an_unusable_gold_is_nobodys_reward():
    assert accuracy_reward([RIGHT, WRONG], ["", "9"]) == [None, 0.0]


def test_accuracy_logs_reasons_and_faults():
    columns, metrics = {}, {}
    accuracy_reward(
        [RIGHT, WRONG, r"<think> a </think> \boxed{\sum_{i=1}^{9} i}", RIGHT],
        ["9", "9", "9", ""],
        log_extra=columns.__setitem__,
        log_metric=metrics.__setitem__,
    )
    assert columns["verdict"][0] == "9 is the gold answer"
    assert columns["verdict"][1] == "8 is not 9"
    assert columns["verdict_seconds"] == [0.0] * 4
    assert metrics == {
        "accuracy/overrun": 0.25,
        "accuracy/undecidable": 0.25,
        "accuracy/by_extraction": 0.0,
        "accuracy/by_normalised": 0.25,
        "accuracy/by_exact": 0.25,
        "accuracy/by_worker": 0.0,
        "accuracy/cached": 0.0,
        "accuracy/slowest_seconds": 0.0,
        "accuracy/killed": 0.0,
    }


def test_accuracy_says_which_answer_was_slowest_and_what_was_cached():
    logged = [{}, {}]
    columns = {}
    completions = [RIGHT, r"<think> a </think> \boxed{173\arctan 1}"]
    for metrics in logged:
        scores = accuracy_reward(
            completions,
            ["9", r"\frac{173\pi}{4}"],
            log_extra=columns.__setitem__,
            log_metric=metrics.__setitem__,
        )
        assert scores == [1.0, 1.0]
    assert [metrics["accuracy/cached"] for metrics in logged] == [0.0, 0.5]
    assert logged[0]["accuracy/by_worker"] == 0.5
    assert logged[0]["accuracy/slowest_seconds"] > 0
    assert columns["verdict_seconds"][0] == 0.0


def test_accuracy_may_require_a_value():
    completion = r"<think> a </think> \boxed{4+5}"
    assert accuracy_reward([completion, RIGHT], ["9", "9"]) == [1.0, 1.0]
    assert accuracy_reward([completion, RIGHT], ["9", "9"], require_value=True) == [0.0, 1.0]


def test_two_answer_blocks_are_no_answer():
    completion = "<think> a </think> <answer> 8 </answer> <answer> 9 </answer>"
    assert accuracy_reward([completion, completion], ["8", "9"]) == [0.0, 0.0]


def test_accuracy_is_the_verifiers_verdict():
    texts = ["1/2", r"\frac12", "0.5", "0.51"]
    completions = [rf"<think> t </think> \boxed{{{text}}}" for text in texts]
    expected = [verifiers.verify_math(text, "0.5").reward for text in texts]
    assert accuracy_reward(completions, ["0.5"] * 4) == expected == [1.0, 1.0, 1.0, 0.0]


def test_format_follows_the_rows_format():
    assert format_reward([ZERO_RIGHT, RIGHT], response_format=["r1_zero", "r1_zero"]) == [1.0, 0.0]
    assert format_reward([ZERO_RIGHT, RIGHT], response_format=["r1", None]) == [1.0, 1.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9",
        "<think> a",
        "<think></think> 9",
        "<think> a </think>",
        "<think> a </think></think> 9",
        "b <think> a </think> 9",
        "<think> . </think> 9",
        "<think>\u200b</think> 9",
        "<think> a </answer> </think> 9",
        "<think> a </think> 9 <|im_start|> user",
        "<think> a </think> <Think> b </Think> 9",
    ],
)
def test_format_earns_nothing(text):
    assert format_reward([text]) == [0.0]


def test_format_logs_its_defects():
    columns = {}
    format_reward([RIGHT, "<think></think> 9"], log_extra=columns.__setitem__)
    assert columns["format_defects"] == ["", "empty_reasoning"]


def test_format_logs_the_share_of_each_defect():
    metrics = {}
    format_reward([RIGHT, "<think></think> 9", "9", "<think></think> 9"], log_metric=metrics.__setitem__)
    assert set(metrics) == {f"format/{defect}" for defect in Defect}
    assert (metrics["format/empty_reasoning"], metrics["format/missing_open"]) == (0.5, 0.25)
    assert metrics["format/nested"] == 0.0


def test_both_pickle():
    for reward in (accuracy_reward, format_reward):
        assert pickle.loads(pickle.dumps(reward)) is reward


def test_importing_rewards_loads_neither_torch_nor_algebra():
    program = "import sys, trl_r1.rewards; print([m for m in ('torch', 'transformers', 'sympy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
