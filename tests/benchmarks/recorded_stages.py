"""Is a step with `fast: true` the same step on what the stages of the tiny pipeline really generate?

    trl-r1 run recipes/tiny/pipeline.yaml            # once: makes outputs/tiny
    python tests/benchmarks/recorded_stages.py [--outputs outputs/tiny] [--stages r1_zero ...] [--rollouts 3]

For each reinforcement learning stage, and for its policy at the start, in each checkpoint and at the end: draws
rollouts of the stage's own data, rewards and sizes, makes the gradient of each with `fast` off and on from the same
weights and random state, and compares tokens and gradients. With `fast` off the trainer is TRL's, bit for bit. The
distance of each gradient from that of the same rollout in float64 stands beside: it grows as a policy gets good, when
most terms of the gradient cancel.

Stages whose inputs are missing are named. `--prompts` makes the rollouts smaller, `--accumulation` cuts them into as
many micro-batches. Ratios are of processor time, one pair each.
"""

import os


os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import copy
import json
import logging
import tempfile
import time
from contextlib import chdir
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_model

from trl_r1.data import load_prompts
from trl_r1.errors import R1Error
from trl_r1.recipe import load_recipe, load_yaml
from trl_r1.rewards import build_rewards
from trl_r1.scripts.training import load_tokenizer, trainer_arguments
from trl_r1.trainer import R1GRPOTrainer


ROOT = Path(__file__).parents[2]
L2 = 2e-6


def stages():
    """Recipe of each reinforcement learning stage of the pipeline, by name."""
    found = load_yaml(ROOT / "recipes" / "tiny" / "pipeline.yaml")["stages"]
    return {name: f"recipes/tiny/{stage['config']}" for name, stage in found.items() if stage["script"] == "grpo"}


def make_trainer(config, fast, prompts, accumulation):
    """The stage's trainer, as `trl-r1 grpo` makes it."""
    options = {"output_dir": f"out_{fast}", "fast": fast, "prompts_per_step": prompts}
    options["gradient_accumulation_steps"] = accumulation
    given = [part for key, value in options.items() if value is not None for part in (f"--{key}", str(value))]
    recipe = load_recipe("grpo", ["--config", config, *given])
    rewards, tokenizer = build_rewards(recipe.script_args.reward_funcs), load_tokenizer(recipe)
    data = load_prompts(
        recipe.script_args,
        recipe.dataset_args,
        tokenizer,
        chat_template_kwargs=recipe.training_args.chat_template_kwargs,
        rewards=rewards,
    )
    return R1GRPOTrainer(reward_funcs=rewards, train_dataset=data.dataset, **trainer_arguments(recipe, tokenizer))


def rollout(trainer, rows, seed):
    """Tokens, rewards and gradient of one rollout, and the processor time it took."""
    trainer._step, trainer._buffered_inputs = 0, None
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    trainer.model.zero_grad(set_to_none=True)
    torch.manual_seed(seed)
    started = time.process_time()
    for _ in range(trainer.args.steps_per_generation):
        trainer.training_step(trainer.model_wrapped, copy.deepcopy(rows), None)
    seconds = time.process_time() - started
    gradient = torch.cat([parameter.grad.flatten() for parameter in trainer.model.parameters()])
    return trainer._last_rollout, gradient.clone(), seconds


def true_gradient(trainer):
    """The gradient of the rollout in the trainer's buffer in float64: TRL's loss on plain log-probabilities."""

    def log_probs(model, input_ids, attention_mask, logits_to_keep, *args, **kwargs):
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, -logits_to_keep - 1 : -1]
        every = (logits / trainer.temperature).log_softmax(dim=-1)
        found = every.gather(2, input_ids[:, -logits_to_keep:].unsqueeze(2)).squeeze(2)
        return found, torch.zeros_like(found), None  # the entropy is only logged

    def double(value):
        return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    batches = [{key: double(value) for key, value in batch.items()} for batch in trainer._buffered_inputs]
    trainer.model.double().zero_grad(set_to_none=True)
    trainer._get_per_token_logps_and_entropies = log_probs
    for batch in batches:
        trainer._prepare_inputs = lambda rows, batch=batch: batch
        trainer.training_step(trainer.model_wrapped, [], None)
    del trainer._prepare_inputs, trainer._get_per_token_logps_and_entropies
    found = torch.cat([parameter.grad.flatten() for parameter in trainer.model.parameters()])
    trainer.model.zero_grad(set_to_none=True)
    trainer.model.float()
    return found


def distance(found, wanted):
    """Relative l2 difference, the absolute one from zero."""
    return float((found.double() - wanted.double()).norm() / (wanted.double().norm() or 1.0))


