"""An engine without a model, which draws each sample from its own seed, and may fail, be slow or kill its process."""

import os
import random
import signal
import time

from trl_r1.errors import GenerationError
from trl_r1.generation.calls import generate_all
from trl_r1.generation.plan import sample_seed
from trl_r1.generation.types import Completion


WORDS = ["plus", "加", "so", "7", "\\boxed{", "é", "\n", "</think>"]


class SeededEngine:
    """Counts the batches it drew. `failing` are prompts it cannot answer, `kill_at` a batch it does not survive."""

    tokenizer = None
    context_length = None

    def __init__(self, name="seeded", failing=(), kill_at=None, seconds=0.0):
        self.name, self.failing, self.kill_at, self.seconds = name, set(failing), kill_at, seconds
        self.drawn = 0

    @property
    def identity(self):
        return {"engine": "seeded", "model": {"name": self.name}}

    def prompt_lengths(self, prompts):
        return [len(prompt) for prompt in prompts]

    def generate_batch(self, prompts, rows, params, seed):
        if self.drawn == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        self.drawn += 1
        bad = [row for row in rows if row.prompt in self.failing]
        if bad:
            raise GenerationError(len(bad), ["the server answers 500"] * len(bad), len(rows))
        return [self._complete(sample_seed(params.seed, prompts[row.prompt], row.sample), params) for row in rows]

    def generate(self, prompts, params, progress=False):
        return generate_all(self, prompts, params, progress)[0]

    def _complete(self, seed, params):
        chance = random.Random(seed)
        length = chance.randint(1, params.max_new_tokens)
        ids = tuple(chance.randrange(len(WORDS)) for _ in range(length))
        return Completion(
            text=" ".join(WORDS[token] for token in ids),
            token_ids=ids,
            finish_reason="length" if length == params.max_new_tokens else "stop",
            logprobs=tuple(-chance.random() for _ in ids) if params.logprobs else None,
            seed=seed,
        )
