"""How much faster is a step with `fast: true`, and is it the same step?

    python tests/benchmarks/grpo_step.py [--shape r1] [--rounds 5] [--switches] [--train-steps 0] [--output FILE]
    python tests/benchmarks/grpo_step.py --device cuda --dtype bfloat16 --size 0.5b --shape long

Stock TRL, the padded fast path and the whole fast path make the same step from the same weights and random state, one
after the other in one process, in an order that changes each round. Completions have the lengths of the workload
(`grpo_shapes.py`), forced by a logits processor in all of them. A step is generation, rewards (fixed numbers),
log-probabilities, loss and backward pass of a whole rollout, without optimiser; `--train-steps` adds runs of
`trainer.train()` with AdamW. Ratios are of processor time on the CPU and of wall time on a GPU, pair by pair.

One thread on the CPU, which is set before anything is measured. Give `--rounds` at least 5 for a figure to quote.
"""

import os


os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import logging
import platform
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from datasets import Dataset
from grpo_shapes import SHAPES, SIZES, make_tokenizer, shape_of
from rich.console import Console
from rich.table import Table
from torch.utils import flop_counter
from transformers import Qwen2ForCausalLM
from transformers.generation import LogitsProcessor, LogitsProcessorList
from trl import GRPOConfig, GRPOTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer


SWITCHES = ("fast_skip_zero_advantage", "fast_micro_batches", "fast_packed_forward", "fast_generation")
VARIANTS = {"stock": {}, "fast padded": {"fast": True, "fast_packed_forward": False}, "fast": {"fast": True}}
PHASES = ("generation", "passes", "step")
CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
CPU_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class ForcedLengths(LogitsProcessor):
    """Lets each row end at its own length and not before; a row keeps its length when others leave the batch."""

    def __init__(self, lengths, eos):
        self.lengths = self.left = lengths
        self.eos = eos
        self.start = None

    def select_rows(self, index):
        self.left = self.lengths[index]

    def __call__(self, input_ids, scores):
        if self.start is None:
            self.start = input_ids.shape[1]
        last = self.left.to(scores.device) - 1 <= input_ids.shape[1] - self.start
        scores[:, self.eos] = torch.where(last, 0.0, -torch.inf).to(scores.dtype)
        others = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        others[self.eos] = False
        return scores.masked_fill(last.unsqueeze(1) & others, -torch.inf)


class FixedRewards:
    """The workload's rewards, by place in the batch."""

    __name__ = "fixed"

    def __init__(self, rewards):
        self.rewards = rewards

    def __call__(self, completions, **kwargs):
        return self.rewards[: len(completions)]


class Clock:
    """Wall and processor time of the parts of a step."""

    def __init__(self, device):
        self.device = device
        self.spent = dict.fromkeys(PHASES, (0.0, 0.0))

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    @contextmanager
    def measure(self, phase):
        before = self.now()
        yield
        after = self.now()
        self.spent[phase] = tuple(
            old + end - start for old, start, end in zip(self.spent[phase], before, after, strict=True)
        )


