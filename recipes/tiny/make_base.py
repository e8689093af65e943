"""
Pre-train the raw base model of the tiny world, in one run from one corpus.

    python recipes/tiny/make_base.py --output_dir outputs/tiny/base --seed 0
    python recipes/tiny/make_base.py --output_dir outputs/tiny/student_base --seed 0 --size student

The corpus is the same mixture from the first step to the last and the learning rate falls linearly to nothing. Only
what follows a prompt is in the loss: questions are random digits, there is nothing to learn in them. Batches hold
documents of like length, made once and given to the trainer whole, so that no time goes into padding.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed
from world import build_tokenizer, sample_document

from trl_r1.chat_template import load_template
from trl_r1.scripts.common import configure_logging
from trl_r1.trainer.callbacks import ProgressFileCallback, train_or_resume


IGNORED = -100  # label of a token that is not in the loss
BATCHES_SORTED_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Size:
    """Shape of a model and how long it trains."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_steps: int
    learning_rate: float


SIZES = {
    "teacher": Size(64, 3, 4, max_steps=3200, learning_rate=3e-3),
    "student": Size(40, 3, 4, max_steps=4000, learning_rate=4e-3),
}


def make_model(tokenizer: PreTrainedTokenizerFast, size: Size) -> LlamaForCausalLM:
    """Makes an untrained model. Short rotary wavelengths and large initial weights made copying quick to learn."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=3 * size.hidden_size,
        num_hidden_layers=size.num_hidden_layers,
        num_attention_heads=size.num_attention_heads,
        num_key_value_heads=size.num_attention_heads,
        max_position_embeddings=256,
        initializer_range=0.1,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        attention_bias=True,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


class Corpus(Dataset[dict[str, torch.Tensor]]):
    """Ready-made batches of documents.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]): Tokenizer of the world.
        num_batches (`int`): Number of batches, one a training step.
        batch_size (`int`): Documents in a batch.
        seed (`int`): Seed of the documents and of their order.
        sample (`Callable`, *optional*): Draws a document: its prompt and what follows. By default this world's.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        num_batches: int,
        batch_size: int,
        seed: int,
        sample: Callable[[random.Random], tuple[str, str]] = sample_document,
    ) -> None:
        self.tokenizer = tokenizer
        self.sample = sample
        rng = random.Random(seed)
        batches = self._draw_batches(rng, batch_size)
        self.batches = [next(batches) for _ in range(num_batches)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Batch `index`: `input_ids`, `attention_mask` and `labels`, each of shape `(batch_size, length)`."""
        documents = self.batches[index]
        shape = (len(documents), max(len(tokens) for tokens, _ in documents))
        input_ids = torch.full(shape, int(self.tokenizer.pad_token_id))
        labels = torch.full(shape, IGNORED)
        attention_mask = torch.zeros(shape, dtype=torch.long)
        for row, (tokens, prompt_length) in enumerate(documents):
            input_ids[row, : len(tokens)] = torch.tensor(tokens)
            attention_mask[row, : len(tokens)] = 1
            labels[row, prompt_length : len(tokens)] = torch.tensor(tokens[prompt_length:])
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}

    def _draw_batches(self, rng: random.Random, batch_size: int) -> Iterator[list[tuple[list[int], int]]]:
        """Endless batches of documents of like length, in random order within a stretch of the corpus."""
        while True:
            texts = [self.sample(rng) for _ in range(batch_size * BATCHES_SORTED_TOGETHER)]
            documents = sorted(self._encode(texts), key=lambda document: len(document[0]))
            starts = list(range(0, len(documents), batch_size))
            rng.shuffle(starts)
            yield from (documents[start : start + batch_size] for start in starts)

    def _encode(self, texts: list[tuple[str, str]]) -> list[tuple[list[int], int]]:
        """Token ids of each document, and how many of them are its prompt."""
        prompts = self.tokenizer([prompt for prompt, _ in texts])["input_ids"]
        completions = self.tokenizer([completion for _, completion in texts])["input_ids"]
        end = int(self.tokenizer.eos_token_id)
        return [
            ([*prompt, *completion, end], len(prompt)) for prompt, completion in zip(prompts, completions, strict=True)
        ]


def take_batch(batches: list[dict[str, Any]]) -> dict[str, Any]:
    """The collator: the batch is made already."""
    return batches[0]


def pretrain(
    tokenizer: PreTrainedTokenizerFast,
    size: Size,
    output_dir: str,
    seed: int,
    batch_size: int = 32,
    sample: Callable[[random.Random], tuple[str, str]] = sample_document,
) -> None:
    """Pre-trains a model of one size and saves a checkpoint that loads with `AutoModelForCausalLM`.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]): Tokenizer of the world, saved with it.
        size ([`Size`]): Shape of the model, steps and learning rate.
        output_dir (`str`): Folder of the checkpoint.
        seed (`int`): Seed of the initial weights and of the corpus.
        batch_size (`int`, *optional*, defaults to `32`): Documents a step.
        sample (`Callable`, *optional*): Draws a document, as for [`Corpus`].
    """
    set_seed(seed)
    training_arguments = TrainingArguments(
        output_dir=output_dir,
        max_steps=size.max_steps,
        per_device_train_batch_size=1,
        learning_rate=size.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=50,
        weight_decay=0.01,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        logging_steps=100,
        save_steps=1000,
        save_total_limit=2,
        report_to="none",
        use_cpu=True,
        seed=seed,
    )
    trainer = Trainer(
        model=make_model(tokenizer, size),
        args=training_arguments,
        train_dataset=Corpus(tokenizer, size.max_steps, batch_size, seed, sample),
        data_collator=take_batch,
        processing_class=tokenizer,
        callbacks=[ProgressFileCallback()],
    )
    train_or_resume(trainer)
    trainer.save_model()


def main() -> None:
    """Pre-trains and saves the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights and of the corpus")
    parser.add_argument("--size", choices=sorted(SIZES), default="teacher", help="which model to make")
    parser.add_argument("--max_steps", type=int, help="training steps; by default what the size needs")
    parser.add_argument("--batch_size", type=int, default=32, help="documents a step")
    arguments = parser.parse_args()
    configure_logging()
    size = SIZES[arguments.size]
    size = replace(size, max_steps=arguments.max_steps or size.max_steps)
    tokenizer = build_tokenizer(load_template("r1"))
    pretrain(tokenizer, size, arguments.output_dir, arguments.seed, arguments.batch_size)


if __name__ == "__main__":
    main()
