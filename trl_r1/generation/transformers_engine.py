"""Generation with `model.generate`: no server, any device, repeatable."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error
from trl_r1.generation.types import Completion, GenerationSummary, SamplingParameters


if TYPE_CHECKING:
    import torch


logger = logging.getLogger(__name__)


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

    Example:

    ```python
    engine = TransformersEngine.from_pretrained("outputs/tiny/r1_zero")
    [[completion]] = engine.generate(["user : what is a 4 plus b 5 ? assistant :"], SamplingParameters(temperature=0))
    ```
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.last_summary: GenerationSummary | None = None
        self._end_ids = _end_token_ids(model, tokenizer)
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
                Where to run; an accelerator where there is one, else the CPU.

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
        target = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return cls(model.to(target), tokenizer)

    def generate(
        self, prompts: Sequence[str], params: SamplingParameters, progress: bool = False
    ) -> list[list[Completion]]:
        """
        Generate `params.num_samples` completions a prompt.

        Args:
            prompts (`Sequence[str]`):
                Rendered prompts.
            params ([`SamplingParameters`]):
                How to sample.
            progress (`bool`, *optional*, defaults to `False`):
                Whether to draw a progress bar.

        Returns:
            `list[list[Completion]]`: in prompt order. [`GenerationSummary`] of the call is in `last_summary`.

        Raises:
            [`R1Error`]: when a prompt has no tokens or does not fit the model's context with `max_new_tokens`.
        """
        started = time.perf_counter()
        encoded = [self._encode(prompt) for prompt in prompts]
        self._check_lengths(encoded, params.max_new_tokens)
        rows = [index for index in range(len(encoded)) for _ in range(params.num_samples)]
        rows.sort(key=lambda index: len(encoded[index]))  # stable: samples of one prompt stay together
        groups: list[list[Completion]] = [[] for _ in prompts]
        with _eval_mode(self.model):
            for start in _track(range(0, len(rows), params.batch_size), progress, "generating"):
                batch = rows[start : start + params.batch_size]
                seed = _batch_seed(params.seed, start // params.batch_size)
                completions = self._generate_batch([encoded[index] for index in batch], params, seed)
                for index, completion in zip(batch, completions, strict=True):
                    groups[index].append(completion)
        self._summarise(groups, time.perf_counter() - started)
        return groups

    def _encode(self, prompt: str) -> list[int]:
        # A rendered chat prompt already holds the beginning mark; twice is not what the policy was trained on.
        bos = self.tokenizer.bos_token
        add_special = not (bos and prompt.startswith(bos))
        ids: list[int] = self.tokenizer(prompt, add_special_tokens=add_special)["input_ids"]
        return ids

    def _check_lengths(self, encoded: list[list[int]], max_new_tokens: int) -> None:
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        for index, ids in enumerate(encoded):
            if not ids:
                raise R1Error(f"prompts: number {index} has no tokens; give a non-empty prompt")
            if limit is not None and len(ids) + max_new_tokens > limit:
                raise R1Error(
                    f"max_new_tokens: {max_new_tokens} after prompt {index} of {len(ids)} tokens exceeds the model's "
                    f"{limit} positions; lower max_new_tokens or drop long prompts"
                )

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
        return [self._completion(ids) for ids in output[:, width:].tolist()]

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

    def _completion(self, ids: list[int]) -> Completion:
        # Padding may share its id with an end token, so what follows the first end token is cut, whatever it is.
        end = next((position for position, token in enumerate(ids) if token in self._end_ids), None)
        kept = ids if end is None else ids[: end + 1]
        text: str = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(text=text, token_ids=tuple(kept), finish_reason="length" if end is None else "stop")

    def _summarise(self, groups: list[list[Completion]], seconds: float) -> None:
        completions = [completion for group in groups for completion in group]
        summary = GenerationSummary(
            num_prompts=len(groups),
            num_completions=len(completions),
            num_tokens=sum(len(completion.token_ids) for completion in completions),
            num_truncated=sum(completion.finish_reason == "length" for completion in completions),
            seconds=seconds,
        )
        self.last_summary = summary
        logger.info(
            "generated %d completions of %d prompts: %d tokens, %d truncated, %.0f tokens/s",
            summary.num_completions,
            summary.num_prompts,
            summary.num_tokens,
            summary.num_truncated,
            summary.tokens_per_second,
        )


def _end_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every id that ends a completion: the tokenizer's first, then those of the model's generation configuration."""
    declared = getattr(model.generation_config, "eos_token_id", None)
    candidates = [tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])]
    ids = list(dict.fromkeys(candidate for candidate in candidates if candidate is not None))
    if not ids:
        raise R1Error("eos_token: neither the tokenizer nor the model names an end token; set tokenizer.eos_token")
    return ids


def _batch_seed(seed: int, batch: int) -> int:
    import numpy as np

    return int(np.random.SeedSequence([seed, batch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


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


def _track(batches: Sequence[int], progress: bool, description: str) -> Iterator[int]:
    if not progress:
        yield from batches
        return
    from rich.progress import track

    yield from track(batches, description=description, transient=True)
