"""Cases for one reward a type of row: each row gets the verdict of its own type's reward, and no type is lost.

They are for routes from `reasoning` to `accuracy_reward`, from `choice` to `get_choice_reward`, and from `helpful` to
no reward.
"""

from __future__ import annotations

from typing import Any, Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, Want, thought
from trl_r1.bench.cases.junk import junk_cases


_OPTIONS: Final = ["Oslo", "Bern", "Rome", "Lima"]


def _row(answer: str, want: Want, kind: str | None, solution: str | None) -> Row:
    choices = _OPTIONS if kind == "choice" else None
    columns: dict[str, Any] = {"solution": solution, "choices": choices, "reward_type": kind}
    return Row(thought(answer), want, columns)


def _case(name: str, rows: list[Row], why: str, *, honest: bool = False, refused: bool = False) -> Case:
    return Case(f"routed/{name}", tuple(rows), why, honest, refused=refused)


_SEVEN: Final = _row(r"\boxed{7}", RIGHT, "reasoning", "7")
_BERN: Final = _row("(B)", RIGHT, "choice", "B")
_CHAT: Final = _row("Hello!", UNJUDGED, "helpful", None)

CASES: Final[list[Case]] = [
    _case("honest_reasoning", [_SEVEN], "a right answer", honest=True),
    _case("honest_choice", [_BERN], "a right option", honest=True),
    _case("honest_option_by_text", [_row("Bern", RIGHT, "choice", "B")], "only the choice reward reads options",
          honest=True),
    _case("wrong_reasoning", [_row(r"\boxed{8}", WRONG, "reasoning", "7")], "a wrong answer"),
    _case("wrong_choice", [_row("(C)", WRONG, "choice", "B")], "a wrong option"),
    _case("number_for_option", [_row(r"\boxed{7}", UNJUDGED, "choice", "7")], "7 is right, but no option"),
    _case("no_reward", [_CHAT], "a type that other rewards judge gets no number"),
    _case("no_type", [_row(r"\boxed{7}", RIGHT, None, "7")], "a row without a type is reasoning", honest=True),
    _case("honest_by_turns", [_SEVEN, _BERN, _SEVEN, _BERN], "two types in turn", honest=True),
    _case("mixed_batch",
          [_BERN, _CHAT, _SEVEN, _row("(A)", WRONG, "choice", "B"), _row(r"\boxed{1}", WRONG, None, "7"), _BERN,
           _row("7", UNJUDGED, "reasoning", None)],
          "scores come back in the rows' own places", honest=True),
    _case("columns_of_the_row",
          [_BERN, _row(r"\boxed{3}", RIGHT, "reasoning", "3"), _row(r"\boxed{4}", RIGHT, "reasoning", "4"),
           _row("(D)", RIGHT, "choice", "D")], "each row keeps its own gold answer"),
    _case("unknown_type", [_SEVEN, _row("7", WRONG, "chess", "7")], "a type without a route is refused, not 0",
          refused=True),
    *junk_cases("routed", WRONG, solution="B", choices=_OPTIONS, reward_type="choice"),
]  # fmt: skip
