"""How a row of a known data set becomes a question: one reader a form of data set, looked up by name."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trl_r1.data.schemas.answers import gsm_answer, plain_gold
from trl_r1.errors import R1Error, RecipeError
from trl_r1.evaluation.benchmarks.code_readers import read_codeforces, read_humaneval, read_livecodebench, read_mbpp
from trl_r1.evaluation.benchmarks.instruction_reader import read_ifeval
from trl_r1.evaluation.benchmarks.unusable import UnusableRowError as UnusableRowError
from trl_r1.evaluation.benchmarks.unusable import text_of as text_of
from trl_r1.user_code import load_callable


Row = Mapping[str, Any]
Columns = Mapping[str, str]
Read = Callable[[Row, Columns, random.Random], dict[str, Any]]
MOST_CHOICES: Final = 26


@dataclass(frozen=True, slots=True)
class Reader:
    """
    A way to read rows.

    Args:
        read (`Callable`):
            From a row, the benchmark's columns and a random generator to a question; raises
            [`UnusableRowError`] with a short reason for a row that is none.
        columns (`dict[str, str]`, *optional*):
            What it needs, and the column it is in unless the benchmark says otherwise.
    """

    read: Read
    columns: dict[str, str] = field(default_factory=dict)


def find_reader(name: str) -> Reader:
    """
    A reader by its name, or a function of one's own.

    Raises:
        [`RecipeError`]: when there is none.
    """
    if name in READERS:
        return READERS[name]
    if "." not in name and ":" not in name:
        raise RecipeError([f"reader: {name!r} is unknown; use one of {', '.join(READERS)}, or file.py:name"])
    try:
        return Reader(_own(load_callable(name)))
    except R1Error as error:
        raise RecipeError([f"reader: {name}: {error}"]) from error


def _own(function: Callable[..., Any]) -> Read:
    """A user's function: it need not know of the random generator."""

    def read(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
        made = function(dict(row), dict(columns))
        if not isinstance(made, Mapping) or not isinstance(made.get("problem"), str):
            raise RecipeError([f"reader: {function.__name__} returned {made!r}; it must be a mapping with a problem"])
        return dict(made)

    return read


def read_math(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A problem with its gold answer."""
    gold = plain_gold(row[columns.get("solution", "answer")])
    if gold is None:
        raise UnusableRowError("gold_missing")
    return {"problem": text_of(row, columns.get("problem", "problem")), "solution": gold}


def read_gsm8k(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A problem whose worked solution ends in `#### 42`."""
    found = gsm_answer(str(row[columns.get("answer", "answer")]))
    if found is None:
        raise UnusableRowError("no_answer_after_mark")
    return {"problem": text_of(row, columns.get("question", "question")), "solution": found[1]}


def read_gpqa(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A question with one right and three wrong options in columns of their own, put in an order by lot."""
    names = {name: columns.get(name, own) for name, own in READERS["gpqa"].columns.items()}
    right = text_of(row, names["correct"])
    options = [right, *(text_of(row, names[f"incorrect_{number}"]) for number in (1, 2, 3))]
    rng.shuffle(options)
    return choice_row(text_of(row, names["question"]), options, options.index(right))


def read_options(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A question with a list of options and the right one's letter or number, in the order they have."""
    listed = row[columns.get("options", "options")]
    options = [str(option).strip() for option in listed] if isinstance(listed, list) else []
    gold = row[columns.get("answer", "answer")]
    is_letter = isinstance(gold, str) and len(gold.strip()) == 1 and gold.strip().isalpha()
    place = string.ascii_uppercase.find(gold.strip().upper()) if is_letter else gold
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(options) <= MOST_CHOICES:
        raise UnusableRowError("no_right_option")
    return choice_row(text_of(row, columns.get("question", "question")), options, place)


def choice_row(question: str, options: Sequence[str], right: int) -> dict[str, Any]:
    """A question with its lettered options, and what judges an answer to it."""
    if len(set(options)) != len(options) or not all(options):
        raise UnusableRowError("options_alike")
    listed = "\n".join(f"{letter}) {text}" for letter, text in zip(string.ascii_uppercase, options, strict=False))
    return {
        "problem": f"{question}\n\n{listed}",
        "choices": list(options),
        "solution": string.ascii_uppercase[right],
        "reward_type": "choice",
    }


def read_puzzle(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A puzzle of reasoning-gym, whose own scorer decides."""
    return {"problem": row["question"], "entry": row["entry"]}


def read_repair(row: Row, columns: Columns, rng: random.Random) -> dict[str, Any]:
    """A faulty program with hidden tests."""
    task = row["repair_task"]
    return {"problem": row["problem"], "repair_task": task if isinstance(task, str) else json.dumps(task)}


READERS: Final[Mapping[str, Reader]] = {
    "math": Reader(read_math, {"problem": "problem", "solution": "answer"}),
    "gsm8k": Reader(read_gsm8k, {"question": "question", "answer": "answer"}),
    "gpqa": Reader(
        read_gpqa,
        {
            "question": "Question",
            "correct": "Correct Answer",
            **{f"incorrect_{number}": f"Incorrect Answer {number}" for number in (1, 2, 3)},
        },
    ),
    "options": Reader(read_options, {"question": "question", "options": "options", "answer": "answer"}),
    "ifeval": Reader(read_ifeval, {"prompt": "prompt", "instruction_ids": "instruction_id_list", "kwargs": "kwargs"}),
    "humaneval": Reader(read_humaneval, {"prompt": "prompt", "test": "test", "entry_point": "entry_point"}),
    "mbpp": Reader(read_mbpp, {"problem": "text", "test_list": "test_list"}),
    "live_code_bench": Reader(
        read_livecodebench,
        {name: name for name in ("question_content", "public_test_cases", "private_test_cases", "contest_date")},
    ),
    "codeforces": Reader(read_codeforces, {name: name for name in ("description", "official_tests")}),
    "reasoning_gym": Reader(read_puzzle),
    "repair_bank": Reader(read_repair),
}
