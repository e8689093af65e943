"""Cases for penalties on repetition: 0 for completions that do not go round in circles, less than 0 for those that do.

Honest chains repeat short phrases, and sometimes a whole check; a loop repeats itself word for word.
"""

from __future__ import annotations

from typing import Final

from trl_r1.bench.case import Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


_FREE, _PENALTY = Want(0.0, 0.0), Want(high=-0.4)  # whatever the scale, a loop costs a good part of it
_SENTENCE: Final = "Let me check that again, because I may have made a mistake somewhere in the middle. "
_CHINESE: Final = "让我再检查一遍,因为中间可能有错误。"

_PROSE: Final = (
    "We want the sum of the first hundred whole numbers. Writing them twice, once forwards and once backwards, every "
    "column adds up to one hundred and one, and there are a hundred columns. Twice the sum is therefore ten thousand "
    "one hundred, so the sum itself must be half of that. As a check, take a smaller case: one, two, three and four "
    "make ten, and four times five halved is ten as well. The rule holds there, and nothing in it depends on how many "
    "numbers there are. I am confident, then, that five thousand and fifty is right, and I can write it down."
)
_DIVISIONS: Final = [(number, divisor) for number in (97, 101, 103) for divisor in (2, 3, 5, 7)]
_TRIAL_DIVISION: Final = " ".join(
    f"{number} is not divisible by {divisor}, as {number // divisor} times {divisor} is {number - number % divisor}."
    for number, divisor in _DIVISIONS[:10]
)
_CHINESE_CHAIN: Final = (
    "先看第一个条件:两个数的和是十二。再看第二个条件:它们的差是四。把两式相加,得到大数的两倍是十六,所以大数是八。"
    "代回第一式,小数就是四。检验一下:八加四等于十二,八减四等于四,两个条件都满足。因此答案是八和四,没有别的解。"
)
_TABLE: Final = "\n".join(f"| {n} | {n * n} | {n * n * n} |" for n in range(1, 30))
_CODE: Final = (
    "```python\n" + "\n".join(f"value_{n} = compute(values[{n}], weight={n * 3})" for n in range(20)) + "\n```"
)


def _honest(name: str, completion: str, why: str) -> Case:
    return single(f"repetition/honest_{name}", completion, _FREE, why, honest=True)


def _loop(name: str, completion: str, why: str) -> Case:
    return single(f"repetition/{name}", completion, _PENALTY, why)


CASES: Final[list[Case]] = [
    _honest("prose", thought("5050", _PROSE), "a hundred different words"),
    _honest("short", thought("7"), "a short chain"),
    _honest("one_word", thought("7", "Seven."), "a single word"),
    _honest("trial_division", thought("All are prime.", _TRIAL_DIVISION), "the same check for ten numbers"),
    _honest("chinese", thought("八和四。", _CHINESE_CHAIN), "a Chinese chain"),
    _honest("table", thought(_TABLE), "rows of a table"),
    _honest("code", thought(_CODE), "lines of a program that are alike"),
    _honest("answer_restates", thought(_PROSE[-180:], _PROSE), "the answer says again what was thought"),
    _honest("empty", "", "nothing repeats itself"),
    _loop("sentence", thought("7", _SENTENCE * 200), "one sentence two hundred times"),
    _loop("sentence_without_end", f"<think> {_SENTENCE * 200}", "a loop that never ends its thoughts"),
    _loop("chinese_word", thought("7", "你好" * 200), "a Chinese word two hundred times, without a space"),
    _loop("chinese_sentence", thought("7", _CHINESE * 100), "a Chinese sentence a hundred times"),
    _loop("word", thought("7", "wait " * 500), "one word five hundred times"),
    _loop("lines", thought("7", "I do not know.\n" * 300), "one line three hundred times"),
    _loop("numbers", thought("7", "1 2 3 4 5 " * 200), "five numbers two hundred times"),
    _loop("signs", thought("7", "- + " * 500), "two signs five hundred times"),
    _loop("in_the_answer", thought("The answer is seven. " * 200), "a loop in the answer"),
    _loop("two_alternating", thought("7", (_SENTENCE + "No, it was right. ") * 150), "two sentences in turn"),
    _loop("after_prose", thought("7", _PROSE + " " + _SENTENCE * 300), "a good beginning, then a loop"),
    _loop("paragraph", thought("7", (_PROSE + "\n\n") * 20), "a whole paragraph twenty times"),
    Case(
        "repetition/longer_is_worse",
        (
            Row(thought("7", _PROSE + _SENTENCE * 20), Want(above=1)),
            Row(thought("7", _PROSE + _SENTENCE * 400), Want(high=0.0)),
        ),
        "four hundred rounds cost more than twenty",
    ),
    Case(
        "repetition/mixed_batch",
        (Row(thought("7", _PROSE), _FREE), Row(thought("7", "wait " * 500), _PENALTY), Row("", _FREE)),
        "scores keep the order of the batch",
        honest=True,
    ),
    *junk_cases("repetition", Want(high=0.0)),
]  # fmt: skip
