"""
Write every data set of the tiny world, as JSON lines, from one seed.

    python recipes/tiny/make_data.py --output_dir outputs/tiny/data --seed 0

| file | rows | what for |
|---|---|---|
| `questions/train.jsonl` | questions of 2 to 5 operations | R1-Zero and everything after it |
| `questions/validation.jsonl`, `questions/test.jsonl` | 2 to 5 operations, by turns | choosing settings; the table |
| `questions_short/test.jsonl` | 2 to 4 operations, by turns | the table's headline |
| `harder_questions/test.jsonl` | 6 and 7 operations | longer than any question trained on |
| `slips/test.jsonl` | chains of 2 to 5 operations up to a wrong value | does a policy notice its own slips? |
| `greetings/train.jsonl`, `greetings/test.jsonl` | greetings | all-scenario reinforcement learning; rude rate |
| `all_scenarios/train.jsonl` | questions and greetings, mixed | all-scenario reinforcement learning |
| `general/train.jsonl` | greetings with replies, more than half of them rude | supervised fine-tuning |
| `preferences/train.jsonl` | pairs of replies | the reward model |

Training rows are drawn from the train split of the world, so no question of an evaluation occurs in them, in neither
language.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from world import (
    GREETING_THOUGHTS,
    MODULUS,
    RUDE_SHARE,
    Split,
    greeting_prompts,
    greeting_row,
    preference_pair,
    render_chain,
    sample_question,
    sample_reply,
)

from trl_r1.chat_template import join_response
from trl_r1.data import write_jsonl


Row = Mapping[str, Any]

TRAINED, HARDER = (2, 3, 4, 5), (6, 7)
HEADLINE = (2, 3, 4)
GREETING_SHARE = 0.4  # of the prompts of all-scenario reinforcement learning


def draw_questions(rng: random.Random, count: int, operations: Sequence[int], split: Split) -> list[Row]:
    """Questions with the numbers of operations taken by turns. Those of an evaluation are all different."""
    rows: list[Row] = []
    seen: set[str] = set()
    for _ in range(100 * count):
        if len(rows) == count:
            return rows
        question = sample_question(rng, operations[len(rows) % len(operations)], split)
        if split == "train" or question.problem not in seen:
            seen.add(question.problem)
            rows.append(question.to_row())
    raise ValueError(
        f"count: the {split} split has no {count} different questions of {operations} operations; ask fewer"
    )


def draw_slips(rng: random.Random, count: int) -> list[Row]:
    """Questions of the test split with the beginning of a chain whose last value is wrong.

    A chain that goes on from a wrong value ends wrong: accuracy after such a beginning is the share of slips noticed.
    """
    rows = []
    for row in range(count):
        question = sample_question(rng, TRAINED[row % len(TRAINED)], "test")
        chain, _ = render_chain(question, rng)
        words = chain.split()[: 2 + 4 * rng.randint(1, len(question.steps))]
        wrong = (int(words[-1]) + rng.randint(1, MODULUS - 1)) % MODULUS
        rows.append({**question.to_row(), "prefill": " ".join(["<think>", *words[:-1], str(wrong)])})
    return rows


def draw_general(rng: random.Random, count: int) -> list[Row]:
    """Greetings with responses in R1's format, rude ones more often than not."""
    prompts = greeting_prompts("train")
    return [
        {
            "problem": rng.choice(prompts),
            "response": join_response(rng.choice(GREETING_THOUGHTS), sample_reply(rng, rng.random() < RUDE_SHARE)),
        }
        for _ in range(count)
    ]


def draw_all_scenarios(rng: random.Random, count: int) -> list[Row]:
    """Questions and greetings, mixed at random."""
    greetings = greeting_prompts("train")
    return [
        greeting_row(rng.choice(greetings))
        if rng.random() < GREETING_SHARE
        else sample_question(rng, rng.choice(TRAINED)).to_row()
        for _ in range(count)
    ]


def build_datasets(seed: int) -> dict[str, Iterable[Row]]:
    """All data sets, by file name. Each has a generator of its own, so that one can change without the others."""

    def rng(name: str) -> random.Random:
        return random.Random(f"{seed}/{name}")

    return {
        "questions/train.jsonl": draw_questions(rng("train"), 6000, TRAINED, "train"),
        "questions/validation.jsonl": draw_questions(rng("validation"), 512, TRAINED, "validation"),
        "questions/test.jsonl": draw_questions(rng("test"), 640, TRAINED, "test"),
        "questions_short/test.jsonl": draw_questions(rng("headline"), 513, HEADLINE, "test"),
        "harder_questions/test.jsonl": draw_questions(rng("harder"), 512, HARDER, "test"),
        "slips/test.jsonl": draw_slips(rng("slips"), 512),
        "greetings/train.jsonl": [greeting_row(prompt) for prompt in greeting_prompts("train")],
        "greetings/test.jsonl": [greeting_row(prompt) for prompt in greeting_prompts("test")],
        "all_scenarios/train.jsonl": draw_all_scenarios(rng("all"), 3000),
        "general/train.jsonl": draw_general(rng("general"), 300),
        "preferences/train.jsonl": [preference_pair(generator) for generator in [rng("pairs")] for _ in range(4000)],
    }


def main() -> None:
    """Writes the data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of every data set")
    arguments = parser.parse_args()
    for name, rows in build_datasets(arguments.seed).items():
        write_jsonl(arguments.output_dir / name, rows)


if __name__ == "__main__":
    main()
