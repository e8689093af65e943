"""How many rows of each domain, and which."""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from trl_r1.errors import DataError
from trl_r1.recipe.data_set_checks import target_problems


logger = logging.getLogger(__name__)


def plan_domains(
    available: Mapping[str, int], targets: Mapping[str, int | float], max_rows: int | None = None
) -> dict[str, int]:
    """
    How many rows of each domain to take.

    A whole number is a number of rows, or all where there are fewer, which is logged. A share holds exactly, up to
    rounding: the result is made as large as the domain that runs out first allows, and domains without a share fill
    the rest in proportion to their rows.

    Args:
        available (`Mapping[str, int]`):
            Rows of each domain.
        targets (`Mapping[str, int | float]`):
            Rows or share by domain; all rows of the others.
        max_rows (`int`, *optional*):
            Rows in all.

    Returns:
        `dict[str, int]`: for every domain of `available`.

    Raises:
        [`DataError`]: when a target is of no domain, or shares leave the rest of the result to nobody, or nothing to
            the other domains.

    Example:

    ```python
    >>> plan_domains({"math": 600, "code": 300, "general": 900}, {"general": 0.25})
    {'math': 600, 'code': 300, 'general': 300}
    ```
    """
    problems = target_problems(targets)
    unknown = [name for name in targets if name not in available]
    if unknown:
        problems.append(f"domain_targets: {unknown[0]!r} is no domain of the rows; they are of {', '.join(available)}")
    if problems:
        raise DataError("\n".join(problems))
    shares = {name: target for name, target in targets.items() if isinstance(target, float)}
    counts = {name: _rows(name, rows, targets.get(name)) for name, rows in available.items() if name not in shares}
    rest, share = sum(counts.values()), sum(shares.values())
    most = _total(rest, share, shares, available) if shares else float(rest)
    total = math.floor(min(most, math.inf if max_rows is None else max_rows) + 1e-6)
    scale = total * (1 - share) / rest if rest else 0.0
    wanted = {name: shares[name] * total if name in shares else counts[name] * scale for name in available}
    return _whole_numbers(wanted, total, available)


def draw_domains(
    domains: Sequence[str], targets: Mapping[str, int | float], max_rows: int | None, seed: int
) -> list[int]:
    """
    Choose rows by domain, each domain by a random choice of its own.

    Args:
        domains (`Sequence[str]`):
            The domain of each row.
        targets, max_rows:
            As of [`plan_domains`].
        seed (`int`):
            Of the choice.

    Returns:
        `list[int]`: places of the rows chosen, in order.
    """
    if not domains or (not targets and max_rows is None):
        return list(range(len(domains)))
    places: dict[str, list[int]] = {}
    for place, domain in enumerate(domains):
        places.setdefault(domain, []).append(place)
    plan = plan_domains(Counter(domains), targets, max_rows)
    chosen = [
        place
        for domain, own in places.items()
        for place in random.Random(f"{seed}:{domain}").sample(own, plan[domain])
    ]
    return sorted(chosen)


def _rows(name: str, available: int, target: int | float | None) -> int:
    if target is None:
        return available
    if target > available:
        logger.warning("domain_targets: %d rows of %s were asked for, and there are %d", target, name, available)
    return min(available, int(target))


def _total(rest: int, share: float, shares: Mapping[str, float], available: Mapping[str, int]) -> float:
    """The largest whole in which every share holds."""
    most = min(available[name] / part for name, part in shares.items())
    if share > 1 - 1e-9:
        if rest:
            raise DataError("domain_targets: the shares make up the whole and leave nothing to the other domains")
        return most
    if not rest:
        raise DataError(f"domain_targets: shares of {share:g} in all, and no other domain has rows to fill the rest")
    return min(most, rest / (1 - share))


def _whole_numbers(wanted: Mapping[str, float], total: int, available: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers that add up to `total`, the largest remainders rounded up."""
    plan = {name: min(available[name], math.floor(number + 1e-9)) for name, number in wanted.items()}
    by_remainder = sorted(wanted, key=lambda name: (plan[name] - wanted[name], name))
    for name in by_remainder:
        if sum(plan.values()) < total and plan[name] < available[name] and wanted[name] > plan[name]:
            plan[name] += 1
    return plan
