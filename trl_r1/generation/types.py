"""What goes into a generation call and what comes out: the same for every engine."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from trl_r1.errors import R1Error, RecipeError


FinishReason = Literal["stop", "length"]
Prompt = str | Sequence[Mapping[str, Any]]  # what the policy reads, or the messages of a chat


_ALLOWED: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParameters:
    """
    How completions are drawn. Nothing else decides: what a checkpoint's own `generation_config.json` says is ignored.

    Args:
        temperature (`float`, *optional*, defaults to `1.0`):
            Softmax temperature; `0` is greedy decoding.
        top_p (`float`, *optional*, defaults to `1.0`):
            Probability mass of the nucleus; `1.0` samples from the whole distribution.
        max_new_tokens (`int`, *optional*, defaults to `256`):
            Longest completion, in tokens, the end token included.
        num_samples (`int`, *optional*, defaults to `1`):
            Completions a prompt. Greedy decoding takes one.
        seed (`int`, *optional*, defaults to `42`):
            Same prompts, parameters and engine give the same text.
        batch_size (`int`, *optional*, defaults to `256`):
            Completions generated at once. It is part of what makes sampled text repeatable.
        logprobs (`bool`, *optional*, defaults to `False`):
            Whether completions carry the log-probability of each of their tokens.

    Raises:
        [`RecipeError`]: with every value that is out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    num_samples: int = 1
    seed: int = 42
    batch_size: int = 256
    logprobs: bool = False

    def __post_init__(self) -> None:
        problems = [*self._type_problems()] or [*self._range_problems()]
        if problems:
            raise RecipeError(problems)

    def _type_problems(self) -> list[str]:
        problems = []
        for spec in dataclasses.fields(self):
            value, allowed = getattr(self, spec.name), _ALLOWED[str(spec.type)]
            if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
                problems.append(f"{spec.name}: {value!r} is not {spec.type}; give a value of that type")
        return problems

    def _range_problems(self) -> list[str]:
        problems = []
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            problems.append(f"temperature: {self.temperature} must be 0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p: {self.top_p} must be above 0 and at most 1")
        for name in ("max_new_tokens", "num_samples", "batch_size"):
            if getattr(self, name) < 1:
                problems.append(f"{name}: {getattr(self, name)} must be at least 1")
        if self.seed < 0:
            problems.append(f"seed: {self.seed} must be 0 or above")
        if self.greedy and self.num_samples > 1:
            problems.append(
                f"num_samples: {self.num_samples} copies of one greedy completion; set 1, or a temperature above 0"
            )
        return problems

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.temperature == 0

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], source: str | None = None) -> SamplingParameters:
        """
        Build from a mapping, as a YAML file gives it.

        Args:
            values (`Mapping[str, Any]`):
                Field names and values.
            source (`str`, *optional*):
                Named in the error.

        Raises:
            [`RecipeError`]: when a name is no field (the nearest is suggested) or a value is out of range.
        """
        known = [spec.name for spec in dataclasses.fields(cls)]
        problems = []
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
                problems.append(f"{name}: unknown sampling parameter; {hint}")
        if problems:
            raise RecipeError(problems, source)
        try:
            return cls(**values)
        except RecipeError as error:
            raise RecipeError(error.problems, source) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """
    One generated completion.

    Args:
        text (`str`):
            Decoded, special tokens left out.
        token_ids (`tuple[int, ...]`):
            As generated, the end token included, padding not: its length is the length TRL logs. Empty from a server
            that does not give them.
        finish_reason (`"stop"` or `"length"`):
            Whether the policy ended the completion or the limit did.
        logprobs (`tuple[float, ...]`, *optional*):
            Natural log-probability of each token under the policy itself, before temperature and nucleus; `None`
            unless asked for.
        seed (`int`, *optional*):
            What it was drawn with: of its batch, or its own where an engine draws each on its own.
        usage_tokens (`int`, *optional*):
            Tokens generated, as a server counts them, where it does not give the tokens.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprobs: tuple[float, ...] | None = None
    seed: int | None = None
    usage_tokens: int | None = None

    @property
    def num_tokens(self) -> int:
        """Tokens generated, the end token included."""
        return len(self.token_ids) if self.token_ids or self.usage_tokens is None else self.usage_tokens

    def __post_init__(self) -> None:
        if self.finish_reason not in ("stop", "length"):
            raise R1Error(f"finish_reason: {self.finish_reason!r} is unknown; use 'stop' or 'length'")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSummary:
    """What one `generate` call did."""

    num_prompts: int
    num_completions: int
    num_tokens: int  # generated, end tokens included, padding not
    num_truncated: int  # completions cut at max_new_tokens
    seconds: float  # wall time

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens per second of wall time."""
        return self.num_tokens / self.seconds if self.seconds > 0 else 0.0


class GenerationEngine(Protocol):
    """Anything that turns prompts into completions."""

    @property
    def tokenizer(self) -> Any:
        """Tokenizer of the policy; renders chat prompts and counts tokens."""
        ...

    def generate(
        self, prompts: Sequence[str], params: SamplingParameters, progress: bool = False
    ) -> list[list[Completion]]:
        """Completions in the order of `prompts`, `params.num_samples` each."""
        ...


def generate(
    prompts: Sequence[str], params: SamplingParameters, engine: GenerationEngine, progress: bool = False
) -> list[list[Completion]]:
    """
    Generate with any engine and refuse an incomplete result.

    Args:
        prompts (`Sequence[str]`):
            Rendered prompts: what the policy reads, chat marks included.
        params ([`SamplingParameters`]):
            How to sample.
        engine ([`GenerationEngine`]):
            What to sample from.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw a progress bar.

    Returns:
        `list[list[Completion]]`: one list of `params.num_samples` completions a prompt, in prompt order.

    Raises:
        [`R1Error`]: when a prompt is no text, or completions are missing. A score over the completions that did come
            back would be a score of something else.
    """
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str) or not prompt:
            raise R1Error(f"prompts: number {index} is {prompt!r}; give a non-empty string")
    if not prompts:
        return []
    groups = engine.generate(list(prompts), params, progress)
    wanted, got = len(prompts) * params.num_samples, sum(len(group) for group in groups)
    if len(groups) != len(prompts) or any(len(group) != params.num_samples for group in groups):
        raise R1Error(
            f"num_samples: {got} of {wanted} completions came back ({len(prompts)} prompts x {params.num_samples}); "
            "a result with missing samples is refused, generate again"
        )
    return groups
