"""What do 1,000, 10,000 and 100,000 rows cost to filter, deduplicate and decontaminate?

    python tests/benchmarks/data_scale.py [--rows 1000 10000 100000] [--steps filter deduplicate decontaminate]

A row is a problem of about 60 words with a chain of thought of about 240 and a boxed answer; one in twenty repeats an
earlier one with a few words changed, one in two hundred holds a question of a benchmark of 1,000. The rows lie in an
Arrow file that is memory-mapped, as `datasets` reads all it prepares. Each step runs in a process of its own: wall and
CPU seconds of the step, peak memory of the process, and the peak of what of it is the process's own (the kernel counts
pages of a mapped file as well, and takes those back whenever it needs them).
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset


WORDS = (
    "the a of and to we then so first second number sum take both sides add subtract divide value equal gives since "
    "because hence total each other half twice remaining many few apples boxes metres hours minutes price cost train "
    "road house garden river circle line point square cube root power prime factor check again wait compute result"
)
QUESTIONS = 1_000


def main() -> None:
    """Measure every step at every size, and print a table with the exponents of growth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measure(*options.measure)))
        return
    measured: dict[str, dict[int, dict[str, Any]]] = {step: {} for step in options.steps}
    print("| step | rows | wall s | CPU s | peak MB | own MB | left out | exponent |\n|" + "---|" * 8)
    with tempfile.TemporaryDirectory() as folder:
        for size in options.rows:
            target = Path(folder) / str(size)
            _write(target, size, options.seed)
            for step in options.steps:
                command = [sys.executable, __file__, "--measure", step, str(target)]
                shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                measured[step][size] = json.loads(shown.splitlines()[-1])
                print(_line(step, size, measured[step]), flush=True)


def _line(step: str, size: int, own: dict[int, dict[str, Any]]) -> str:
    now, before = own[size], max((rows for rows in own if rows < size), default=None)
    exponent = "" if before is None else f"{math.log(now['cpu'] / own[before]['cpu']) / math.log(size / before):.2f}"
    figures = f"{now['wall']:.1f} | {now['cpu']:.1f} | {now['peak']:.0f} | {now['own']:.0f} | {now['out']}"
    return f"| {step} | {size:,} | {figures} | {exponent} |"


def _write(folder: Path, size: int, seed: int) -> None:
    from datasets.arrow_writer import ArrowWriter

    folder.mkdir()
    with ArrowWriter(path=str(folder / "rows.arrow")) as writer:
        for row in _rows(size, seed):
            writer.write(row)
        writer.finalize()


def _rows(size: int, seed: int) -> Iterator[dict[str, str]]:
    draw, vocabulary, recent = random.Random(seed), _vocabulary(), [""] * 50
    for number in range(size):
        problem = _text(draw, vocabulary, 60)
        reasoning = _text(draw, vocabulary, 240)
        if number % 200 == 100:
            problem = _question(draw.randrange(QUESTIONS))
        elif number % 20 == 19:
            own = recent[number % 50].split(" ")
            own[draw.randrange(len(own))] = draw.choice(vocabulary)
            reasoning = " ".join(own)
        recent[(number + 19) % 50] = reasoning
        answer = str(number)
        text = f"<think>\n{reasoning}\n</think>\nThe answer is \\boxed{{{answer}}}."
        yield {"problem": problem, "solution": answer, "completion": text, "reasoning": reasoning}


def _vocabulary() -> list[str]:
    """Common words, and as many rarer ones that texts differ by."""
    common = WORDS.split()
    return common * 12 + [first + second for first in common for second in common[:40]]


def _text(draw: random.Random, vocabulary: list[str], words: int) -> str:
    parts = [f"{draw.randrange(1000)}." if index % 17 == 16 else draw.choice(vocabulary) for index in range(words)]
    return " ".join(parts)


def _question(number: int) -> str:
    return _text(random.Random(10**6 + number), _vocabulary(), 60)


def _measure(step: str, folder: str) -> dict[str, Any]:
    dataset = Dataset.from_file(str(Path(folder) / "rows.arrow"))
    work = STEPS[step](dataset)
    own, done = [_own_megabytes()], threading.Event()
    watcher = threading.Thread(target=_watch, args=(own, done), daemon=True)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    left_out = work()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    done.set()
    watcher.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**seconds, "peak": peak, "own": max(own), "out": left_out}


def _watch(own: list[float], done: threading.Event) -> None:
    while not done.wait(0.1):
        own.append(_own_megabytes())


def _own_megabytes() -> float:
    """Memory of the process without the pages of files it has mapped."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def _filter(dataset: Dataset) -> Any:
    from trl_r1.chat_template import ThinkParser
    from trl_r1.data.filters import RejectionFilters, find_problem
    from trl_r1.data.judging import JudgedSample
    from trl_r1.generation import Completion
    from trl_r1.verifiers import Judgement, Verdict

    filters, parser = RejectionFilters(max_repetition=0.5), ThinkParser("r1")
    right = Judgement(Verdict.CORRECT, "as given", "normalised")

    def work() -> int:
        dropped = 0
        for row in dataset:
            text = row["completion"]
            completion = Completion(text=text, token_ids=(0,), finish_reason="stop")
            sample = JudgedSample(
                row=row,
                sample_index=0,
                prefill="",
                text=text,
                parsed=parser.parse(text),
                judgement=right,
                completion=completion,
            )
            dropped += find_problem(sample, filters, None) is not None
        return dropped

    return work


def _deduplicate(dataset: Dataset) -> Any:
    from trl_r1.data.near_duplicates import near_duplicates

    return lambda: sum(1 for _ in near_duplicates(dataset["reasoning"]))


def _decontaminate(dataset: Dataset) -> Any:
    from trl_r1.data.decontamination import Benchmark, decontaminate

    benchmark = Benchmark.from_texts("made", [_question(number) for number in range(QUESTIONS)])
    return lambda: decontaminate(dataset, [benchmark])[1].dropped


STEPS = {"filter": _filter, "deduplicate": _deduplicate, "decontaminate": _decontaminate}


if __name__ == "__main__":
    main()
