"""
What a job costs beside the generation it keeps, and the memory that reading many samples takes. On request:

    python tests/benchmarks/jobs.py overhead            # tiny policy, plain engine and job alternately, medians
    python tests/benchmarks/jobs.py memory --samples 100000

Overhead is CPU time of the process, and wall time, of the same samples with and without a folder. Memory is the peak
of a process that only reads a finished job: groups, summary, rows written.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "generation")]


def measure(call: Any) -> tuple[float, float]:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def overhead(repeats: int, batch_size: int, tokens: int) -> None:
    """Plain `engine.generate` against a job, alternately."""
    from tiny_models import make_model, make_tokenizer

    from trl_r1.generation import SamplingParameters, TransformersEngine
    from trl_r1.generation.jobs import GenerationJob

    tokenizer = make_tokenizer()
    engine = TransformersEngine(make_model(tokenizer), tokenizer)
    prompts = [f"what is {index % 9} plus {index % 7} ?" for index in range(250)]
    params = SamplingParameters(num_samples=4, batch_size=batch_size, max_new_tokens=tokens)
    engine.generate(prompts[:8], params)  # warm
    plain, kept = [], []
    for _ in range(repeats):
        plain.append(measure(lambda: engine.generate(prompts, params)))
        with tempfile.TemporaryDirectory() as folder:
            kept.append(measure(lambda folder=folder: GenerationJob(folder, prompts, params, engine).run()))
    batches = -(-len(prompts) * 4 // batch_size)
    for index, name in enumerate(["CPU", "wall"]):
        before, after = (statistics.median(run[index] for run in runs) for runs in (plain, kept))
        each = 1000 * (after - before) / batches
        show(f"{name}: plain {before:.2f} s, job {after:.2f} s, {batches} batches: {each:+.1f} ms a batch")


def memory(samples: int, batch_size: int) -> None:
    """Make a job without a model, then read it in this process; peaks before and after."""
    from datasets import Dataset
    from seeded_engine import SeededEngine

    from trl_r1.data.sample_rows import SampleRows
    from trl_r1.generation import SamplingParameters
    from trl_r1.generation.jobs import GenerationJob

    prompts = [f"what is {index} plus {index} ?" for index in range(samples // 4)]
    params = SamplingParameters(num_samples=4, batch_size=batch_size, max_new_tokens=512)
    columns: dict[str, list[Any]] = {"prompt": prompts, "problem": prompts, "solution": [None] * len(prompts)}
    columns |= {"prompt_tail": [""] * len(prompts), "response_format": ["r1"] * len(prompts)}
    with tempfile.TemporaryDirectory() as folder:
        job = GenerationJob(folder, prompts, params, SeededEngine())
        show(f"start: peak {peak():.0f} MiB")
        cpu, wall = measure(job.run)
        show(f"made {samples} samples: peak {peak():.0f} MiB, {cpu:.0f} s CPU, {wall:.0f} s")
        cpu, wall = measure(lambda: sum(1 for _ in job.groups()))
        show(f"groups: peak {peak():.0f} MiB, {cpu:.1f} s CPU, {wall:.1f} s")
        cpu, wall = measure(job.summary)
        show(f"summary: peak {peak():.0f} MiB, {cpu:.1f} s CPU, {wall:.1f} s; {job.summary()}")
        rows = SampleRows(job, Dataset.from_dict(columns), verify=False)
        cpu, wall = measure(rows.run)
        show(f"parsed: peak {peak():.0f} MiB, {cpu:.1f} s CPU, {wall:.1f} s")
        cpu, wall = measure(lambda: rows.write(Path(folder) / "data"))
        size = sum(path.stat().st_size for path in (Path(folder) / "data").iterdir()) / 2**20
        show(f"written {size:.0f} MiB: peak {peak():.0f} MiB, {cpu:.1f} s CPU, {wall:.1f} s; at the end {held()}")


def peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def held() -> str:
    """Memory of the process by kind: pages of mapped files can be given back at any time."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return ", ".join(" ".join(line.split()) for line in lines if line.startswith(("RssAnon", "RssFile")))


def show(line: str) -> None:
    """To standard output, at once."""
    print(line, flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "memory"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    if options.what == "overhead":
        overhead(options.repeats, options.batch_size, options.tokens)
    else:
        memory(options.samples, options.batch_size)


if __name__ == "__main__":
    main()
