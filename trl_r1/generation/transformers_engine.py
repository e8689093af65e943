"""Generation with `model.generate`: no server, any device, repeatable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error
from trl_r1.generation.calls import generate_all
from trl_r1.generation.logprobs import token_logprobs
from trl_r1.generation.prompts import encode_prompt
from trl_r1.generation.types import Completion, GenerationSummary, Prompt, SamplingParameters
from trl_r1.stage_record import hash_json
from trl_r1.stage_record.describe import hash_model


if TYPE_CHECKING:
    import torch

    from trl_r1.generation.plan import SampleRow


class TransformersEngine:
    """
    Completions from a causal language model in this process.

    Rows are batched by prompt length and padded on the left. Every batch draws from its own seed, derived from
    `(params.seed, batch index)`, so that one batch can be repeated without those before it. Neither the model
    (training mode, `generation_config`), nor the tokenizer, nor the global random state is left changed.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Policy, on the device it shall run on.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        name (`str`, *optional*):
            Folder or Hub id the weights are of, unchanged, for `identity`. Without it they are hashed themselves.
        revision (`str`, *optional*):
            Branch, tag or commit on the Hub.

    Example:

    ```python
    engine = TransformersEngine.from_pretrained("outputs/tiny/r1_zero")
    [[completion]] = engine.generate(["user : what is a 4 plus b 5 ? assistant :"], SamplingParameters(temperature=0))
    ```
    """

    def __init__(self, model: Any, tokenizer: Any, name: str | None = None, revision: str | None = None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._name = name
        self._revision = revision
        self._weights_sha256: str | None = None
        self.last_summary: GenerationSummary | None = None
        self._end_ids = end_token_ids(model.generation_config, tokenizer)
        pad = tokenizer.pad_token_id
        self._pad_id: int = pad if pad is not None else self._end_ids[0]

    @classmethod
    def from_pretrained(
        cls, path: str, revision: str | None = None, dtype: str | torch.dtype = "auto", device: str | None = None
    ) -> TransformersEngine:
        """
        Load a checkpoint folder or a Hub id.

        Args:
            path (`str`):
                Folder or Hub id.
            revision (`str`, *optional*):
                Branch, tag or commit on the Hub.
            dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`):
                Weights' type; `"auto"` is the checkpoint's.
            device (`str`, *optional*):
                Where to run; a GPU where there is one (each process of a launcher its own), else the CPU.

        Raises:
            [`R1Error`]: when the checkpoint cannot be loaded.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
            model: Any = AutoModelForCausalLM.from_pretrained(path, revision=revision, dtype=dtype)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise R1Error(
                f"model: {path!r} cannot be loaded ({reason}); give a checkpoint folder or a Hub id"
            ) from error
        target = device or (f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
        return cls(model.to(target), tokenizer, path, revision)

    def generate(
        self, prompts: Sequence[Prompt], params: SamplingParameters, progress: bool = False
    ) -> list[list[Completion]]:
        """
        Generate `params.num_samples` completions a prompt.

        Args:
            prompts (`Sequence[str]` or sequence of chats):
                What the policy reads, or messages for the tokenizer's chat template.
            params ([`SamplingParameters`]):
                How to sample.
            progress (`bool`, *optional*, defaults to `False`):
                Whether to draw a progress bar.

        Returns:
            `list[list[Completion]]`: in prompt order. [`GenerationSummary`] of the call is in `last_summary`.

        Raises:
            [`R1Error`]: when a prompt has no tokens or does not fit the model's context with `max_new_tokens`.
        """
        groups, self.last_summary = generate_all(self, prompts, params, progress)
        return groups

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the text, as JSON has it."""
        import torch
        import transformers

        return {
            "engine": "transformers",
            "model": self._name,
            "revision": self._revision,
            "weights_sha256": self._hash_weights(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": self.model.device.type,
            "end_token_ids": self._end_ids,
            "chat_template_sha256": hash_json(self.tokenizer.chat_template),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }

    @property
    def context_length(self) -> int | None:
        """Positions of the model; `None` where its configuration names none."""
        limit: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return limit

    def prompt_lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""
        return [len(encode_prompt(prompt, self.tokenizer)) for prompt in prompts]

    def generate_batch(
        self, prompts: Sequence[Prompt], rows: Sequence[SampleRow], params: SamplingParameters, seed: int
    ) -> list[Completion]:
        """
        One completion a row, all drawn together from `seed`.

        Args:
            prompts (`Sequence[str]` or sequence of chats):
                All prompts, which `rows` number.
            rows (`Sequence[SampleRow]`):
                What to draw.
            params ([`SamplingParameters`]):
                How to sample.
            seed (`int`):
                Of the batch.
        """
        encoded = {index: encode_prompt(prompts[index], self.tokenizer) for index in {row.prompt for row in rows}}
        with _eval_mode(self.model):
            return self._generate_batch([encoded[row.prompt] for row in rows], params, seed)

    def _generate_batch(self, encoded: list[list[int]], params: SamplingParameters, seed: int) -> list[Completion]:
        import torch

        from trl_r1.generation.compaction import compact_generation

        device = self.model.device
        width = max(map(len, encoded))
        padded = [[self._pad_id] * (width - len(ids)) + ids for ids in encoded]
        mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in encoded]
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            with compact_generation(self.model):
                output = self.model.generate(
                    input_ids=torch.tensor(padded, device=device),
                    attention_mask=torch.tensor(mask, device=device),
                    generation_config=self._generation_config(params),
                )
        kept = [self._cut(ids) for ids in output[:, width:].tolist()]
        logprobs: Sequence[tuple[float, ...] | None] = [None] * len(kept)
        if params.logprobs:
            logprobs = token_logprobs(self.model, encoded, kept, self._pad_id)
        own_seed = None if params.greedy else seed
        return [self._completion(ids, own_seed, values) for ids, values in zip(kept, logprobs, strict=True)]

    def _hash_weights(self) -> str:
        """Of the files where they are all the weights, else of the weights in memory; taken once."""
        if self._weights_sha256 is None:
            whole = self._name is not None and not getattr(self.model, "peft_config", None)
            found = hash_model(str(self._name), self._revision) if whole else None
            self._weights_sha256 = found or _hash_state(self.model)
        return self._weights_sha256

    def _generation_config(self, params: SamplingParameters) -> Any:
        from transformers import GenerationConfig

        sampling = {} if params.greedy else {"temperature": params.temperature, "top_p": params.top_p, "top_k": 0}
        return GenerationConfig(
            do_sample=not params.greedy,
            max_new_tokens=params.max_new_tokens,
            eos_token_id=self._end_ids,
            pad_token_id=self._pad_id,
            bos_token_id=self.tokenizer.bos_token_id,
            use_cache=True,
            **sampling,
        )

    def _cut(self, ids: list[int]) -> list[int]:
        # Padding may share its id with an end token, so what follows the first end token is cut, whatever it is.
        end = next((position for position, token in enumerate(ids) if token in self._end_ids), None)
        return ids if end is None else ids[: end + 1]

    def _completion(self, ids: list[int], seed: int | None, logprobs: tuple[float, ...] | None) -> Completion:
        return Completion(
            text=self.tokenizer.decode(ids, skip_special_tokens=True),
            token_ids=tuple(ids),
            finish_reason="stop" if ids[-1] in self._end_ids else "length",
            logprobs=logprobs,
            seed=seed,
        )


def _hash_state(model: Any) -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def end_token_ids(generation_config: Any, tokenizer: Any) -> list[int]:
    """
    Every id that ends a completion: the tokenizer's first, then those of a checkpoint's generation configuration.

    Raises:
        [`R1Error`]: when neither names one.
    """
    declared = getattr(generation_config, "eos_token_id", None)
    candidates = [tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])]
    ids = list(dict.fromkeys(candidate for candidate in candidates if candidate is not None))
    if not ids:
        raise R1Error("eos_token: neither the tokenizer nor the model names an end token; set tokenizer.eos_token")
    return ids


@contextmanager
def _eval_mode(model: Any) -> Iterator[None]:
    """Evaluation mode, no gradients, and an empty `generation_config`: it would fill every field left unset."""
    import torch
    from transformers import GenerationConfig

    training, own_config = model.training, model.generation_config
    model.eval()
    model.generation_config = GenerationConfig()
    try:
        with torch.no_grad():
            yield
    finally:
        model.generation_config = own_config
        model.train(training)
