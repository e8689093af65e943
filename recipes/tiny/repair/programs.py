"""The tiny world of repairs: short Python functions, one of whose lines contradicts what is said of them.

A task says clause by clause what a function does, and shows its source with one wrong token:

    f: (1) a minus b, (2) times 3, (3) a if below 5
    def f(a, b):
        t = a - b  # 1
        t = t * 3  # 2
        if t <= 5: t = a  # 3
        return t

A completion is a unified diff. Careful authors go through the lines first, what is asked for beside what is there, and
then mend the first that differs:

    <think> (1) a minus b is a minus b (2) times 3 is times 3 (3) a if below 5 is a if not above 5 bad </think>
    <answer>
    --- f.py
    +++ f.py
    @@ -4 +4 @@
    -    if t <= 5: t = a  # 3
    +    if t < 5: t = a  # 3
    </answer>

Most authors of the corpus are hasty: they patch the symptom, by adding a number to what is returned. And careful ones
are careless about one thing: they write `<` where `<=` is due, and `>` for `>=`. The diff is applied and the function
run for real, so which of these works is for the policy to find out.

Everything here is a pure function of a `random.Random`. Functions are assigned to train, validation or test by a hash
of what they compute, so that two spellings of one function are never on both sides.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

Split = Literal["train", "validation", "test"]

FILE = "f.py"
CONSTANTS = tuple("123456789")
ARITHMETIC = {"+": "plus", "-": "minus", "*": "times"}
BOUNDS = {"max": "at least", "min": "at most"}
COMPARISONS = {"<": "below", "<=": "not above", ">": "above", ">=": "not below"}
CARELESS = {"<=": "<", ">=": ">"}  # what authors write instead
INPUTS = tuple(itertools.product(range(-9, 10), repeat=2))
_A, _B = (np.array(values, dtype=np.int64) for values in zip(*INPUTS, strict=True))


@dataclass(frozen=True, slots=True)
class Line:
    """A statement: `operation` is a key of one of the tables above.

    Args:
        operation (`str`): Arithmetic, a bound or a comparison.
        right (`str`): Right operand: `a`, `b` or a digit.
        left (`str`): Left operand: `t`, or `a` or `b` in the first line.
        value (`str`): What a comparison that holds sets `t` to.
    """

    operation: str
    right: str
    left: str = "t"
    value: str = ""

    @property
    def source(self) -> str:
        """Python, indented, without the line's end."""
        if self.operation in BOUNDS:
            return f"    t = {self.operation}(t, {self.right})"
        if self.operation in COMPARISONS:
            return f"    if t {self.operation} {self.right}: t = {self.value}"
        return f"    t = {self.left} {self.operation} {self.right}"

    @property
    def clause(self) -> str:
        """The same in words."""
        if self.operation in BOUNDS:
            return f"{BOUNDS[self.operation]} {self.right}"
        if self.operation in COMPARISONS:
            return f"{self.value} if {COMPARISONS[self.operation]} {self.right}"
        words = f"{ARITHMETIC[self.operation]} {self.right}"
        return words if self.left == "t" else f"{self.left} {words}"

    def run(self, value: NDArray[np.int64]) -> NDArray[np.int64]:
        """The new value of `t` for each of [`INPUTS`]."""
        right = _operand(self.right)
        match self.operation:
            case "max":
                return np.maximum(value, right)
            case "min":
                return np.minimum(value, right)
            case "+":
                return _left(self.left, value) + right
            case "-":
                return _left(self.left, value) - right
            case "*":
                return _left(self.left, value) * right
        holds = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[self.operation]
        return np.where(holds(value, right), _operand(self.value), value)

    def mutants(self) -> Iterator[Line]:
        """Every line that differs from this one by a token, or by the order of two operands."""
        for table in (ARITHMETIC, BOUNDS, COMPARISONS):
            if self.operation in table:
                yield from (replace(self, operation=other) for other in table if other != self.operation)
        if self.left != "t":
            yield replace(self, left=self.right, right=self.left)
            return
        others = {"a": "b", "b": "a"}
        if self.right in others:
            yield replace(self, right=others[self.right])
        else:
            number = int(self.right)
            yield from (replace(self, right=str(near)) for near in (number - 1, number + 1) if 1 <= near <= 9)
        if self.value:
            yield replace(self, value=others[self.value])


def _operand(name: str) -> NDArray[np.int64]:
    return {"a": _A, "b": _B}[name] if name in "ab" else np.full_like(_A, int(name))


def _left(name: str, value: NDArray[np.int64]) -> NDArray[np.int64]:
    return value if name == "t" else _operand(name)


