"""A policy that answers from a list."""

from trl_r1.errors import GenerationError
from trl_r1.generation import Completion
from trl_r1.generation.calls import generate_all
from trl_r1.generation.prompts import render_text


class ScriptedEngine:
    """Gives the completions it was made with, `num_samples` a prompt, and keeps the prompts it was shown."""

    context_length = None

    def __init__(self, tokenizer, texts, truncated=()):
        self.tokenizer = tokenizer
        self.texts = texts
        self.truncated = set(truncated)
        self.prompts = []

    @property
    def identity(self):
        return {"engine": "scripted", "texts": list(self.texts)}

    def prompt_lengths(self, prompts):
        self.prompts.extend(prompts)
        return [len(render_text(prompt, self.tokenizer)) for prompt in prompts]

    def generate_batch(self, prompts, rows, params, seed):
        places = [row.prompt * params.num_samples + row.sample for row in rows]
        missing = [place for place in places if place >= len(self.texts)]
        if missing:
            raise GenerationError(len(missing), ["the script ends before"] * len(missing), len(rows))
        return [self._completion(self.texts[place]) for place in places]

    def generate(self, prompts, params, progress=False):
        return generate_all(self, prompts, params, progress)[0]

    def _completion(self, text):
        ids = tuple(self.tokenizer(text)["input_ids"])
        return Completion(text=text, token_ids=ids, finish_reason="length" if text in self.truncated else "stop")