class Runner:
    """One trainer of the comparison; without a `reward` it has the workload's fixed ones."""

    def __init__(self, name, options, shape, folder, args, reward=None):
        self.name, self.shape, self.device = name, shape, args.device
        config_class, trainer_class = (R1GRPOConfig, R1GRPOTrainer) if options else (GRPOConfig, GRPOTrainer)
        self.reward = reward or FixedRewards(shape.rewards)
        self.make = lambda: self._trainer(trainer_class, config_class, options, folder, args)
        self.trainer = self.make()
        self.tokens = None
        self.computed = {"generation": 0, "passes": 0}
        self.phase = "passes"
        fast = getattr(self.trainer, "_fast", None)
        self.refusals = dict(fast.refusals) if fast is not None else {}
        if shape.checkpointing:  # TRL switches it on in `train` only
            self.trainer.model.gradient_checkpointing_enable({"use_reentrant": False})
        self._count_tokens()
        self.trainer.model.train()

    def _trainer(self, trainer_class, config_class, options, folder, args):
        shape = self.shape
        config = config_class(
            output_dir=str(Path(folder) / "out"),
            use_cpu=args.device == "cpu",
            bf16=args.dtype == "bfloat16",
            per_device_train_batch_size=shape.per_device,
            gradient_accumulation_steps=shape.accumulation,
            steps_per_generation=shape.per_rollout,
            num_generations=shape.generations,
            max_completion_length=shape.limit,
            loss_type=shape.loss_type,
            beta=shape.beta,
            gradient_checkpointing=shape.checkpointing,
            model_init_kwargs={"dtype": "float32", "attn_implementation": args.attention},
            learning_rate=1e-3,
            max_steps=max(args.train_steps, 1),
            shuffle_dataset=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_steps=1000,
            seed=shape.seed,
            **options,
        )
        trainer = trainer_class(
            model=folder,
            args=config,
            processing_class=make_tokenizer(),
            train_dataset=Dataset.from_dict({"prompt": shape.prompt_texts}),
            reward_funcs=self.reward,
        )
        lengths = torch.tensor(shape.completion_lengths)
        stock = trainer.model._get_logits_processor
        trainer.model._get_logits_processor = lambda *a, **k: LogitsProcessorList(
            [*stock(*a, **k), ForcedLengths(lengths, trainer.model.config.eos_token_id)]
        )
        return trainer

    def _count_tokens(self):
        """Count what goes through the models, pads included."""

        def count(module, inputs, output):
            self.computed[self.phase] += inputs[0].numel()

        for model in filter(None, (self.trainer.model, self.trainer.ref_model)):
            model.get_input_embeddings().register_forward_hook(count)

    def step(self):
        """Make one rollout and its gradients. Returns the times of its parts."""
        trainer, shape, clock = self.trainer, self.shape, Clock(self.device)
        trainer._step, trainer._buffered_inputs = 0, None
        trainer.current_gradient_accumulation_steps = shape.accumulation
        trainer.model.zero_grad(set_to_none=True)
        self.computed = {"generation": 0, "passes": 0}
        stock = type(trainer)._generate

        def generate(prompts):
            self.phase = "generation"
            with clock.measure("generation"):
                output = stock(trainer, prompts)
            self.phase, self.tokens = "passes", output[1]
            return output

        trainer._generate = generate
        rows = [{"prompt": text} for text in shape.prompt_texts for _ in range(shape.generations)]
        torch.manual_seed(shape.seed)
        with clock.measure("step"):
            for _ in range(shape.per_rollout):
                trainer.training_step(trainer.model_wrapped, rows, None)
        del trainer._generate
        clock.spent["passes"] = tuple(
            whole - part for whole, part in zip(clock.spent["step"], clock.spent["generation"], strict=True)
        )
        return clock.spent

    def gradient(self):
        return torch.cat([each.grad.detach().flatten().float().cpu() for each in self.trainer.model.parameters()])

    def padding(self):
        """Tokens of the rollout for each token that went through the models: generation, passes."""
        shape = self.shape
        prompts = [len(text.split()) for text in shape.prompt_texts for _ in range(shape.generations)]
        real = sum(prompts) + sum(shape.completion_lengths)
        passes = 1 + (shape.beta > 0) + (shape.per_rollout > shape.accumulation)
        read = sum(prompts) + sum(shape.completion_lengths) - shape.rows  # the end token is not read again
        return read / self.computed["generation"], passes * real / self.computed["passes"]

    def executed_gflop(self):
        """Multiplications and additions of the matrix products of one step, counted as they are made."""
        mapping = {
            CPU_ATTENTION: lambda q, k, v, *a, out_shape=None, **kw: flop_counter.sdpa_flop_count(q, k, v),
            CPU_ATTENTION_BACKWARD: lambda g, q, k, v, *a, out_shape=None, **kw: flop_counter.sdpa_backward_flop_count(
                g, q, k, v
            ),
        }
        with flop_counter.FlopCounterMode(display=False, custom_mapping=mapping) as counter:
            self.step()
        return counter.get_total_flops() / 1e9


