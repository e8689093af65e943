"""Errors of a reward under a budget: contained in a group, counted, shown, and bounded."""

import asyncio
import json

import pytest

from trl_r1.errors import RewardError, RewardFaultError
from trl_r1.rewards import build_rewards, ensure_checked
from trl_r1.rewards.error_budget import MIN_ROWS


PROMPTS = ["p", "p", "q", "q", "r", "r"]
COMPLETIONS = ["1", "2", "3", "boom", "5", "6"]


def fragile(completions, log_extra=None, log_metric=None, **kwargs):
    """Raises on one completion, after it has logged."""
    log_extra("seen", list(completions))
    log_metric("calls", len(completions))
    return [float(int(text)) for text in completions]


async def fragile_async(completions, **kwargs):
    await asyncio.sleep(0)
    return [float(int(text)) for text in completions]


def wrong_length(completions, **kwargs):
    return [1.0] * (len(completions) - ("boom" in completions))


def half_judged(completions, **kwargs):
    return [None if text == "boom" else 1.0 for text in completions]


def fault_reporting(completions, log_fault=None, **kwargs):
    """A whole group without a reward, through a fault."""
    for row, text in enumerate(completions):
        if text in {"5", "6"}:
            log_fault(row, "the grader is down")
    return [None if text in {"5", "6"} else 1.0 for text in completions]


def call(reward, prompts=PROMPTS, completions=COMPLETIONS):
    columns, metrics = {}, []
    arguments = {
        "prompts": prompts,
        "completions": completions,
        "log_extra": columns.__setitem__,
        "log_metric": lambda *entry: metrics.append(entry),
    }
    scores = reward(**arguments)
    return (asyncio.run(scores) if asyncio.iscoroutine(scores) else scores), columns, metrics


def isolated(function, tmp_path, share=0.5):
    reward = ensure_checked(function)
    reward.isolate(share, tmp_path / "out" / "reward_errors_0.jsonl")
    return reward


def exhibits(tmp_path):
    path = tmp_path / "out" / "reward_errors_0.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("function", [fragile, fragile_async])
def test_an_error_costs_its_group_only(function, tmp_path):
    reward = isolated(function, tmp_path)
    scores, _, metrics = call(reward)
    assert scores == [1.0, 2.0, None, None, 5.0, 6.0]
    assert reward.failed_rows == (2, 3)
    assert (f"reward_errors/{function.__name__}", pytest.approx(1 / 3)) in metrics
    shown = exhibits(tmp_path)
    assert [(line["prompt"], line["completion"]) for line in shown] == [("q", "3"), ("q", "boom")]
    assert shown[0]["reward"] == function.__name__
    assert "ValueError" in shown[0]["reason"]
    assert "test_error_budget.py, line" in shown[0]["reason"]


def test_an_error_that_quotes_a_key_is_shown_without_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "0123456789")

    def quoting(completions, **kwargs):
        raise ValueError("401 for key 0123456789")

    call(isolated(quoting, tmp_path, share=1.0))
    assert "401 for key [redacted]" in exhibits(tmp_path)[0]["reason"]


def test_logs_of_the_parts_are_one_batch_and_of_the_failed_call_none(tmp_path):
    _, columns, metrics = call(isolated(fragile, tmp_path))
    assert columns == {"seen": ["1", "2", None, None, "5", "6"]}
    assert [value for name, value in metrics if name == "calls"] == [2, 2]


def test_a_batch_without_errors_is_called_once_and_logs_as_before(tmp_path):
    good = ["1", "2", "3", "4", "5", "6"]
    reward = isolated(fragile, tmp_path)
    scores, columns, metrics = call(reward, completions=good)
    assert scores == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert columns == {"seen": good}
    assert metrics == [("calls", 6), ("reward_errors/fragile", 0.0)]
    assert reward.failed_rows == ()
    assert not exhibits(tmp_path)


@pytest.mark.parametrize(
    ("function", "expected", "failed"),
    [
        (wrong_length, [1.0, 1.0, None, None, 1.0, 1.0], (2, 3)),
        (half_judged, [1.0, 1.0, 1.0, None, 1.0, 1.0], (3,)),
        (fault_reporting, [1.0, 1.0, 1.0, 1.0, None, None], (4, 5)),
    ],
)
def test_what_else_counts_as_a_fault(function, expected, failed, tmp_path):
    reward = isolated(function, tmp_path)
    assert call(reward)[0] == expected
    assert reward.failed_rows == failed
    assert len(exhibits(tmp_path)) == len(failed)


def test_none_for_a_whole_group_is_no_fault(tmp_path):
    reward = isolated(lambda prompts, **kwargs: [None if text == "q" else 1.0 for text in prompts], tmp_path)
    assert call(reward)[0] == [1.0, 1.0, None, None, 1.0, 1.0]
    assert reward.failed_rows == ()


def test_a_batch_of_one_group_is_not_scored_twice(tmp_path):
    calls = []

    def broken(completions, **kwargs):
        calls.append(len(completions))
        raise OSError("gone")

    assert call(isolated(broken, tmp_path), prompts=["p"] * 6)[0] == [None] * 6
    assert calls == [6]


def test_the_run_stops_above_the_budget_with_its_share_and_file(tmp_path):
    reward = isolated(fragile, tmp_path, share=0.1)
    batches = -(-MIN_ROWS // len(PROMPTS))
    for _ in range(batches - 1):
        call(reward)
    with pytest.raises(RewardError, match=r"failed on \d+ of 66 rows \(33.3%\).*reward_error_budget 0.1.*jsonl"):
        call(reward)


def test_the_run_goes_on_within_the_budget(tmp_path):
    reward = isolated(fragile, tmp_path, share=0.34)
    for _ in range(20):
        call(reward)
    assert (reward.budget.rows, reward.budget.failed) == (120, 40)


def test_an_error_the_user_must_mend_stops_at_once(tmp_path):
    def unconfigured(completions, **kwargs):
        raise RewardError("install the extra")

    with pytest.raises(RewardError, match="install the extra"):
        call(isolated(unconfigured, tmp_path))


def test_a_missing_column_is_the_users_to_mend(tmp_path):
    def needy(completions, difficulty, **kwargs):
        return difficulty

    for reward in (isolated(needy, tmp_path), ensure_checked(needy)):
        with pytest.raises(RewardError, match="needy needs the column 'difficulty', and the rows have none") as error:
            call(reward)
        assert not isinstance(error.value, RewardFaultError)


def test_without_a_budget_the_first_error_ends_the_run():
    with pytest.raises(RewardError, match="raised ValueError"):
        call(ensure_checked(fragile))


def test_a_checked_reward_is_left_as_it_is():
    (reward,) = build_rewards(["format_reward"])
    assert ensure_checked(reward, "another name") is reward


def test_messages_are_shown_as_text(tmp_path):
    reward = isolated(fragile, tmp_path)
    prompts = [[{"role": "user", "content": "why"}]] * 2
    completions = [[{"role": "assistant", "content": text}] for text in ("boom", "2")]
    reward.function = lambda completions, **kwargs: [1 / 0 for _ in completions]
    call(reward, prompts, completions)
    assert [(line["prompt"], line["completion"]) for line in exhibits(tmp_path)] == [("why", "boom"), ("why", "2")]


def test_a_column_of_another_length_is_an_error():
    def hasty(completions, log_extra, **kwargs):
        log_extra("seen", completions[:1])
        return [0.0] * len(completions)

    with pytest.raises(RewardError, match="log_extra got 1 values of 'seen' for 2 completions"):
        ensure_checked(hasty).probe({"prompt": "p"})