def policies(name):
    """Where the weights of a stage lie: at its start (`None`), in its checkpoints, at its end."""
    folder = Path("outputs/tiny") / name
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return [None, *[path for path in (*checkpoints, folder) if (path / "model.safetensors").is_file()]]


def compare(name, config, rollouts=3, prompts=None, accumulation=None):
    """
    Compare `fast` off and on over rollouts of a stage. The working directory holds `recipes` and `outputs/tiny`.

    Returns a row for each policy and rollout.
    """
    stock, fast = (make_trainer(config, is_fast, prompts, accumulation) for is_fast in (False, True))
    batches = iter(stock.get_train_dataloader())
    found = []
    for folder in policies(name):
        if folder is not None:
            for trainer in (stock, fast):
                load_model(trainer.model, folder / "model.safetensors")
        for number in range(rollouts):
            rows = next(batches)
            (wanted, gradient, slow), (got, other, quick) = (
                rollout(trainer, rows, seed=number) for trainer in (stock, fast)
            )
            truth = true_gradient(stock)
            lengths = [len(ids) for ids in wanted.completion_ids]
            totals = wanted.totals.view(-1, wanted.num_generations)
            found.append(
                {
                    "stage": name,
                    "policy": "start" if folder is None else folder.name,
                    "rollout": number,
                    "rows": len(lengths),
                    "equal_tokens": sum(map(list.__eq__, wanted.completion_ids, got.completion_ids)),
                    "equal_rewards": bool(torch.equal(wanted.rewards.nan_to_num(), got.rewards.nan_to_num())),
                    "gradient_norm": float(truth.norm()),
                    "l2": distance(other, gradient),
                    "error": distance(gradient, truth),
                    "fast_error": distance(other, truth),
                    "mean_length": sum(lengths) / len(lengths),
                    "tied_rows": float((totals.amax(dim=1) == totals.amin(dim=1)).float().mean()),
                    "ratio": slow / quick,
                    "refused": fast._fast.refusals,
                }
            )
    return found


def show(rows, console):
    """A line for each policy of a stage."""
    table = Table(
        "stage",
        "policy",
        "rollouts",
        "equal rows",
        "largest l2",
        "error of TRL",
        "of fast",
        "tied",
        "length",
        "ratio (CPU)",
    )
    groups = {}
    for row in rows:
        groups.setdefault((row["stage"], row["policy"]), []).append(row)
    for (stage, policy), parts in groups.items():
        mean = {key: sum(part[key] for part in parts) / len(parts) for key in ("tied_rows", "mean_length", "ratio")}
        table.add_row(
            stage,
            policy,
            str(len(parts)),
            f"{sum(part['equal_tokens'] for part in parts)}/{sum(part['rows'] for part in parts)}",
            f"{max(part['l2'] for part in parts):.1e}",
            f"{max(part['error'] for part in parts):.1e}",
            f"{max(part['fast_error'] for part in parts):.1e}",
            f"{mean['tied_rows']:.0%}",
            f"{mean['mean_length']:.1f}",
            f"{mean['ratio']:.2f}",
        )
    console.print(table)


def main():
    """Compare every stage whose inputs are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, default=Path("outputs/tiny"), help="folder of the pipeline's run")
    parser.add_argument("--stages", nargs="+", choices=list(stages()), default=list(stages()))
    parser.add_argument("--rollouts", type=int, default=3, help="of each policy")
    parser.add_argument("--prompts", type=int, help="prompts of a rollout, instead of the recipe's")
    parser.add_argument("--accumulation", type=int, help="micro-batches of a rollout, instead of the recipe's")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    outputs, output = args.outputs.resolve(), args.output and args.output.resolve()
    console, rows = Console(width=140), []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), outputs)
        with chdir(folder):
            for name in args.stages:
                try:
                    rows += compare(name, stages()[name], args.rollouts, args.prompts, args.accumulation)
                except R1Error as error:
                    console.print(f"{name}: left out, {str(error).splitlines()[0]}")
    show(rows, console)
    if output:
        output.write_text(json.dumps(rows, indent=1))
    wrong = [row for row in rows if row["equal_tokens"] != row["rows"] or row["l2"] > L2]
    console.print(f"{len(rows) - len(wrong)} of {len(rows)} rollouts with equal tokens and l2 at most {L2:g}")


def prepare(folder, outputs):
    """Let the recipes' paths begin in a folder."""
    (folder / "outputs").mkdir()
    (folder / "outputs" / "tiny").symlink_to(outputs)
    (folder / "recipes").symlink_to(ROOT / "recipes")


if __name__ == "__main__":
    main()
