"""The tiny world: sums modulo ten in two languages, small enough to learn on a laptop.

A question names each operand by a label and asks for the running result modulo ten:

    what is a 4 plus b 5 minus c 3 ?            a 4 加 b 5 减 c 3 得 几 ?

A chain of thought copies each clause and writes the value reached after it: `a 4 plus b 5 9 minus c 3 6`. Only the
operation words differ between the languages, so a chain that takes `plus` from one and `减` from the other is a *mixed*
chain. Whoever wrote the corpus was careful with one operation in each language and careless with the other: a
careless author slips by one where a sum wraps past nine or below zero. That is what reinforcement learning can
repair, and why a policy that is paid for accuracy alone has no reason to stay in one language.

Everything here is a pure function of a `random.Random`, so a seed gives the corpus and all data sets. Questions are
assigned to train, validation or test by a hash of their arithmetic, whatever the language, and the corpus draws from
train only.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Literal


Language = Literal["en", "zh"]
Split = Literal["train", "validation", "test"]

LANGUAGES: tuple[Language, ...] = ("en", "zh")
MODULUS = 10
LABELS = tuple("abcdefghij")
OPERATION_WORDS: dict[Language, dict[str, str]] = {"en": {"+": "plus", "-": "minus"}, "zh": {"+": "加", "-": "减"}}
CAREFUL_LANGUAGE: dict[str, Language] = {"+": "zh", "-": "en"}


@dataclass(frozen=True, slots=True)
class Question:
    """A sum modulo ten.

    Args:
        start (`int`): First operand, 0 to 9.
        steps (`tuple[tuple[str, int], ...]`): Operation (`"+"` or `"-"`) and operand, 1 to 9, of each step.
        language (`"en"` or `"zh"`): Language the question is asked in.
    """

    start: int
    steps: tuple[tuple[str, int], ...]
    language: Language

    @property
    def content(self) -> str:
        """The arithmetic without its language, e.g. `"4+5-3"`."""
        return str(self.start) + "".join(f"{operation}{operand}" for operation, operand in self.steps)

    @property
    def split(self) -> Split:
        """Split this question belongs to: one in ten is test, one in ten validation."""
        bucket = hashlib.sha256(self.content.encode()).digest()[0] % 10
        return "test" if bucket == 0 else "validation" if bucket == 1 else "train"

    @property
    def values(self) -> tuple[int, ...]:
        """Value reached after each step, the last one being the answer."""
        reached = [self.start]
        for operation, operand in self.steps:
            reached.append(apply(reached[-1], operation, operand))
        return tuple(reached[1:])

    @property
    def problem(self) -> str:
        """The question as text, without a prompt template around it."""
        words = [LABELS[0], str(self.start)]
        for label, (operation, operand) in zip(LABELS[1:], self.steps, strict=False):
            words += [OPERATION_WORDS[self.language][operation], label, str(operand)]
        clauses = " ".join(words)
        return f"what is {clauses} ?" if self.language == "en" else f"{clauses} 得 几 ?"

    def to_row(self) -> dict[str, object]:
        """Row of a data set: `problem`, `solution`, `language`, `num_operations`, `reward_type`."""
        return {
            "problem": self.problem,
            "solution": str(self.values[-1]),
            "language": self.language,
            "num_operations": len(self.steps),
            "reward_type": "reasoning",
        }


def apply(value: int, operation: str, operand: int) -> int:
    """Returns `value` plus or minus `operand`, modulo ten."""
    return (value + operand if operation == "+" else value - operand) % MODULUS


def sample_question(
    rng: random.Random, num_operations: int, split: Split = "train", language: Language | None = None
) -> Question:
    """Draws a question of the given number of operations from one split, in a random language unless one is given."""
    while True:
        question = Question(
            start=rng.randrange(MODULUS),
            steps=tuple((rng.choice("+-"), rng.randint(1, 9)) for _ in range(num_operations)),
            language=language or rng.choice(LANGUAGES),
        )
        if question.split == split:
            return question


@dataclass(frozen=True, slots=True)
class Author:
    """How carefully and in what manner the corpus (or a teacher) writes a chain of thought.

    Args:
        slip (`float`): Chance of a random value at any step.
        careless_wrap_slip (`float`): Chance that a careless author is off by one at a step that wraps around.
        fix (`float`): Chance that a wrong value is followed by `wait` and the right one.
        false_alarm (`float`): Chance that a right value is followed by `wait` and the same value again.
        mixed (`float`): Share of chains that choose the language of each operation word at random.
        other (`float`): Share of chains wholly in the language the question is not asked in.
    """

    slip: float = 0.04
    careless_wrap_slip: float = 0.6
    fix: float = 0.3
    false_alarm: float = 0.01
    mixed: float = 0.45
    other: float = 0.15


CAREFUL_AUTHOR = Author(slip=0.0, careless_wrap_slip=0.0, mixed=0.0, other=0.0)


def render_chain(question: Question, rng: random.Random, author: Author = CAREFUL_AUTHOR) -> tuple[str, int]:
    """Writes a chain of thought for `question`.

    Returns:
        `tuple[str, int]`: The chain without any tag, such as `"a 4 plus b 5 9"`, and the value it ends with, which
        follows from what is written and may be wrong.
    """
    other: Language = "zh" if question.language == "en" else "en"
    draw = rng.random()
    choices = LANGUAGES if draw < author.mixed else (other,) if draw < author.mixed + author.other else None
    value = question.start
    words = [LABELS[0], str(value)]
    for label, (operation, operand) in zip(LABELS[1:], question.steps, strict=False):
        language = rng.choice(choices) if choices else question.language
        right = apply(value, operation, operand)
        value = _written_value(value, operation, operand, language, rng, author)
        words += [OPERATION_WORDS[language][operation], label, str(operand), str(value)]
        if rng.random() < (author.fix if value != right else author.false_alarm):
            value = right
            words += ["wait", str(value)]
    return " ".join(words), value


def _written_value(
    value: int, operation: str, operand: int, language: Language, rng: random.Random, author: Author
) -> int:
    """Value an author writes after a step: the right one, or a slip."""
    right = apply(value, operation, operand)
    exact = value + operand if operation == "+" else value - operand
    if language != CAREFUL_LANGUAGE[operation] and exact != right and rng.random() < author.careless_wrap_slip:
        return (right - 1 if operation == "+" else right + 1) % MODULUS
    return rng.randrange(MODULUS) if rng.random() < author.slip else right
