"""Cases for rewards that prefer short right answers, by group and in tokens.

The columns are `solution` and the token ids. Scales differ, so most cases compare completions of one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trl_r1.bench.case import UNJUDGED, Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


_NUMBER: Final = Want()
_NO_BONUS: Final = Want(high=0.0)
_RIGHT: Final = thought(r"\boxed{7}")
_WRONG: Final = thought(r"\boxed{8}")
_COLUMNS: Final[dict[str, Any]] = {"solution": "7"}


def _group(
    rows: Sequence[tuple[str, int, Want]], prompt: str = "What is 3 + 4?", solution: str | None = "7"
) -> tuple[Row, ...]:
    return tuple(Row(text, want, {"solution": solution}, prompt, tokens) for text, tokens, want in rows)


def _case(name: str, rows: tuple[Row, ...], why: str, *, honest: bool = False) -> Case:
    return Case(f"length/{name}", rows, why, honest)


CASES: Final[list[Case]] = [
    single("length/honest_alone", _RIGHT, _NUMBER, "a right answer alone", honest=True, tokens=50, **_COLUMNS),
    _case("short_beats_long", _group([(_RIGHT, 100, Want(above=1)), (_RIGHT, 400, _NUMBER)]),
          "of two right answers the shorter earns more", honest=True),
    _case("ordered", _group([(_RIGHT, 100, Want(above=1)), (_RIGHT, 200, Want(above=2)), (_RIGHT, 300, Want(above=3)),
                             (_RIGHT, 400, _NUMBER)]), "four right answers, ordered by length", honest=True),
    _case("equal_lengths", _group([(_RIGHT, 200, _NUMBER), (_RIGHT, 200, Want(like=0)), (_RIGHT, 200, Want(like=0))]),
          "equal lengths earn the same: no division by their spread", honest=True),
    _case("tokens_not_characters",
          _group([(thought(r"\boxed{7}", "a b c d e f g"), 200, _NUMBER),
                  (thought(r"\boxed{7}", "incomprehensibilities " * 20), 200, Want(like=0))]),
          "length is counted in tokens"),
    _case("fewer_tokens_more_characters",
          _group([(thought(r"\boxed{7}", "incomprehensibilities " * 20), 100, Want(above=1)),
                  (thought(r"\boxed{7}", "a b c"), 400, _NUMBER)]),
          "fewer tokens are shorter, however many characters they are"),
    _case("by_group",
          _group([(_RIGHT, 100, _NUMBER), (_RIGHT, 100, Want(like=0))])
          + _group([(_RIGHT, 900, Want(like=0)), (_RIGHT, 900, Want(like=0))], "Prove it at length."),
          "a hard question's long answers are not compared with an easy one's"),
    _case("order_in_each_group",
          _group([(_RIGHT, 100, Want(above=1)), (_RIGHT, 400, _NUMBER)])
          + _group([(_RIGHT, 900, Want(above=3)), (_RIGHT, 3000, _NUMBER)], "Prove it at length."),
          "each group has its own shortest"),
    _case("far_too_long", _group([(_RIGHT, 500, Want(above=1)), (_RIGHT, 2000, Want()), (_RIGHT, 4000,
          Want(high=0.5))]),
          "the reward does not come back for very long answers"),
    _case("longer_never_more",
          _group([(_RIGHT, 100 * step, Want(above=step) if step < 20 else _NUMBER) for step in range(1, 21)]),
          "twenty right answers, each longer than the one before"),
    _case("wrong_earns_no_bonus", _group([(_WRONG, 50, _NO_BONUS), (_RIGHT, 400, _NUMBER), (_RIGHT, 800, _NUMBER)]),
          "a short wrong answer earns nothing for being short"),
    _case("empty_earns_no_bonus", _group([("", 0, _NO_BONUS), (_RIGHT, 400, _NUMBER), (_RIGHT, 800, _NUMBER)]),
          "an empty answer is the shortest, and earns nothing"),
    _case("guess_in_thoughts",
          _group([(r"<think> \boxed{7} </think>", 20, _NO_BONUS), (_RIGHT, 400, _NUMBER), (_RIGHT, 800, _NUMBER)]),
          "an answer in the thoughts is none"),
    _case("all_wrong", _group([(_WRONG, 100, _NO_BONUS), (_WRONG, 200, _NO_BONUS), (_WRONG, 300, _NO_BONUS)]),
          "no wrong answer earns a bonus"),
    _case("gold_none", _group([(_RIGHT, 100, UNJUDGED), (_RIGHT, 200, UNJUDGED)], solution=None),
          "rows without a gold answer"),
    _case("gold_unreadable", _group([(_RIGHT, 100, UNJUDGED), (_RIGHT, 200, UNJUDGED)], solution=r"\frac{}{}{"),
          "nobody can say that these are right"),
    *junk_cases("length", _NO_BONUS, **_COLUMNS),
]  # fmt: skip
