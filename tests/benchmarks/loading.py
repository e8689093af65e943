"""How long and how much memory does it take to read a recipe's rows? SFT chats, prompts and their fingerprints.

    python tests/benchmarks/loading.py --kind sft --rows 20000 --words 400 --workers 2

Rows are made up, of a fixed seed: problems of 20 words, chains of `--words` on average. The tokenizer is the tests'
(words of the tiny world), so that seconds are those of our own code and of `tokenizers`, not of a large vocabulary.
Each measurement is a fresh process with a fresh cache. Peak memory is that of the process that loads, by `getrusage`;
CPU seconds leave out those of its workers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def write_rows(folder: Path, kind: str, rows: int, words: int, seed: int) -> None:
    """A data set of that many rows."""
    rng = random.Random(seed)
    vocabulary = [*"0123456789abcdefgh", "what", "is", "plus", "minus", "so", "the", "answer"]
    with (folder / "train.jsonl").open("w", encoding="utf-8") as stream:
        for index in range(rows):
            problem = " ".join(rng.choices(vocabulary, k=20)) + f" {index} ?"
            if kind == "prompts":
                row: dict[str, object] = {"problem": problem, "solution": str(rng.randrange(10_000)), "language": "en"}
            else:
                chain = " ".join(rng.choices(vocabulary, k=rng.randint(words // 2, words * 3 // 2)))
                answer = rf"<think> {chain} </think> the answer is \boxed{{ {rng.randrange(10)} }}"
                turns = [{"role": "user", "content": problem}, {"role": "assistant", "content": answer}]
                row = {"messages": turns}
            stream.write(json.dumps(row) + "\n")


def load(kind: str, folder: Path, workers: int) -> dict[str, float]:
    """Seconds and peak memory of loading it, in this process."""
    import datasets
    from trl import SFTConfig

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tiny_models import make_tokenizer

    from trl_r1.data import load_prompts, load_sft
    from trl_r1.script_arguments import R1ScriptArguments

    datasets.disable_progress_bars()
    args, tokenizer = R1ScriptArguments(dataset_name=str(folder)), make_tokenizer()
    datasets.load_dataset(str(folder))  # the reading of JSON is not ours
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, worked = time.perf_counter(), time.process_time()
    if kind == "prompts":
        rows = len(load_prompts(args, None, tokenizer).dataset)
    else:
        config = SFTConfig(
            output_dir=str(folder / "out"), bf16=False, use_cpu=True, report_to="none", max_length=100_000
        )
        config.dataset_num_proc = workers
        rows = len(load_sft(args, None, tokenizer, config).dataset)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}
    return {"rows": rows, **times, "peak_mib": peak // 1024, "grown_mib": (peak - before) // 1024}


def main() -> None:
    """Measure once in a process of its own, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["sft", "prompts"], default="sft")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        sys.stdout.write(json.dumps(load(args.kind, args.folder, args.workers)) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), args.kind, args.rows, args.words, args.seed)
        subprocess.run(
            [sys.executable, *sys.argv, "--folder", folder],
            check=True,
            env={**os.environ, "HF_DATASETS_CACHE": f"{folder}/cache", "HF_HUB_OFFLINE": "1"},
        )


if __name__ == "__main__":
    main()
