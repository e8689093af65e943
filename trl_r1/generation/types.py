"""What goes into a generation call and what comes out: the same for every engine."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trl_r1.errors import R1Error, RecipeError


if TYPE_CHECKING:
    from trl_r1.generation.plan import SampleRow


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
    """What one generation did."""

    num_prompts: int
    num_completions: int
    num_prompt_tokens: int | None  # each prompt counted once; None when the engine has no tokenizer
    num_tokens: int  # generated, end tokens included, padding not
    num_truncated: int  # completions cut at max_new_tokens
    seconds: float  # wall time

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens per second of wall time."""
        return self.num_tokens / self.seconds if self.seconds > 0 else 0.0


class GenerationEngine(Protocol):
    """Anything that turns prompts into completions. What is the same for all of them is in `generation.calls`."""

    @property
    def tokenizer(self) -> Any:
        """Tokenizer of the policy; renders chats and counts tokens. `None` where a server keeps it to itself."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """
        What decides the text, as JSON has it: kind of engine, model, hash of the weights, type, versions.

        Two engines of equal identity give the same text from the same prompts and parameters.
        """
        ...

    @property
    def context_length(self) -> int | None:
        """Most tokens of a prompt together with its completion; `None` where it is not known."""
        ...

    def prompt_lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Length of each prompt as the policy reads it: in tokens, or in characters when there is no tokenizer."""
        ...

    def generate_batch(
        self, prompts: Sequence[Prompt], rows: Sequence[SampleRow], params: SamplingParameters, seed: int
    ) -> list[Completion]:
        """
        One completion a row, in the order of `rows`.

        Args:
            prompts (`Sequence[str]` or sequence of chats):
                All prompts of the generation, which `rows` number.
            rows (`Sequence[SampleRow]`):
                What to draw.
            params ([`SamplingParameters`]):
                How to sample.
            seed (`int`):
                The batch's; an engine that draws every sample on its own uses
                [`~trl_r1.generation.plan.sample_seed`] instead.

        Raises:
            [`GenerationError`]: when any sample could not be had. Never fewer completions, never an empty stand-in.
        """
        ...

    def generate(
        self, prompts: Sequence[Prompt], params: SamplingParameters, progress: bool = False
    ) -> list[list[Completion]]:
        """Completions in the order of `prompts`, `params.num_samples` each."""
        ...