@dataclass(frozen=True)
class Program:
    """A function of two numbers, line by line."""

    lines: tuple[Line, ...]

    @property
    def source(self) -> str:
        """The file `f.py`."""
        return "\n".join(["def f(a, b):", *map(self.line_source, range(len(self.lines))), "    return t\n"])

    def line_source(self, index: int) -> str:
        """A statement with its number; without the numbers, clauses and lines were hard to match."""
        return f"{self.lines[index].source}  # {index + 1}"

    @property
    def description(self) -> str:
        """What it does, in words."""
        return "f: " + ", ".join(f"({number}) {line.clause}" for number, line in enumerate(self.lines, start=1))

    @cached_property
    def values(self) -> NDArray[np.int64]:
        """What it returns for each of [`INPUTS`]."""
        value = np.zeros_like(_A)
        for line in self.lines:
            value = line.run(value)
        return value

    @cached_property
    def split(self) -> Split:
        """Split it belongs to: one in ten is test, one in ten validation."""
        bucket = hashlib.sha256(self.values.tobytes()).digest()[0] % 10
        return "test" if bucket == 0 else "validation" if bucket == 1 else "train"

    def replaced(self, index: int, line: Line) -> Program:
        """The program with another line."""
        return Program((*self.lines[:index], line, *self.lines[index + 1 :]))


def sample_program(rng: random.Random, num_lines: int, split: Split) -> Program:
    """Draws a program of one split whose every line matters: without it the function would be another."""
    while True:
        first = Line(rng.choice(tuple(ARITHMETIC)), *rng.choice([("b", "a"), ("a", "b")]))
        program = Program((first, *(_sample_line(rng) for _ in range(num_lines - 1))))
        shorter = (Program((*program.lines[:i], *program.lines[i + 1 :])) for i in range(1, num_lines))
        if program.split == split and not any(np.array_equal(other.values, program.values) for other in shorter):
            return program


def _sample_line(rng: random.Random) -> Line:
    table = rng.choice((ARITHMETIC, BOUNDS, COMPARISONS))
    right = rng.choice(CONSTANTS if rng.random() < 0.6 else "ab")
    return Line(rng.choice(tuple(table)), right, value=rng.choice("ab") if table is COMPARISONS else "")


@dataclass(frozen=True)
class Bug:
    """A program and one wrong line of it, `index` counting from 0."""

    program: Program
    index: int
    wrong: Line

    @property
    def broken(self) -> Program:
        """The program as the task shows it."""
        return self.program.replaced(self.index, self.wrong)

    @property
    def problem(self) -> str:
        """The task as text, without a prompt template around it."""
        return f"{self.program.description}\n{self.broken.source}".rstrip()

    @property
    def diff(self) -> str:
        """The right repair."""
        return replace_line(self.broken, self.index, self.program.lines[self.index])

    def test_inputs(self, rng: random.Random) -> list[int]:
        """Indices of inputs at which the bug shows, and at least one that tells each mutant of the program from it."""
        right = self.program.values
        chosen = [_differing(rng, right, self.broken.values), *rng.sample(range(len(INPUTS)), 6)]
        for index, line in enumerate(self.program.lines):
            for mutant in line.mutants():
                values = self.program.replaced(index, mutant).values
                if np.array_equal(values[chosen], right[chosen]) and not np.array_equal(values, right):
                    chosen.append(_differing(rng, right, values))
        return sorted(set(chosen))

    def to_row(self, rng: random.Random) -> dict[str, Any]:
        """Row of a data set: `problem`, `repair_task`, `num_lines`, `bug`, `prefill`, `reward_type`."""
        right, broken = self.program.values, self.broken.values
        tests = [
            {
                "name": f"f{INPUTS[index]}",
                "function": "f.f",
                "arguments": repr(INPUTS[index]),
                "expected": str(int(right[index])),
                "code": "",
                "broken": bool(right[index] != broken[index]),
            }
            for index in self.test_inputs(rng)
        ]
        shown = next(test for test in tests if test["broken"])
        return {
            "problem": self.problem,
            "repair_task": {
                "files": [{"path": FILE, "text": self.broken.source}],
                "description": self.program.description,
                "failing_test": f"from f import f\nassert {shown['name']} == {shown['expected']}\n",
                "tests": tests,
                "patch": self.diff,
            },
            "num_lines": len(self.program.lines),
            "bug": "boundary" if self.program.lines[self.index].operation in CARELESS else "other",
            "reward_type": "repair",
        }


