"""The bench half of `trl-r1 score`: attack rewards with the cases of their kind and show what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error, RewardError


if TYPE_CHECKING:
    from trl_r1.rewards.registry import RewardFunction


def bench_rewards(
    specs: Sequence[Any], *, kind: str | None = None, without: Sequence[str] = (), all_cases: bool = False
) -> int:
    """
    Bench rewards and print a line, or a table of failures, for each.

    Args:
        specs (`Sequence[Any]`):
            Rewards as in `reward_funcs`; without any, all of ours that need no parameters.
        kind (`str`, *optional*):
            Their kind; by default what is known of each, and those that ask a model are left out.
        without (`Sequence[str]`, *optional*):
            Cases to leave out, where a reward is meant to differ.
        all_cases (`bool`, *optional*, defaults to `False`):
            Whether to show cases that went as they must, too.

    Returns:
        `int`: 0 when all went as they must, else 1.

    Raises:
        [`R1Error`]: when a reward, the kind or a case is unknown, or nothing could be benched.
    """
    from rich.console import Console

    from trl_r1.bench import cases_of, kind_of, run_bench

    console = Console(emoji=False)
    benched, skipped = _choose(specs, with_models=kind is not None)
    if not benched:
        raise R1Error("score: none of the rewards can be benched: " + "; ".join(skipped))
    kinds = [kind or kind_of(reward) for reward in benched]
    known = {case.name for reward, name in zip(benched, kinds, strict=True) for case in cases_of(name, reward)}
    if unknown := sorted(set(without) - known):
        raise R1Error(f"without: there is no case {unknown[0]!r} for these rewards; --all shows their names")
    failed = 0
    for reward, name in zip(benched, kinds, strict=True):
        own = [case.name for case in cases_of(name, reward) if case.name in without]
        with console.status(f"{reward.name} ..."):
            report = run_bench(reward, name, without=own)
        if not report.results:
            skipped.append(f"{reward.name}: no case holds for its parameters")
            continue
        failed += not report.passed
        if report.passed and not all_cases:
            console.print(report.summary, style="green", highlight=False, markup=False)
        else:
            console.print(report.table(all_cases))
    for line in skipped:
        console.print(f"not benched: {line}", highlight=False, markup=False)
    verdict = "all as wanted" if not failed else f"{failed} of {len(benched)} rewards failed"
    console.print(f"bench: {verdict}", style="red" if failed else "green", highlight=False)
    return 1 if failed else 0


def _choose(specs: Sequence[Any], with_models: bool) -> tuple[list[RewardFunction], list[str]]:
    """Rewards to bench, and the others with the reason."""
    from trl_r1.bench import kind_of
    from trl_r1.rewards import build_rewards

    rewards, skipped = (build_rewards(specs), []) if specs else _ours()
    benched: list[RewardFunction] = []
    for reward in rewards:
        for part in getattr(reward.function, "parts", None) or [reward]:  # those a routed reward routes to
            if part.loads_model and not with_models:
                skipped.append(f"{part.name}: it asks a model (--kind {kind_of(part)} benches it all the same)")
            else:
                benched.append(part)
    return benched, skipped


def _ours() -> tuple[list[RewardFunction], list[str]]:
    """Every reward of ours that needs no parameters."""
    import trl_r1.rewards
    from trl_r1.rewards.registry import build_reward, reward_names

    rewards, skipped = [], []
    for name in reward_names():
        if name in trl_r1.rewards.__all__:
            try:
                rewards.append(build_reward(name))
            except RewardError as error:
                skipped.append(str(error).splitlines()[0].removeprefix("reward_funcs: "))
    return rewards, skipped
