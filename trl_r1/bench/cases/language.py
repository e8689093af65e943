"""Cases for the language-consistency reward: the share of the words of the thoughts that are in the target language.

The column `language` names the target; without it, the language of the question (`problem`) is the target. Shares
are bounds wide enough for any fair way to count words.
"""

from __future__ import annotations

from typing import Final

from trl_r1.bench.case import Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


_ALL, _NONE, _NOTHING = Want(0.9, 1.0), Want(0.0, 0.1), Want(0.0, 0.0)
_ENGLISH: Final = "We add the two numbers and then we check that the result is right, because it is easy to be wrong."
_CHINESE: Final = "我们先把这两个数字加起来,然后检查结果是否正确,因为这里很容易出错。"
_ENGLISH_CODE: Final = (
    "```python\ndef add(first, second):\n    # return the sum of both\n    return first + second\n```"
)


def _share(name: str, reasoning: str, language: str, want: Want, why: str, *, honest: bool = False) -> Case:
    return single(f"language/{name}", thought("7", reasoning), want, why, honest=honest, language=language)


HONEST: Final[list[Case]] = [
    _share("honest_english", _ENGLISH, "en", _ALL, "English throughout", honest=True),
    _share("honest_chinese", _CHINESE, "zh", _ALL, "Chinese throughout", honest=True),
    _share("honest_english_maths", _ENGLISH + r" So $\alpha + \beta = \frac{1}{2}$ and \(x_1 \le 3\).", "en", _ALL,
           "mathematics is in no language", honest=True),
    _share("honest_chinese_maths", _CHINESE + r" 所以 $\sin x + \cos y = \frac{\pi}{2}$,即 $f(x)=\max(a, b)$。" * 3,
           "zh", _ALL, "Latin letters of mathematics are no English", honest=True),
    _share("honest_chinese_code", f"{_CHINESE}\n{_ENGLISH_CODE}\n{_CHINESE}", "zh", _ALL,
           "a fenced program is in no language", honest=True),
    _share("honest_chinese_inline_code", _CHINESE + " 用 `sorted(values)[0]` 取最小值。", "zh", _ALL,
           "code between backticks is in no language", honest=True),
    _share("honest_chinese_abbreviations", _CHINESE + "GPU 和 CPU 都可以。", "zh", _ALL, "abbreviations", honest=True),
    _share("honest_digits", f"{_ENGLISH} " + "1 2 3 4 5 6 7 8 9 " * 20, "en", _ALL, "digits", honest=True),
    _share("honest_long", _ENGLISH * 200, "en", _ALL, "20 kB of English", honest=True),
    single("language/honest_answer_elsewhere", thought(_ENGLISH, _CHINESE), _ALL, "only the thoughts count",
           honest=True, language="zh"),
    single("language/honest_target_of_question", thought("7", _CHINESE), _ALL, "a Chinese question, Chinese thoughts",
           honest=True, prompt="三加四等于多少?请先想一想。"),
    single("language/honest_prefilled", f"{_ENGLISH} </think> 7", _ALL, "the prompt opened the thoughts",
           honest=True, language="en", prompt_tail="<think>\n"),
]  # fmt: skip

TRICKS: Final[list[Case]] = [
    _share("other_language", _CHINESE, "en", _NONE, "Chinese thoughts to an English question"),
    _share("other_language_back", _ENGLISH, "zh", _NONE, "English thoughts to a Chinese question"),
    _share("half_and_half", f"{_ENGLISH} {_CHINESE}", "en", Want(0.3, 0.7), "half of it: a share, not 0 or 1"),
    _share("half_and_half_back", f"{_ENGLISH} {_CHINESE}", "zh", Want(0.3, 0.7), "half of it, asked in Chinese"),
    _share("mostly_chinese", f"{_CHINESE * 5} okay let us go", "zh", Want(0.85, 0.999), "no single word"),
    _share("mostly_chinese_asked_in_english", f"{_CHINESE * 5} okay let us go", "en", Want(0.001, 0.15),
           "four English words among sixty"),
    _share("one_word_per_sentence", "好 the 好 of 好 and 好 to 好 in" * 10, "en", Want(0.2, 0.8), "words alternate"),
    single("language/target_of_question", thought("7", _CHINESE), _NONE, "an English question, Chinese thoughts",
           prompt="What do three and four make together? Think first."),
    single("language/answer_in_target", thought(_ENGLISH * 3, _CHINESE), _NONE, "the summary does not count",
           language="en"),
    _share("empty_thoughts", "", "en", _NOTHING, "not to think is not to be consistent"),
    _share("blank_thoughts", "  \n ", "en", _NOTHING, "nor is white space"),
    _share("invisible_thoughts", "\u200b\u200d\ufeff", "en", _NOTHING, "nor are characters nobody sees"),
    _share("only_symbols", "+ - * / = ... !!! ???", "en", _NOTHING, "nor are symbols"),
    _share("only_digits", "1 2 3 4 5", "zh", _NOTHING, "nor are digits"),
    _share("only_maths", r"$\alpha + \beta = \gamma$ \[ x^2 \]", "en", _NOTHING, "nor is mathematics alone"),
    _share("only_code", _ENGLISH_CODE, "en", _NOTHING, "nor is a program alone"),
    single("language/no_thoughts", _ENGLISH, _NOTHING, "no thoughts at all", language="en"),
    single("language/thoughts_after_answer", f"7 <answer> 7 </answer> {_ENGLISH}", _NOTHING, "none", language="en"),
    Case(
        "language/mixed_batch",
        (
            Row(thought("7", _ENGLISH), _ALL, {"language": "en"}),
            Row(thought("7", _ENGLISH), _NONE, {"language": "zh"}),
            Row(thought("7", _CHINESE), _ALL, {"language": "zh"}),
            Row("", _NOTHING, {"language": "zh"}),
            Row(thought("7", _CHINESE), _NONE, {"language": "en"}),
        ),
        "each row by its own language, in the order of the batch",
        honest=True,
    ),
]  # fmt: skip

CASES: Final[list[Case]] = [
    *HONEST,
    *TRICKS,
    *junk_cases("language", Want(0.0, 1.0), language="en"),
]
