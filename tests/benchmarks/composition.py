"""What does composing a data set take, in time and memory, as it grows?

    python tests/benchmarks/composition.py [--rows 1000 10000 100000] [--near]

Rows of about 300 words, a fifth of them repeated, in two files; two of four domains have a share to meet. A size runs
in a process of its own: rows are read, deduplicated, balanced, counted with a tokenizer and written. Prints wall and
processor time and the largest resident memory beyond that of the imports, and between sizes the exponent of growth.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table


sys.path.insert(0, str(Path(__file__).parents[1]))
WORDS = [f"{letter}{number}" for letter in "abcdefgh" for number in range(200)]


def write(folder, rows, seed):
    """A data set of chats."""
    chance = random.Random(seed)
    folder.mkdir()
    last = None
    with (folder / "train.jsonl").open("w") as stream:
        for number in range(rows):
            if last is None or chance.random() > 0.2:
                thoughts = " ".join(chance.choices(WORDS, k=280))
                turns = [f"question {number} {seed} ?", f"<think> {thoughts} </think> it is {number % 9}"]
                last = [
                    {"role": role, "content": text} for role, text in zip(("user", "assistant"), turns, strict=True)
                ]
            stream.write(json.dumps({"messages": last, "domain": "abcd"[number % 4]}) + "\n")


def measure(rows, near):
    """One size, in this process."""
    from tiny_models import make_tokenizer

    from trl_r1.data.composition import CompositionOptions, compose
    from trl_r1.data.mixture import load_source
    from trl_r1.data.parquet_files import write_parquet

    tokenizer = make_tokenizer()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        for seed in (0, 1):
            write(folder / str(seed), rows // 2, seed)
        sources = [load_source(str(folder / str(seed))) for seed in (0, 1)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        options = CompositionOptions(
            domain_targets={"a": 0.2, "b": 0.1}, near_duplicate_threshold=0.8 if near else None
        )
        wall, cpu = time.perf_counter(), time.process_time()
        made = compose(sources, options, tokenizer)
        write_parquet(folder / "made", made.rows(), made.features(), len(made))
        taken = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps([len(made), *taken, (peak - before) / 1024, peak / 1024]) + "\n")


def main():
    """Every size, and a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--near", action="store_true", help="near-duplicates too")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one, options.near)
        return
    table = Table()
    for name in ("rows", "kept", "wall s", "CPU s", "memory beyond loading, MB", "peak, MB", "exponent"):
        table.add_column(name, justify="right")
    before = None
    for rows in options.rows:
        command = [sys.executable, __file__, "--one", str(rows), *(["--near"] if options.near else [])]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        kept, wall, cpu, memory, peak = json.loads(said.splitlines()[-1])
        exponent = f"{math.log(cpu / before[1]) / math.log(rows / before[0]):.2f}" if before else ""
        table.add_row(f"{rows:,}", f"{kept:,}", f"{wall:.1f}", f"{cpu:.1f}", f"{memory:.0f}", f"{peak:.0f}", exponent)
        before = rows, cpu
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
