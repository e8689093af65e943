"""How fast is each engine that runs in this process, on the same prompts?

    .venv-vllm/bin/python tests/benchmarks/engines.py [--model FOLDER] [--rounds 3] [--prompts 16] [--samples 4]
        [--tokens 64] [--dtype float32] [--seed 0]

Without a model: a random Llama (hidden 256, 8 heads, 6 layers, vocabulary 49). Needs vLLM, so the environment of
`make test-vllm`. The engines take turns, one round after another, with the same prompts and parameters. Prints the
medians over the rounds: generated tokens a second of wall time, and of processor time of this process (which other
processes move less); and how much of vLLM's is what Transformers' is.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import torch
from tiny_models import make_model, make_tokenizer

from trl_r1.generation import SamplingParameters, TransformersEngine, VLLMEngine


def make_policy(folder, seed):
    """A random policy, larger than the tests'."""
    tokenizer = make_tokenizer()
    make_model(tokenizer, seed=seed, layers=6, hidden=256).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_prompts(tokenizer, number):
    """Chats of different length."""
    chats = [
        [{"role": "user", "content": f"What is {' plus '.join(map(str, range(i, 2 * i + 2)))} ?"}]
        for i in range(number)
    ]
    return [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]


def measure(engine, prompts, params):
    """Tokens a second of wall time and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    engine.generate(prompts, params)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    tokens = engine.last_summary.num_tokens
    return tokens / wall, tokens / processor


def main():
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model or make_policy(folder, options.seed)
        vllm = VLLMEngine.from_pretrained(path, dtype=options.dtype)
        engines = {"transformers": TransformersEngine.from_pretrained(path, dtype=options.dtype), "vllm": vllm}
        found = {name: [] for name in engines}
        prompts = make_prompts(vllm.tokenizer, options.prompts)
        for turn in range(options.rounds + 1):
            params = SamplingParameters(
                max_new_tokens=options.tokens, num_samples=options.samples, seed=options.seed + turn
            )
            for name, engine in engines.items():
                speed = measure(engine, prompts, params)
                if turn:  # the first warms up
                    found[name].append(speed)
    print(f"{options.prompts} prompts x {options.samples} samples x at most {options.tokens} tokens, {options.dtype}")
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {vllm.identity['versions']}")
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, (wall, processor) in medians.items():
        rounds = ", ".join(f"{value:.0f}" for value, _ in found[name])
        print(f"{name:<13} {wall:7.0f} tokens/s wall ({rounds}), {processor:7.0f} tokens/s of processor time")
    ratios = [ours / theirs for ours, theirs in zip(medians["vllm"], medians["transformers"], strict=True)]
    print("vllm / transformers: {:.2f} wall, {:.2f} processor".format(*ratios))


if __name__ == "__main__":
    main()
