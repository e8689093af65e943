"""A pytest fixture that benches a reward. pytest finds it by itself wherever trl_r1 is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest


if TYPE_CHECKING:
    from trl_r1.bench.report import BenchReport


class RewardBench(Protocol):
    """What the fixture `reward_bench` is."""

    def __call__(self, reward: Any, kind: str | None = None, **options: Any) -> BenchReport:
        """Bench a reward; fails the test when a case does not go as it must."""


@pytest.fixture(scope="session")
def reward_bench() -> RewardBench:
    """
    Bench a reward: `reward_bench(my_reward, kind="accuracy")`.

    The arguments are those of [`~trl_r1.bench.run_bench`]. The test fails with a table of the cases that did not go as
    they must; else the report is returned.
    """

    def check(reward: Any, kind: str | None = None, **options: Any) -> BenchReport:
        from trl_r1.bench.runner import run_bench  # here, so that sessions without a bench stay quick

        report = run_bench(reward, kind, **options)
        if not report.passed:
            pytest.fail(report.to_text(), pytrace=False)
        return report

    return check
