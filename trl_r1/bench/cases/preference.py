"""Cases for reward models: how scores must relate, whatever the model prefers.

The columns are `problem`, so that the prompt around it does not count, and `reward_type`.
"""

from __future__ import annotations

from typing import Any, Final

from trl_r1.bench.case import UNJUDGED, Case, Row, Want, thought
from trl_r1.bench.cases.junk import JUNK


_NEAR: Final = 1e-3  # batches of other shapes round otherwise; a bfloat16 model rounds more than that
_NUMBER: Final = Want(within=_NEAR)
_SAME, _OTHER = Want(like=0, within=_NEAR), Want(unlike=0, within=_NEAR)
_QUESTION: Final = "hello friend ?"
_KIND, _UNKIND = thought("hello friend", "so"), thought("go away", "so")
_SAME_ANSWER: Final = thought("hello friend", "go away")
_LONG: Final = thought("hello friend " * 30, "so")
_MOST_JUNK: Final = 2000  # characters: a real model reads every one


def cases_for(reward: Any = None) -> list[Case]:
    """The cases for what a reward `reads` (by default the answer), its `reward_type` and its `last_steps`."""
    kind = str(getattr(reward, "reward_type", "helpful"))
    whole = getattr(reward, "reads", "answer") == "response"

    def row(
        completion: Any,
        want: Want = _NUMBER,
        of: str | None = kind,
        question: str = _QUESTION,
        prompt: str = _QUESTION,
    ) -> Row:
        return Row(completion, want, {"problem": question, "reward_type": of}, prompt)

    def case(name: str, why: str, *rows: Row, honest: bool = False, progress: tuple[int, int] | None = None) -> Case:
        return Case(f"preference/{name}", rows, why, honest, progress=progress)

    cases = [
        case("honest_answer", "an ordinary answer", row(_KIND), honest=True),
        case("honest_messages", "as messages", row([{"role": "assistant", "content": _KIND}]), honest=True),
        case("honest_two_answers", "what is answered counts", row(_KIND), row(_UNKIND, _OTHER), honest=True),
        case("question_counts", "the same answer to another question", row(_KIND),
             row(_KIND, _OTHER, question="go away")),
        case("template_does_not_count", "a prompt template around the question", row(_KIND),
             row(_KIND, _SAME, prompt="the user : hello friend ? assistant :")),
        case("thoughts", "harm may be in the thoughts" if whole else "the thoughts stay free",
             row(_KIND), row(_SAME_ANSWER, _OTHER if whole else _SAME)),
        case("unanswered", "not answering must cost something: None would leave the group", row("<think> so"),
             row(""), row("<think> so </think>")),
        case("unanswered_thoughts", "what is not answered is read no more than that" if not whole else "all is read",
             row("<think> hello friend"), row("<think> go away", _OTHER if whole else _SAME)),
        case("other_type", "another reward's row", row(_KIND, UNJUDGED, f"not_{kind}")),
        case("no_type", "a row without a type, where others have one", row(_KIND, UNJUDGED, None)),
        case("mixed_batch", "scores keep the order of the batch", row(_KIND), row(_KIND, UNJUDGED, f"not_{kind}"),
             row(_UNKIND, _OTHER), row(_KIND, _SAME), honest=True),
        case("order", "a place in the batch earns nothing", row(_KIND), row(_UNKIND), row(_UNKIND, Want(like=1,
             within=_NEAR)), row(_KIND, _SAME)),
        case("padding", "beside a long completion or not, and in the last batch", row(_KIND), row(_LONG),
             *[row(_KIND, _SAME)] * 15),
    ]  # fmt: skip
    for name, text, why in JUNK:
        if len(text) <= _MOST_JUNK:
            cases.append(case(f"junk_{name}", f"junk: {why}", row(text), row(thought(text))))
    if last := getattr(reward, "last_steps", None):
        cases.append(case("before_the_last_steps", "not yet", row(_KIND, UNJUDGED), progress=(0, last + 1)))
        cases.append(case("in_the_last_steps", "now", row(_KIND), progress=(1, last + 1)))
    return cases