def matmul_limit(device, dtype, rounds=8):
    """Most GFLOP/s of a product of two square matrices, of 1024 on the CPU."""
    side = 1024 if device == "cpu" else 8192
    left = torch.randn(side, side, device=device, dtype=getattr(torch, dtype))
    clock, best = Clock(device), 0.0
    for _ in range(rounds):
        start = clock.now()
        left @ left
        wall, processor = (after - before for after, before in zip(clock.now(), start, strict=True))
        best = max(best, 2 * side**3 / (processor if device == "cpu" else wall) / 1e9)
    return best


def train_all(runners, device):
    """Run `trainer.train()` of each, from the first weights. Returns times and the tokens of every rollout."""
    found = {}
    for runner in runners:
        trainer, tokens = runner.make(), []
        stock = type(trainer)._generate

        def generate(prompts, trainer=trainer, tokens=tokens, stock=stock):
            output = stock(trainer, prompts)
            tokens.append(output[1])
            return output

        trainer._generate = generate
        clock = Clock(device)
        with clock.measure("step"):
            trainer.train()
        found[runner.name] = (clock.spent["step"], tokens)
    return found


def save_policy(shape, folder):
    """Random weights, from the workload's seed."""
    tokenizer, positions = make_tokenizer(), shape.prompt_lengths[1] + shape.limit + 8
    torch.manual_seed(shape.seed)
    config = SIZES[shape.size].config(tokenizer.eos_token_id, tokenizer.pad_token_id, positions)
    Qwen2ForCausalLM(config).save_pretrained(folder)


def measure(args):
    """Everything about one workload, as numbers."""
    shape, which = shape_of(args.shape, args.size, args.seed), 1 if args.device == "cpu" else 0
    variants = dict(VARIANTS)
    if args.switches:
        variants |= {name: {"fast": True, **{s: s == name for s in SWITCHES}} for name in SWITCHES}
    with tempfile.TemporaryDirectory() as folder:
        save_policy(shape, folder)
        runners = [Runner(name, options, shape, folder, args) for name, options in variants.items()]
        limit = matmul_limit(args.device, args.dtype)
        flops = {runner.name: runner.executed_gflop() for runner in runners}  # also warms everything up
        times = {runner.name: [] for runner in runners}
        for number in range(args.rounds):
            turn = number % len(runners)
            for runner in runners[turn:] + runners[:turn]:
                times[runner.name].append(runner.step())
        trained = train_all(runners, args.device) if args.train_steps else {}
    return report(args, shape, runners, times, flops, limit, trained, which)


def report(args, shape, runners, times, flops, limit, trained, which):
    """Ratios, equality and distance to the limit of each variant."""
    stock = runners[0]
    wanted, useful = stock.gradient(), sum(shape.useful_gflop())
    found = {}
    for runner in runners:
        entry = {"refused": runner.refusals}
        for phase in PHASES:
            own = [part[phase] for part in times[runner.name]]
            ratios = [base[phase][which] / mine[which] for base, mine in zip(times["stock"], own, strict=True)]
            entry[phase] = {
                "wall_s": statistics.median(wall for wall, _ in own),
                "cpu_s": statistics.median(processor for _, processor in own),
                "ratio": statistics.median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
                "ratios": ratios,
            }
        seconds = entry["step"]["cpu_s" if which else "wall_s"]
        generated, passes = runner.padding()
        entry |= {
            "rows_with_equal_tokens": sum(a == b for a, b in zip(runner.tokens, stock.tokens, strict=True)),
            "gradient_l2": float((runner.gradient() - wanted).norm() / wanted.norm()),
            "real_tokens_per_computed_generation": generated,
            "real_tokens_per_computed_passes": passes,
            "executed_gflop": flops[runner.name],
            "executed_share_of_limit": flops[runner.name] / seconds / limit,
            "useful_share_of_limit": useful / seconds / limit,
        }
        if trained:
            spent, tokens = trained[runner.name]
            base, base_tokens = trained["stock"]
            entry["train"] = {
                "wall_s": spent[0],
                "cpu_s": spent[1],
                "ratio": base[which] / spent[which],
                "rollouts_with_equal_tokens": sum(a == b for a, b in zip(tokens, base_tokens, strict=True)),
                "rollouts": len(tokens),
            }
        found[runner.name] = entry
    return {
        "shape": shape.name,
        "size": shape.size,
        "seed": shape.seed,
        "rounds": args.rounds,
        "device": torch.cuda.get_device_name() if args.device == "cuda" else platform.processor() or "cpu",
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "ratios_of": "processor time" if which else "wall time",
        "rows": shape.rows,
        "rows_without_gradient": 1 - sum(shape.live) / shape.rows,
        "mean_completion": sum(shape.completion_lengths) / shape.rows,
        "limit_gflop_s": limit,
        "useful_gflop": dict(zip(("generation", "passes"), shape.useful_gflop(), strict=True)),
        "peak_gpu_gib": torch.cuda.max_memory_allocated() / 2**30 if args.device == "cuda" else None,
        "variants": found,
    }


