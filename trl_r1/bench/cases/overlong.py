"""Cases for the soft overlong punishment (DAPO, eq. 13): by tokens, exactly at the borders of the reward's own limits.

With limit L and cache C it is 0 up to L - C tokens, falls evenly to -1 at L, and stays there.
"""

from __future__ import annotations

from typing import Any, Final

from trl_r1.bench.case import Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


LIMIT, CACHE = 100, 20  # of a reward that does not say its own
_SHORT: Final = thought("7", "a b c")
_LONG: Final = thought("7", "incomprehensibilities " * 200)


def cases_for(reward: Any = None) -> list[Case]:
    """The cases for a reward's `max_completion_len` and `soft_punish_cache`, by default 100 and 20."""
    limit = int(getattr(reward, "max_completion_len", LIMIT))
    cache = int(getattr(reward, "soft_punish_cache", CACHE))

    def row(tokens: int, text: str = _SHORT) -> Row:
        return Row(text, _punished(tokens, limit, cache), tokens=tokens)

    def case(name: str, tokens: int, why: str, *, text: str = _SHORT, honest: bool = False) -> Case:
        return Case(f"overlong/{name}", (row(tokens, text),), why, honest)

    free = max(0, limit - cache)
    return [
        case("honest_short", free // 2, "well within the limit", honest=True),
        case("honest_many_characters", free // 2, "few tokens, however many characters", text=_LONG, honest=True),
        case("honest_last_free", free, "the last length that costs nothing", honest=True),
        case("first_punished", free + 1, "a token more"),
        case("middle", free + cache // 2, "halfway into the cache"),
        case("last_before_limit", max(free, limit - 1), "a token below the limit"),
        case("limit", limit, "at the limit, where the punishment is full"),
        case("beyond", limit + 1, "a token beyond the limit"),
        case("far_beyond", 10 * limit, "it does not get worse than -1"),
        case("few_characters", limit + 1, "beyond the limit, however few characters", text="7"),
        Case(
            "overlong/mixed_batch",
            tuple(row(tokens) for tokens in (limit + 1, free, limit, 1, free + 1, 10 * limit)),
            "scores keep the order of the batch",
            honest=True,
        ),
        single("overlong/no_token", "", _punished(0, limit, cache), "an empty completion is not too long", tokens=0),
        *junk_cases("overlong", Want(-1.0, 0.0)),
    ]


def _punished(tokens: int, limit: int, cache: int) -> Want:
    if tokens > limit:
        return Want(-1.0, -1.0)
    score = min(0.0, (limit - cache - tokens) / cache) if cache else 0.0
    return Want(score, score)
