"""The workloads of `grpo_step.py`: how many prompts, how long, how many completions, and what a step of each must do.

Nothing here is measured from a run of R1: lengths and rewards are drawn from a seed. A workload decides what a
speed-up is worth, so its share of groups without signal and of padding stands beside every figure.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import cached_property

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Widths of a Qwen2 model. Eight heads of 32 with four of keys and values stand for the family's sharing."""

    hidden: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    inter: int = 704
    vocabulary: int = 2048
    tied: bool = True

    def config(self, eos: int, pad: int, positions: int) -> Qwen2Config:
        """Configuration of the model."""
        return Qwen2Config(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.inter,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=positions,
            tie_word_embeddings=self.tied,
            bos_token_id=None,
            eos_token_id=eos,
            pad_token_id=pad,
        )


SIZES = {
    "tiny": Size(),
    "narrow": Size(hidden=128, layers=4, heads=4, kv_heads=2, inter=352),
    "0.5b": Size(hidden=896, layers=24, heads=14, kv_heads=2, inter=4864, vocabulary=151_936),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """
    One workload.

    Args:
        size (`str`): of the model, a key of `SIZES`.
        prompts (`int`), generations (`int`): groups, and rows of each.
        prompt_lengths (`tuple[int, int]`): tokens, uniform between these.
        limit (`int`): longest completion.
        lengths (`str`): `lognormal` (median `median`, sigma 0.75, clipped to 8..limit), `uniform`, `all` or `outlier`.
        tied (`int`): groups in which every reward is the same.
        per_device (`int`), accumulation (`int`), per_rollout (`int`): rows of a micro-batch, micro-batches of an
            optimiser step and of a rollout.
    """

    name: str
    size: str = "tiny"
    prompts: int = 8
    generations: int = 8
    prompt_lengths: tuple[int, int] = (48, 95)
    limit: int = 256
    lengths: str = "lognormal"
    median: float = 70.0
    tied: int = 3
    per_device: int = 8
    accumulation: int = 8
    per_rollout: int = 8
    loss_type: str = "dapo"
    beta: float = 0.0
    checkpointing: bool = False
    seed: int = 0

    @property
    def rows(self) -> int:
        """Rows of a rollout."""
        return self.prompts * self.generations

    @cached_property
    def prompt_texts(self) -> list[str]:
        """Prompts of random words, one token each."""
        draw = random.Random(f"{self.seed} prompts")
        words = [draw.randint(*self.prompt_lengths) for _ in range(self.prompts)]
        return [" ".join(f"w{draw.randrange(VOCABULARY)}" for _ in range(count)) for count in words]

    @cached_property
    def completion_lengths(self) -> list[int]:
        """Tokens of each completion, the end token included."""
        draw = random.Random(f"{self.seed} lengths")
        if self.lengths == "all":
            return [self.limit] * self.rows
        if self.lengths == "uniform":
            return [draw.randint(8, self.limit) for _ in range(self.rows)]
        drawn = [draw.lognormvariate(math.log(self.median), 0.75) for _ in range(self.rows)]
        ceiling = 256 if self.lengths == "outlier" else self.limit
        found = [min(ceiling, max(8, round(length))) for length in drawn]
        if self.lengths == "outlier":
            found[self.rows // 2] = self.limit
        return found

    @cached_property
    def rewards(self) -> list[float]:
        """0 or 1 for each row; the first `tied` of the shuffled groups have one value, the others both."""
        draw = random.Random(f"{self.seed} rewards")
        tied = set(draw.sample(range(self.prompts), self.tied))
        found: list[float] = []
        for group in range(self.prompts):
            right = draw.choice([0, self.generations]) if group in tied else draw.randint(1, self.generations - 1)
            rewards = [1.0] * right + [0.0] * (self.generations - right)
            draw.shuffle(rewards)
            found += rewards
        return found

    @property
    def live(self) -> list[bool]:
        """Whether each row has a gradient: its group is not tied, or the KL term gives it one."""
        groups = [self.rewards[start : start + self.generations] for start in range(0, self.rows, self.generations)]
        return [self.beta > 0 or len(set(group)) > 1 for group in groups for _ in group]

    def useful_gflop(self) -> tuple[float, float]:
        """
        Multiplications and additions that a step cannot do without, in 1e9: of generation, and of the passes after it.

        Counted of a token: 2 a weight of the layers' matrices, 4 * width for each key it attends to in each layer
        (causal: itself and what came before), 2 a weight of the output matrix where its logits are needed, which is at
        completion tokens. Backward is twice forward. Each prompt is read once a group, rows without gradient not at
        all after generation; reference and old policy are one more forward pass each.
        """
        size, groups = SIZES[self.size], range(self.prompts)
        matrices = 2 * size.hidden**2 + 2 * size.hidden * (size.hidden // size.heads * size.kv_heads)
        linear = 2 * size.layers * (matrices + 3 * size.hidden * size.inter)
        key, head = 4 * size.hidden * size.layers, 2 * size.hidden * size.vocabulary
        lengths = [len(text.split()) for text in self.prompt_texts]

        def span(start: int, count: int) -> float:
            """`count` tokens, the first of which is at position `start`."""
            return count * linear + key * (count * start + count * (count + 1) / 2)

        prompts = [span(0, length) for length in lengths]
        rows = [
            (group, span(lengths[group], length - 1) + length * head, live)
            for group in groups
            for length, live in list(zip(self.completion_lengths, self.live, strict=True))[
                group * self.generations : (group + 1) * self.generations
            ]
        ]
        generation = sum(prompts) + sum(work for _, work, _ in rows)
        needed = {group for group, _, live in rows if live}
        policy = sum(prompts[group] for group in needed) + sum(work for _, work, live in rows if live)
        others = (self.beta > 0) + (self.per_rollout > self.accumulation)  # reference, old policy
        return generation / 1e9, (3 * policy + others * generation) / 1e9


VOCABULARY = 2000  # words; models have a few more tokens, or many
SHAPES = {
    shape.name: shape
    for shape in (
        Shape(name="r1"),
        Shape(name="uniform", lengths="uniform"),
        Shape(name="worst", lengths="all", tied=0),
        Shape(name="kl", beta=0.001, accumulation=4, loss_type="grpo"),
        Shape(name="long_prompt", size="narrow", prompt_lengths=(384, 512), median=62.0),
        Shape(name="outlier", size="narrow", lengths="outlier", limit=1024),
        Shape(name="checkpointing", checkpointing=True),
        Shape(name="long", prompt_lengths=(256, 512), limit=4096, median=1500.0, generations=16, prompts=4),
    )
}


def shape_of(name: str, size: str | None = None, seed: int = 0) -> Shape:
    """A workload by name, with another size of the model or seed."""
    shape = SHAPES[name]
    return replace(shape, size=size or shape.size, seed=seed)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    special = ["<pad>", "<eos>", "<unk>"]
    vocabulary = {word: index for index, word in enumerate([*special, *(f"w{index}" for index in range(VOCABULARY))])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
