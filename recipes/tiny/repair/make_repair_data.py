"""
Write the data sets of the tiny world of repairs, as JSON lines, from one seed.

    python recipes/tiny/repair/make_repair_data.py --output_dir outputs/tiny/repair/data --seed 0

`tasks/train.jsonl` is for reinforcement learning, `validation.jsonl` beside it for choosing settings, `test.jsonl` for
the table. What a function computes decides its split, so no function of one file occurs in another, in no spelling.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from programs import NUM_LINES, Split, sample_bug

from trl_r1.data import write_jsonl


SIZES: dict[Split, int] = {"train": 3000, "validation": 510, "test": 510}


def draw_tasks(rng: random.Random, count: int, split: Split) -> list[dict[str, Any]]:
    """Different tasks about functions of one split, their numbers of lines taken by turns."""
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    while len(rows) < count:
        bug = sample_bug(rng, NUM_LINES[len(rows) % len(NUM_LINES)], split)
        if bug.problem not in seen:
            seen.add(bug.problem)
            rows.append(bug.to_row(rng))
    return rows


def main() -> None:
    """Writes the data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of every data set")
    arguments = parser.parse_args()
    for split, count in SIZES.items():
        rows = draw_tasks(random.Random(f"{arguments.seed}-{split}"), count, split)
        write_jsonl(arguments.output_dir / "tasks" / f"{split}.jsonl", rows)


if __name__ == "__main__":
    main()
