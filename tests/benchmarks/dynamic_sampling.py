"""Does dynamic sampling pay? Accuracy per generated token, with and without it, on the tiny world.

    python tests/benchmarks/dynamic_sampling.py --base outputs/tiny/base --output outputs/dynamic_sampling.json

The policy is the tiny world's base (`recipes/tiny/make_base.py --seed 0`), the task its R1-Zero stage with the
accuracy reward alone: at 4 completions a prompt most groups are tied, first because the policy solves few questions,
later because it solves nearly all. Both arms have the same settings and stop at the same number of generated tokens,
thrown away ones included. Accuracy is that of one sample at temperature 1 a question, on questions of the validation
split, read off at every tenth of the tokens. The settings below were written before the first run.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from trl_r1.configs import R1GRPOConfig
from trl_r1.evaluation.intervals import mean_interval
from trl_r1.generation import SamplingParameters, TransformersEngine
from trl_r1.rewards import accuracy_reward
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.rollout import RolloutCallback


sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "tiny"))
from world import sample_question


PROMPT = "user : {} assistant :"
OPERATIONS = (2, 3, 4, 5)
TRAIN_ROWS, VALIDATION_ROWS = 6000, 256
BUDGET = 150_000  # tokens of completions
READINGS = 10
STEPS = range(0, 61, 10)  # the fewest steps an arm makes within the budget, about
SETTINGS: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 64,
    "gradient_accumulation_steps": 1,
    "max_completion_length": 48,
    "learning_rate": 4e-4,
    "adam_beta2": 0.99,
    "lr_scheduler_type": "constant",
    "epsilon_high": 0.28,
    "temperature": 1.0,
    "max_steps": 10_000,  # the budget ends the run
}


def draw(rows: int, split: Any, seed: str) -> Dataset:
    """Questions with as many operations by turns."""
    rng = random.Random(seed)
    questions = [sample_question(rng, OPERATIONS[row % len(OPERATIONS)], split) for row in range(rows)]
    return Dataset.from_dict(
        {
            "prompt": [PROMPT.format(question.problem) for question in questions],
            "solution": [str(question.values[-1]) for question in questions],
            "response_format": ["r1_zero"] * rows,
        }
    )


class Budget(RolloutCallback):
    """Counts what is generated, reads the accuracy off at every part of the budget and ends the run at its end."""

    def __init__(self, validation: Dataset, tokenizer: Any) -> None:
        self.validation, self.tokenizer = validation, tokenizer
        self.tokens, self.groups, self.tied = 0, 0, 0
        self.curve: list[tuple[int, int, float]] = []  # tokens, steps, accuracy

    def on_rollout(self, rollout: Any, log_metric: Any) -> None:
        """Every round of generation counts."""
        self.tokens += sum(len(ids) for ids in rollout.completion_ids)
        groups = rollout.totals.view(-1, rollout.num_generations)
        self.groups += len(groups)
        self.tied += int((groups.amax(dim=1) == groups.amin(dim=1)).sum())

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """The untrained policy."""
        self.curve.append((0, 0, self.accuracy(model)))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """A reading when the next part of the budget is spent."""
        if self.tokens >= BUDGET * len(self.curve) / READINGS:
            self.curve.append((self.tokens, state.global_step, self.accuracy(model)))
        control.should_training_stop = self.tokens >= BUDGET

    def accuracy(self, model: Any) -> float:
        """Share of the validation questions one sample solves."""
        engine = TransformersEngine(model, self.tokenizer)
        params = SamplingParameters(temperature=1.0, max_new_tokens=48, seed=0)
        texts = [group[0].text for group in engine.generate(self.validation["prompt"], params)]
        rewards = accuracy_reward(
            texts, self.validation["solution"], response_format=self.validation["response_format"]
        )
        return statistics.mean(float(reward or 0.0) for reward in rewards)


def run(base: str, seed: int, dynamic: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """One arm of one seed."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    budget = Budget(draw(VALIDATION_ROWS, "validation", "validation"), tokenizer)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        arguments = R1GRPOConfig(
            output_dir=folder,
            seed=seed,
            dynamic_sampling=dynamic,
            skip_unscorable=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            logging_steps=10_000,
            report_to="none",
            disable_tqdm=True,
            **settings,
        )
        callbacks: list[TrainerCallback] = [budget]
        trainer = R1GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            args=arguments,
            processing_class=tokenizer,
            train_dataset=draw(TRAIN_ROWS, "train", f"train/{seed}"),
            reward_funcs=[accuracy_reward],
            callbacks=callbacks,
        )
        trainer.train()
    tokens, steps, accuracy = zip(*budget.curve, strict=True)
    read = np.interp(np.linspace(0, BUDGET, READINGS + 1), tokens, accuracy)
    by_step = np.interp(STEPS, steps, accuracy)
    return {
        "seed": seed,
        "dynamic_sampling": dynamic,
        "accuracy": [round(float(value), 4) for value in read],
        "mean_accuracy": float(read[1:].mean()),
        "accuracy_by_step": [round(float(value), 4) for value in by_step],
        "mean_by_step": float(by_step[1:].mean()),
        "steps": trainer.state.global_step,
        "generated_tokens": budget.tokens,
        "tied_share": budget.tied / budget.groups,
        "cpu_seconds": time.process_time() - began,
    }


def main() -> None:
    """Run all arms, print the table, write every number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="folder of the tiny world's base model")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--learning_rate", type=float, default=SETTINGS["learning_rate"], help="of both arms")
    arguments = parser.parse_args()
    settings = {**SETTINGS, "learning_rate": arguments.learning_rate}
    runs = []
    print("seed  dynamic  " + "  ".join(f"{BUDGET * part // READINGS // 1000:4d}k" for part in range(READINGS + 1)))
    for seed in arguments.seeds:
        for dynamic in (False, True):
            runs.append(run(arguments.base, seed, dynamic, settings))
            found = runs[-1]
            print(
                f"{seed:4d}  {'on' if dynamic else 'off':7}  "
                + "  ".join(f"{value:5.3f}" for value in found["accuracy"])
                + f"  mean {found['mean_accuracy']:.3f}  steps {found['steps']}  tied {found['tied_share']:.2f}"
                f"  tokens {found['generated_tokens']}  CPU {found['cpu_seconds']:.0f} s",
                flush=True,
            )
            arguments.output.write_text(json.dumps({"budget": BUDGET, "settings": settings, "runs": runs}, indent=1))
    for name, value in (
        ("mean over the budget", "mean_accuracy"),
        ("at its end", "final"),
        (f"mean over the first {STEPS[-1]} steps, whatever they cost", "mean_by_step"),
    ):
        pairs = [(off, on) for off, on in zip(runs[::2], runs[1::2], strict=True)]
        gains = [reading(on, value) - reading(off, value) for off, on in pairs]
        interval = mean_interval(gains)
        shown = "" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]"
        print(f"accuracy {name}, on - off: {statistics.mean(gains):+.3f}{shown} (Student over {len(gains)} seeds)")


def reading(found: dict[str, Any], name: str) -> float:
    """One number of a run."""
    return float(found["accuracy"][-1] if name == "final" else found[name])


if __name__ == "__main__":
    main()
