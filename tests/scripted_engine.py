"""A policy that answers from a list."""

from trl_r1.generation import Completion


class ScriptedEngine:
    """Gives the completions it was made with, `num_samples` a prompt, and keeps the prompts it saw."""

    def __init__(self, tokenizer, texts, truncated=()):
        self.tokenizer = tokenizer
        self.texts = texts
        self.truncated = set(truncated)
        self.prompts = []

    def generate(self, prompts, params, progress=False):
        self.prompts.extend(prompts)
        flat = [
            Completion(
                text=text,
                token_ids=tuple(self.tokenizer(text)["input_ids"]),
                finish_reason="length" if text in self.truncated else "stop",
            )
            for text in self.texts
        ]
        size = params.num_samples
        return [flat[start : start + size] for start in range(0, len(prompts) * size, size)]
