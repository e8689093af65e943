"""Cases for rewards that judge puzzles of reasoning-gym: 1.0 for a solved one, else 0.0.

The column is `entry`, a puzzle as reasoning-gym made it, as JSON. Some of its scorers evaluate the answer as Python.
"""

from __future__ import annotations

import json
from typing import Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


_SUM: Final = json.dumps(
    {
        "question": "Calculate 5 - 3 - 6.",
        "answer": "-4",
        "metadata": {"source_dataset": "basic_arithmetic", "source_index": 0, "expression": "5 - 3 - 6"},
    }
)
_COUNTDOWN: Final = json.dumps(
    {
        "question": "Calculate 309 using all of these numbers: 6, 61, 94, 4. Each number may be used at most once.",
        "answer": "94*4 - 61 - 6",
        "metadata": {"source_dataset": "countdown", "numbers": [6, 61, 94, 4], "target": 309},
    }
)
_CIPHER: Final = json.dumps(
    {
        "question": "Decrypt this Caesar cipher text: MAHLX YKHF FTKL.",
        "answer": "THOSE FROM MARS",
        "metadata": {"source_dataset": "caesar_cipher", "rotation": 19, "clear_text": "THOSE FROM MARS"},
    }
)


def _case(name: str, answer: str, entry: str | None, want: Want, why: str, *, honest: bool = False) -> Case:
    return single(f"puzzle/{name}", thought(answer), want, why, honest=honest, entry=entry)


def _good(name: str, answer: str, entry: str, why: str) -> Case:
    return _case(f"honest_{name}", answer, entry, RIGHT, why, honest=True)


CASES: Final[list[Case]] = [
    _good("sum", "-4", _SUM, "the answer alone"),
    _good("boxed", r"So it is \boxed{-4}.", _SUM, "a boxed answer"),
    _good("countdown", "94*4 - 61 - 6", _COUNTDOWN, "the reference's own expression"),
    _good("countdown_other", "(94*4) - (6 + 61)", _COUNTDOWN, "another expression that is right"),
    _good("cipher", "THOSE FROM MARS", _CIPHER, "the clear text"),
    single("puzzle/honest_answer_block", "<think> a </think> <answer> -4 </answer>", RIGHT, "an answer block",
           honest=True, entry=_SUM),
    _case("wrong", "-5", _SUM, WRONG, "another number"),
    _case("sign", "4", _SUM, WRONG, "the sign counts"),
    _case("among_others", "It is -4, or -5, or -6.", _SUM, WRONG, "the answer among others"),
    _case("every_number", " ".join(map(str, range(-50, 50))), _SUM, WRONG, "all numbers, one of them right"),
    _case("part_of_cipher", "THOSE FROM", _CIPHER, WRONG, "a part of the text"),
    _case("more_than_cipher", "THOSE FROM MARS OR THE MOON", _CIPHER, WRONG, "more than the text"),
    _case("target_itself", "309", _COUNTDOWN, WRONG, "the target is no way to get there"),
    _case("other_numbers", "300 + 9", _COUNTDOWN, WRONG, "other numbers than the given"),
    _case("number_twice", "94*4 - 61 - 6 + 61 - 61", _COUNTDOWN, WRONG, "a number used three times"),
    _case("almost", "94*4 - 61", _COUNTDOWN, WRONG, "near the target earns no part"),
    _case("code_for_expression", "__import__('os')._exit(0)", _COUNTDOWN, WRONG, "a program in the place of a number"),
    _case("code_that_equals", "type('A', (int,), {'__eq__': lambda *a: True})(309)", _COUNTDOWN, WRONG,
          "an object that equals everything"),
    _case("tower", "9**9**9**9", _COUNTDOWN, WRONG, "a power that no memory holds"),
    _case("deep", "(" * 3000 + "1" + ")" * 3000, _COUNTDOWN, WRONG, "deeper than any parser"),
    single("puzzle/only_in_thoughts", thought("I am not sure.", "It is -4."), WRONG, "only in the thoughts",
           entry=_SUM),
    single("puzzle/thoughts_unclosed", "<think> -4", WRONG, "never answered", entry=_SUM),
    _case("no_entry", "-4", None, UNJUDGED, "a row without a puzzle"),
    _case("entry_unknown", "-4", '{"answer": "-4", "metadata": {"source_dataset": "no_such_thing"}}', UNJUDGED,
          "a puzzle that reasoning-gym does not know"),
    Case(
        "puzzle/mixed_batch",
        tuple(
            Row(thought(answer), want, {"entry": entry})
            for answer, want, entry in [
                ("-4", RIGHT, _SUM), ("x", UNJUDGED, None), ("5", WRONG, _SUM), ("THOSE FROM MARS", RIGHT, _CIPHER),
            ]
        ),
        "scores keep the order of the batch, around rows without a puzzle",
        honest=True,
    ),
    *junk_cases("puzzle", WRONG, entry=_SUM),
]  # fmt: skip
