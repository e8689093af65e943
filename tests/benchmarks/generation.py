"""What does `compact_generation` save, against `generate` as it is in the same process?

    python tests/benchmarks/generation.py [--shape r1] [--rounds 5] [--seed 0]

Random Qwen2 (hidden 256, 6 layers, 8 heads, vocabulary 2,048), float32; 8 prompts of 48 to 95 tokens, 8 completions
each. How long each completion is, is set on both sides by a logits processor, so both do the same work:

    r1         lognormal lengths between 8 and 256, mean 93
    uniform    uniform between 8 and 256
    worst      all 256, and 64 different prompts of one length: nothing to leave out

Prints, a round, the ratio of processor times, that of wall times (which other processes move more), and the share of
rows whose tokens are the same.
"""

import argparse
import os
import statistics
import time

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, Qwen2Config, Qwen2ForCausalLM

from trl_r1.generation.compaction import compact_generation


VOCABULARY, END, PAD = 2048, 1, 0
PROMPTS, GROUP, LIMIT = 8, 8, 256


class SetLengths(LogitsProcessor):
    """Ends each row at its own length and not before."""

    def __init__(self, lengths, prompt_length):
        self.lengths = self.left = lengths
        self.prompt_length = prompt_length

    def select_rows(self, index):
        """Follow the rows that are left."""
        self.left = self.lengths[index]

    def __call__(self, input_ids, scores):
        """Forbid the end token, or all others."""
        last = self.left <= input_ids.shape[1] + 1 - self.prompt_length
        scores[:, END] = -torch.inf
        if last.any():
            scores[last] = -torch.inf
            scores[last, END] = 0.0
        return scores


def make_model(seed, hidden=256, layers=6):
    """The policy."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=704,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return Qwen2ForCausalLM(config).eval()


def make_inputs(shape, seed):
    """Prompts with their mask, and the length of each completion."""
    draw = torch.Generator().manual_seed(seed)
    distinct = PROMPTS * GROUP if shape == "worst" else PROMPTS
    sizes = torch.randint(48, 96, (distinct,), generator=draw)
    if shape == "worst":
        sizes.fill_(95)
    width = int(sizes.max())
    ids = torch.randint(2, VOCABULARY, (distinct, width), generator=draw)
    mask = (torch.arange(width) >= (width - sizes)[:, None]).long()
    ids = ids * mask + PAD * (1 - mask)
    repeats = PROMPTS * GROUP // distinct
    rows = PROMPTS * GROUP
    if shape == "r1":
        lengths = torch.empty(rows).log_normal_(4.25, 0.75, generator=draw).round().clamp(8, LIMIT).long()
    elif shape == "uniform":
        lengths = torch.randint(8, LIMIT + 1, (rows,), generator=draw)
    else:
        lengths = torch.full((rows,), LIMIT)
    return ids.repeat_interleave(repeats, 0), mask.repeat_interleave(repeats, 0), lengths


def timed(model, ids, mask, lengths, seed, compact):
    """Tokens, processor seconds and wall seconds of one call."""
    config = GenerationConfig(do_sample=True, top_k=0, max_new_tokens=LIMIT, eos_token_id=END, pad_token_id=PAD)
    torch.manual_seed(seed)
    forced = LogitsProcessorList([SetLengths(lengths, ids.shape[1])])
    arguments = {"input_ids": ids, "attention_mask": mask, "generation_config": config, "logits_processor": forced}
    cpu, wall = time.process_time(), time.perf_counter()
    if compact:
        with compact_generation(model):
            tokens = model.generate(**arguments)
    else:
        tokens = model.generate(**arguments)
    return tokens, time.process_time() - cpu, time.perf_counter() - wall


def time_generation(shape="r1", rounds=5, seed=0):
    """
    Run both, interleaved.

    Returns:
        `dict`: ratios of processor times, processor and wall seconds of stock and of compact, the share of rows that
        are the same, and the mean length.
    """
    model = make_model(seed)
    ids, mask, lengths = make_inputs(shape, seed)
    found = {"ratios": [], "stock": [], "compact": [], "stock_wall": [], "compact_wall": [], "same": []}
    for compact in (False, True):  # the first call of a process is slower
        timed(model, ids, mask, lengths.clamp(max=16), seed, compact)
    for number in range(rounds):
        stock, cpu, wall = timed(model, ids, mask, lengths, seed + number, compact=False)
        tokens, less_cpu, less_wall = timed(model, ids, mask, lengths, seed + number, compact=True)
        found["ratios"].append(cpu / less_cpu)
        found["stock"].append(cpu)
        found["compact"].append(less_cpu)
        found["stock_wall"].append(wall)
        found["compact_wall"].append(less_wall)
        same = tokens.shape == stock.shape and (tokens == stock).all(dim=1)
        found["same"].append(float(torch.as_tensor(same, dtype=torch.float32).mean()))
    return {**found, "mean_length": float(lengths.float().mean())}


def main():
    """Measure, and show a line a round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=["r1", "uniform", "worst"], default="r1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = time_generation(arguments.shape, arguments.rounds, arguments.seed)
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    print(
        f"shape {arguments.shape}, mean length {found['mean_length']:.0f} of {LIMIT}, seed {arguments.seed}, ", end=""
    )
    print(f"one thread (OMP_NUM_THREADS {threads})")
    print(f"{'round':<8}{'stock s':>9}{'compact s':>11}{'ratio':>8}{'wall ratio':>12}{'same rows':>11}")
    for number, ratio in enumerate(found["ratios"]):
        stock, compact, same = (found[name][number] for name in ("stock", "compact", "same"))
        walls = found["stock_wall"][number] / found["compact_wall"][number]
        print(f"{number:<8}{stock:>9.2f}{compact:>11.2f}{ratio:>8.2f}{walls:>12.2f}{same:>11.3f}")
    ratios = found["ratios"]
    print(f"median ratio {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")


if __name__ == "__main__":
    main()
