"""A benchmark, data that hold a known part of it, and data that only look like it: what decontamination is tested on.

`make_planted(seed)` writes 1,000 problems with contamination of each kind, 1,000 clean ones of other templates, and
1,000 hard negatives. Texts come from the templates below and from reasoning-gym; nothing is drawn twice.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import reasoning_gym


PLANTED = {  # rows a kind
    "verbatim": 150,
    "reformatted": 200,
    "respaced": 150,
    "renumbered": 150,
    "short": 100,
    "quoted in a trace": 100,
    "edited": 75,
    "paraphrased": 75,
}
CLEAN = ("clean: other templates", "clean: same boilerplate", "clean: same template, other story", "clean: short")
NEGATIVES = {CLEAN[0]: 1000, CLEAN[1]: 400, CLEAN[2]: 400, CLEAN[3]: 200}

# Numbers in the templates are {a} to {d}, the story {name}, {other}, {thing}, {place}, {job}. Words of "other_" are
# for hard negatives: a template of the benchmark, and no word of its stories. Boilerplate is longer than ten words.
TEXTS = json.loads((Path(__file__).parent / "planted_templates.json").read_text(encoding="utf-8"))
STORIES, FORMULAS, OTHER_STORIES = TEXTS["stories"], TEXTS["formulas"], TEXTS["other_stories"]
BOILERPLATE = TEXTS["boilerplate"]
SHORT = [
    (r"What is ${a} + {b}$?", lambda a, b: a + b),
    (r"Compute ${a} \cdot {b}$.", lambda a, b: a * b),
    (r"Evaluate $\frac{{{a}}}{{{b}}}$ as a decimal.", lambda a, b: round(a / b, 6)),
    (r"Solve $x - {a} = {b}$ for $x$.", lambda a, b: a + b),
    (r"Find $\gcd({a}, {b})$.", lambda a, b: math.gcd(a, b)),
    (r"计算 ${a} - {b}$ 的值", lambda a, b: a - b),
]
BENCHMARK_TASKS = ("leg_counting", "family_relationships", "time_intervals", "gsm_symbolic", "aiw")
CLEAN_TASKS = (
    "calendar_arithmetic",
    "syllogism",
    "knights_knaves",
    "number_filtering",
    "letter_counting",
    "word_sorting",
)
EDITS = {
    "how many": "what number of",
    "find": "work out",
    "each": "apiece",
    "compute": "calculate",
    "then": "afterwards",
}


@dataclass(frozen=True)
class PlantedRow:
    """A row of data, with what it is and the question it was made from (`None`: of none)."""

    problem: str
    solution: str
    trace: str
    kind: str
    question: int | None


@dataclass(frozen=True)
class Planted:
    """A benchmark and data made from it."""

    questions: list[str]
    answers: list[str]
    rows: list[PlantedRow]


def make_planted(seed: int) -> Planted:
    """Everything, decided by the seed."""
    draw = random.Random(seed)
    made = [_templated(draw, template) for template in (STORIES + FORMULAS) * 40]
    made += [_Made(text, answer) for text, answer in _gym(draw, BENCHMARK_TASKS, 40)]
    made += [_short(draw) for _ in range(150)]
    made += [_with_boilerplate(draw) for _ in range(60)]
    made = list({item.text: item for item in made}.values())
    draw.shuffle(made)
    rows = [row for kind, number in PLANTED.items() for row in _plant(draw, made, kind, number)]
    rows += _negatives(draw, made)
    draw.shuffle(rows)
    return Planted([item.text for item in made], [item.answer for item in made], rows)


@dataclass(frozen=True)
class _Made:
    text: str
    answer: str
    template: str = ""
    story: tuple[tuple[str, str], ...] = ()
    short: bool = False


def _story(draw: random.Random, prefix: str = "") -> dict[str, str]:
    name, other = draw.sample(TEXTS[f"{prefix}names"], 2)
    words = {each: draw.choice(TEXTS[f"{prefix}{each}s"]) for each in ("thing", "place", "job")}
    return {"name": name, "other": other, **words}


def _numbers(draw: random.Random) -> dict[str, int]:
    return dict(zip("abcd", draw.sample(range(2, 100), 4), strict=True))


def _templated(draw: random.Random, template: str, story: dict[str, str] | None = None) -> _Made:
    story = story or _story(draw)
    text = template.format(**story, **_numbers(draw))
    return _Made(text, str(draw.randrange(1, 1000)), template, tuple(story.items()))


def _short(draw: random.Random) -> _Made:
    template, solve = draw.choice(SHORT)
    a, b = draw.sample(range(12, 400), 2)
    return _Made(template.format(a=a, b=b), str(solve(a, b)), template, short=True)


def _with_boilerplate(draw: random.Random) -> _Made:
    made = _templated(draw, draw.choice(STORIES))
    return _Made(f"{made.text} {draw.choice(BOILERPLATE)}", made.answer)


def _gym(draw: random.Random, tasks: tuple[str, ...], size: int) -> list[tuple[str, str]]:
    seeds = {task: draw.randrange(10**6) for task in tasks}
    sets = [reasoning_gym.create_dataset(task, size=size, seed=seed) for task, seed in seeds.items()]
    return [(str(item["question"]), str(item["answer"])) for items in sets for item in items]


def _plant(draw: random.Random, made: list[_Made], kind: str, number: int) -> list[PlantedRow]:
    chosen = draw.sample([index for index, item in enumerate(made) if _fits(item, kind)], number)
    return [_planted_row(draw, made[index], kind, index) for index in chosen]


def _fits(item: _Made, kind: str) -> bool:
    """Whether a question can be planted as a kind: one needs a template, another formulas."""
    if kind in ("renumbered", "paraphrased", "edited"):
        return bool(item.story)
    if kind == "reformatted":
        return "$" in item.text and not item.short
    return item.short == (kind == "short")


def _planted_row(draw: random.Random, item: _Made, kind: str, index: int) -> PlantedRow:
    text, trace, solution = item.text, _chain(draw), item.answer
    if kind == "reformatted":
        text = retypeset(draw, text)
    elif kind == "respaced":
        text = respace(draw, text)
    elif kind == "renumbered":
        text, solution = item.template.format(**dict(item.story), **_numbers(draw)), str(draw.randrange(1, 1000))
    elif kind == "short":
        text = draw.choice([str, lambda own: retypeset(draw, own), lambda own: respace(draw, own)])(text)
    elif kind == "quoted in a trace":
        trace = f"{trace} This is like the problem: {retypeset(draw, text)} {_chain(draw)}"
        text = _other(draw)
    elif kind == "edited":
        text = edit(draw, text)
    elif kind == "paraphrased":
        text = paraphrase(draw, item)
    return PlantedRow(text, solution, trace, kind, index)


def _negatives(draw: random.Random, made: list[_Made]) -> list[PlantedRow]:
    known = {item.text for item in made}
    gym = [text for text, _ in _gym(draw, CLEAN_TASKS, 60)]
    makers: dict[str, Callable[[], str]] = {
        CLEAN[0]: lambda: gym.pop() if gym else _other(draw),
        CLEAN[1]: lambda: f"{_other(draw)} {draw.choice(BOILERPLATE)}",
        CLEAN[2]: lambda: _templated(draw, draw.choice(STORIES), _story(draw, "other_")).text,
        CLEAN[3]: lambda: _short(draw).text,
    }
    rows = []
    for kind, number in NEGATIVES.items():
        texts: dict[str, None] = {}
        while len(texts) < number:
            text = makers[kind]()
            if text not in known:
                texts[text] = None
        rows += [PlantedRow(text, str(draw.randrange(10**4, 10**5)), _chain(draw), kind, None) for text in texts]
    return rows


def _other(draw: random.Random) -> str:
    return draw.choice(OTHER_STORIES).format(**_story(draw), **_numbers(draw))


def _chain(draw: random.Random) -> str:
    parts = [f"So {draw.randrange(99)} plus {draw.randrange(99)} gives {draw.randrange(200)}, and we check it again."]
    parts += [draw.choice(["Let us go on.", "Now the second part.", "Wait, that cannot be.", "That is right."])]
    return " ".join(parts * draw.randrange(1, 6))


def retypeset(draw: random.Random, text: str) -> str:
    """The same problem as another author types it: each spelling changes with an even chance."""
    ways: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"\\frac\b", draw.choice([r"\\dfrac", r"\\tfrac", r"\\cfrac"])),
        (r"\\[dtc]?frac\{(\w+)\}\{(\w+)\}", draw.choice([r"\1/\2", r"{\1}/{\2}", r"\\frac {\1} {\2}"])),
        (r"\\cdot", draw.choice([r"\\times", "×", r"\\,", "*", "·"])),
        (r"\\left|\\right", ""),
        (r"(?<!\\left)\(", r"\\left("),
        (r"\^\{(\w)\}", r"^\1"),
        (r"\^\{?([23])\}?", lambda match: {"2": "²", "3": "³"}[match.group(1)]),
        (r"_\{(\w)\}", r"_\1"),
        (r"\\leq", draw.choice([r"\\le", "≤", r"\\leqslant"])),
        (r"\\geq", draw.choice([r"\\ge", "≥", r"\\geqslant"])),
        (r"\\text\{", draw.choice([r"\\mathrm{", r"\\textrm{", r"\\mbox{"])),
        (r"\\sqrt\{(\w+)\}", draw.choice([r"√\1", r"\\sqrt {\1}", r"\\sqrt{{\1}}"])),
        (r"\\pi", "π"),
        (r"(?<=\d),(?=\d{3})", draw.choice(["", "{,}", r"\\,", r"\\!"])),
        (r"\\ldots", draw.choice([r"\\dots", "...", "…", r"\\cdots"])),
        (r"\\%", draw.choice(["%", r"\\,\\%"])),
        (r"\\begin\{pmatrix\}|\\end\{pmatrix\}", lambda match: match.group().replace("pmatrix", "bmatrix")),
        (r"-", draw.choice(["−", "–"])),
        (r"\$([^$]*)\$", draw.choice([r"\\(\1\\)", r"\1", r"$$\1$$", r"$ \\displaystyle \1 $", r"\\[\1\\]"])),
        (r"[?.]$", ""),
        (r"^", draw.choice(["**Problem.** ", "", "1. "]) if draw.random() < 0.2 else ""),
    ]
    changed = [(way, to) for way, to in ways if draw.random() < 0.5]
    for way, to in changed:
        text = re.sub(way, to, text)
    return text.upper() if draw.random() < 0.05 and "\\" not in text else text


def respace(draw: random.Random, text: str) -> str:
    """The same problem with other spaces, where they mean nothing."""
    spaces = [" ", "  ", "\n", "\t", "\u00a0", "\u2009", " \n "]
    text = re.sub(r" ", lambda match: draw.choice(spaces), text)
    text = re.sub(r"\s*([=+<>])\s*", lambda match: draw.choice([r"{}", " {}", "{} ", " {} "]).format(match[1]), text)
    return draw.choice(["", " ", "\n\n"]) + text + draw.choice(["", " ", "\n"])


def edit(draw: random.Random, text: str) -> str:
    """The problem with one word put in, and up to two changed."""
    for old, new in draw.sample(sorted(EDITS.items()), 2):
        text = re.sub(rf"(?i)\b{old}\b", new, text, count=1)
    own = text.split(" ")
    place = draw.randrange(len(own))
    return " ".join([*own[:place], draw.choice(["exactly", "now"]), *own[place:]])


def paraphrase(draw: random.Random, item: _Made) -> str:
    """The facts of a problem in another order and other words: what no n-gram finds."""
    figures = re.findall(r"\d+", item.text)
    story = dict(item.story)
    facts = [f"one of the quantities is {figure}" for figure in figures]
    draw.shuffle(facts)
    return (
        f"Consider the situation of {story['name']} and a {story['job']}, in which {', '.join(facts)}. Work out what "
        f"was asked about the {story['thing']} near the {story['place']}."
    )