def show(result, console):
    """The result as tables."""
    console.print(
        f"\n[bold]{result['shape']}[/] · {result['size']} · {result['dtype']} · {result['rows']} rows, "
        f"{result['rows_without_gradient']:.0%} without gradient, completions of {result['mean_completion']:.0f} "
        f"tokens · {result['rounds']} rounds, ratios of {result['ratios_of']} "
        f"· limit {result['limit_gflop_s']:.0f} GFLOP/s"
    )
    table = Table("variant", *[f"{phase}: s, ratio [min, max]" for phase in PHASES], "equal rows", "gradient l2")
    work = Table(
        "variant", "real / computed tokens: generation", "passes", "GFLOP made", "of limit", "needed, of limit"
    )
    which = "cpu_s" if result["ratios_of"] == "processor time" else "wall_s"
    for name, entry in result["variants"].items():
        cells = [
            f"{entry[phase][which]:.2f}  {entry[phase]['ratio']:.2f} "
            f"[{entry[phase]['ratio_min']:.2f}, {entry[phase]['ratio_max']:.2f}]"
            for phase in PHASES
        ]
        table.add_row(
            name, *cells, f"{entry['rows_with_equal_tokens']}/{result['rows']}", f"{entry['gradient_l2']:.1e}"
        )
        work.add_row(
            name,
            f"{entry['real_tokens_per_computed_generation']:.2f}",
            f"{entry['real_tokens_per_computed_passes']:.2f}",
            f"{entry['executed_gflop']:.0f}",
            f"{entry['executed_share_of_limit']:.0%}",
            f"{entry['useful_share_of_limit']:.0%}",
        )
    console.print(table, work)
    for name, entry in result["variants"].items():
        for part, reason in entry["refused"].items():
            console.print(f"{name}: {part} is off: {reason}")
        if "train" in entry:
            run = entry["train"]
            console.print(
                f"{name}: train() {run['cpu_s']:.2f} s of processor time, ratio {run['ratio']:.2f}, equal tokens in "
                f"{run['rollouts_with_equal_tokens']} of {run['rollouts']} rollouts"
            )


def main():
    """Measure workloads, show them, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", default=["r1"], choices=[*SHAPES, "all"])
    parser.add_argument("--size", choices=list(SIZES), help="of the model, instead of the workload's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--switches", action="store_true", help="also each speed-up alone")
    parser.add_argument("--train-steps", type=int, default=0, help="optimiser steps of a run through train()")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--attention", default="sdpa", help="attn_implementation")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console, results = Console(width=150), []
    names = [name for name in SHAPES if name != "long"] if args.shape == ["all"] else args.shape
    for name in names:
        args.shape = name
        results.append(measure(args))
        show(results[-1], console)
        if args.output:
            args.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
