"""The fixture `reward_bench`, in a test session of its own as a user would have it."""

import subprocess
import sys

import pytest


pytest_plugins = ["pytester"]

USERS_TEST = """
def always_right(completions, **kwargs):
    return [1.0] * len(completions)


def short_reward(completions, **kwargs):
    return [float(len(text) < 100) for text in completions]


def test_a_reward_with_holes(reward_bench):
    reward_bench(always_right, kind="format", isolation="thread")


def test_a_reward_that_keeps_its_contract(reward_bench):
    report = reward_bench(short_reward, isolation="thread")
    assert report.kind == "contract"


def test_a_known_difference_can_be_left_out(reward_bench):
    report = reward_bench(short_reward, without=["contract/plain"], isolation="thread")
    assert report.left_out == {"contract/plain": "left out on request"}
"""


@pytest.fixture
def users_session(pytester):
    pytester.makepyfile(USERS_TEST)
    return pytester.runpytest_inprocess()


def test_the_fixture_fails_with_the_table(users_session):
    users_session.assert_outcomes(passed=2, failed=1)
    shown = users_session.stdout.str()
    assert "false positive" in shown
    assert "format/no_tags" in shown
    assert "no thoughts" in shown
    assert "more failures" in shown
    assert "Traceback" not in shown


def test_the_plugin_is_found_and_light():
    code = (
        "import sys; from importlib.metadata import entry_points\n"
        "[point] = [p for p in entry_points(group='pytest11') if p.name == 'trl_r1']\n"
        "import pytest; point.load()\n"
        "print([name for name in ('torch', 'trl', 'transformers', 'rich', 'trl_r1.rewards') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