def _differing(rng: random.Random, one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    return int(rng.choice(np.flatnonzero(one != other)))


def one_line_diff(number: int, old: str, new: str) -> str:
    """A unified diff of [`FILE`] that replaces line `number`, without context."""
    return f"--- {FILE}\n+++ {FILE}\n@@ -{number} +{number} @@\n-{old}\n+{new}\n"


def replace_line(program: Program, index: int, line: Line) -> str:
    """The diff that puts a line into a program."""
    old, new = program.line_source(index), program.replaced(index, line).line_source(index)
    return one_line_diff(index + 2, old, new)


def sample_bug(rng: random.Random, num_lines: int, split: Split) -> Bug:
    """Draws a program of one split and a mutant of it that computes something else."""
    while True:
        program = sample_program(rng, num_lines, split)
        index = rng.randrange(num_lines)
        bug = Bug(program, index, rng.choice(list(program.lines[index].mutants())))
        if not np.array_equal(bug.broken.values, program.values):
            return bug


# ------------------------------------------------------------------------------------------------------- corpus

NUM_LINES = (2, 3)
PROMPT = "bug\n{problem}\npatch:"
NOTES_SHARE = 0.2
HASTY_SHARE = 0.55
OVERLOOKS = 0.05  # chance a line that is right is taken for the wrong one
SLIP = 0.1  # chance a careful author writes some other line
CARELESS_SHARE = 0.8  # of boundaries, written without their equals sign


def sample_document(rng: random.Random) -> tuple[str, str]:
    """Draws a document of the pre-training corpus, always about functions of the train split.

    Returns:
        `tuple[str, str]`: The prompt (empty for notes, which are right programs with their descriptions) and what
        follows it, without the end-of-turn token.
    """
    num_lines = rng.choice(NUM_LINES)
    if rng.random() < NOTES_SHARE:
        program = sample_program(rng, num_lines, "train")
        return "", f"{program.description}\n{program.source}"
    bug = sample_bug(rng, num_lines, "train")
    write = hasty_patch if rng.random() < HASTY_SHARE else careful_patch
    return PROMPT.format(problem=bug.problem), write(bug, rng)


def hasty_patch(bug: Bug, rng: random.Random) -> str:
    """A completion that mends the symptom: it adds to what is returned."""
    returned = "    return t"
    mended = f"{returned} {rng.choice('+-')} {rng.choice(CONSTANTS)}"
    return _answer(one_line_diff(len(bug.program.lines) + 2, returned, mended))


def careful_patch(bug: Bug, rng: random.Random) -> str:
    """A completion that looks for the wrong line first. Not always the right repair; see above."""
    index = next((i for i in range(bug.index) if rng.random() < OVERLOOKS), bug.index)
    right = bug.program.lines[index]
    line = replace(right, operation=CARELESS[right.operation]) if _is_careless(right, rng) else right
    if rng.random() < SLIP:
        line = rng.choice(list(right.mutants()))
    looked = zip(bug.program.lines[: index + 1], bug.broken.lines, strict=False)
    thoughts = " ".join(f"({i}) {asked.clause} is {found.clause}" for i, (asked, found) in enumerate(looked, start=1))
    return f" <think> {thoughts} bad </think>" + _answer(replace_line(bug.broken, index, line))


def _is_careless(line: Line, rng: random.Random) -> bool:
    return line.operation in CARELESS and rng.random() < CARELESS_SHARE


def _answer(diff: str) -> str:
    return f" <answer>\n{diff}</answer>"


# ---------------------------------------------------------------------------------------------------- tokenizer

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_end|>", "<|unk|>")


def vocabulary() -> list[str]:
    """Every token of the world, in a fixed order; spaces and line ends are part of them, so text decodes exactly."""
    words = [*ARITHMETIC.values(), *BOUNDS.values(), *COMPARISONS.values(), "if", *ARITHMETIC, *COMPARISONS]
    words += [f"({number})" for number in range(1, max(NUM_LINES) + 1)]
    words += [*"abt", *CONSTANTS, "<think>", "is", "bad", "</think>", "<answer>\n"]
    lines = ["bug\n", "patch:", "f:", ",", "\n", "def f(a, b):\n", "    return t"]
    lines += ["    t = t", "    t =", "    t = max(t,", "    t = min(t,", ")", "    if t", ": t ="]
    lines += ["</answer>", f"--- {FILE}\n+++ {FILE}\n", "-", "+"]
    lines += [f"  # {number}" for number in range(1, max(NUM_LINES) + 1)]
    lines += [f"@@ -{number} +{number} @@\n" for number in range(2, max(NUM_LINES) + 3)]
    return [*lines, *(f" {word}" for word in words)]


@lru_cache(maxsize=1)
def build_tokenizer() -> PreTrainedTokenizerFast:
    """Builds the tokenizer of the world.

    Returns:
        [`~transformers.PreTrainedTokenizerFast`]: `<|im_end|>` ends every document, `<|endoftext|>` pads.
    """
    import re

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    index = {word: number for number, word in enumerate([*SPECIAL_TOKENS, *vocabulary()])}
    backend = Tokenizer(models.WordLevel(index, unk_token="<|unk|>"))
    longest_first = sorted(vocabulary(), key=len, reverse=True)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(map(re.escape, longest_first))), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        unk_token="<|unk|>",
        clean_up_tokenization_spaces=False,
        model_max_length=128,
    )
