"""Every reward of ours passes every case of its kind: nothing undeserved, and honest completions lose nothing."""

import pytest
from scripted_judge import judge_options
from tiny_reward_model import reward_model

from trl_r1.bench import KINDS, cases_of, kind_of, run_bench
from trl_r1.rewards import build_rewards, get_code_reward, get_repair_reward


NEVER_PAID = ("contract", "repetition", "length", "overlong", "preference")  # at most 0, or nobody knows
SHORT = {"cpu_seconds": 1.0, "wall_seconds": 4.0}
ROUTES = {"reasoning": "accuracy_reward", "choice": "get_choice_reward", "helpful": None}
OURS = {
    "accuracy": "accuracy_reward",
    "format": "format_reward",
    "language": "get_language_consistency_reward",
    "code": get_code_reward(limits=SHORT),
    "repair": get_repair_reward(limits=SHORT),
    "choice": "get_choice_reward",
    "puzzle": "get_reasoning_gym_reward",
    "json_schema": "get_json_schema_reward",
    "instruction": "get_instruction_reward",
    "repetition": "get_repetition_reward",
    "length": "get_length_reward",
    "overlong": {"get_soft_overlong_punishment": {"max_completion_len": 100, "soft_punish_cache": 20}},
    "preference": lambda: {"get_preference_reward": preference()},
    "judge": lambda: {"get_judge_reward": judge_options()},
    "routed": {"get_routed_reward": {"routes": ROUTES}},
    "contract": "accuracy_reward",
}


@pytest.mark.parametrize("kind", KINDS)
def test_ours_passes(kind):
    report = run_bench(OURS[kind]() if kind in ("judge", "preference") else OURS[kind], kind, seconds=60)
    assert report.passed, report.to_text()
    ran = {result.case.name for result in report.results}
    assert {case.name for case in cases_of(kind)} == ran - together(ran) | set(report.left_out)
    assert all(reason == "it holds for require_value: true" for reason in report.left_out.values())


def test_a_reward_that_asks_for_a_value_gets_cases_about_it():
    report = run_bench(*build_rewards([{"accuracy_reward": {"require_value": True}}]), isolation="thread")
    assert report.passed, report.to_text()
    assert "accuracy/differs_value_sum" in {result.case.name for result in report.results}
    assert report.left_out["accuracy/equal_reduced"] == "it holds for require_value: false"


def test_partial_credit_is_no_false_positive():
    report = run_bench({"get_repair_reward": {"partial_credit": True, "limits": SHORT}}, isolation="thread")
    assert report.passed, report.to_text()
    assert report.left_out == {"repair/visible_test_only": "it holds for partial_credit: false"}


def preference(**parameters):
    return {"model_name_or_path": reward_model(), **parameters}


@pytest.mark.parametrize(("limit", "cache"), [(1000, 1), (512, 512), (64, 0)])
def test_the_overlong_cases_go_by_the_limits_of_the_reward(limit, cache):
    spec = {"get_soft_overlong_punishment": {"max_completion_len": limit, "soft_punish_cache": cache}}
    report = run_bench(spec, isolation="thread")
    assert report.passed, report.to_text()
    assert report.kind == "overlong"


def test_a_reward_model_that_reads_everything_in_the_last_steps():
    spec = {"get_preference_reward": preference(reward_type="harmless", last_steps=5, batch_size=3)}
    report = run_bench(spec, isolation="thread")
    assert report.passed, report.to_text()
    assert report.kind == "preference"
    scores = {result.case.name: result.scores for result in report.results}
    assert scores["preference/before_the_last_steps"] == (None,)
    assert scores["preference/in_the_last_steps"] != (None,)


def test_a_real_judge_is_not_asked_to_follow_the_script():
    real = build_rewards([{"get_judge_reward": judge_options() | {"model": "other"}}])[0]
    assert kind_of(real) == "judge"
    left_out = {case.name for case in cases_of("judge")} - {case.name for case in cases_of("judge", real)}
    assert {"judge/status_500", "judge/quoted_first", "judge/status_401"} < left_out
    assert "judge/closing_mark" not in left_out


def together(names):
    return {name for name in names if "/together:" in name}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("contract", "preference")])
def test_a_reward_that_always_pays_fails(kind):
    report = run_bench(lambda completions, **kwargs: [1.0] * len(completions), kind, isolation="thread")
    assert report.counts["false positive"] > 5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NEVER_PAID])
def test_a_reward_that_never_pays_fails(kind):
    report = run_bench(lambda completions, **kwargs: [0.0] * len(completions), kind, isolation="thread")
    assert report.counts["false alarm"] > 5
