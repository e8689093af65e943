"""How one sample is asked for: what a request holds, given what the server takes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


class Route(enum.StrEnum):
    """How a prompt is sent."""

    TOKENS = "tokens"  # /completions, the prompt as token ids
    TEXT = "text"  # /completions, the prompt as text
    CHAT = "chat"  # /chat/completions, messages

    @property
    def path(self) -> str:
        """Below the base address."""
        return "/chat/completions" if self is Route.CHAT else "/completions"


# Servers fill what is left unset from the model's generation_config.json, or from defaults of their own (top_k 40,
# min_p .05, a penalty of 1.1): these say that nothing but temperature and top_p shapes the distribution.
NEUTRAL: Final[Mapping[str, float]] = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,  # vLLM, SGLang, TGI
    "repeat_penalty": 1.0,  # llama.cpp
}
# `transformers serve` decodes greedily at any temperature unless the checkpoint's configuration, or this, says sample.
DO_SAMPLE: Final[Mapping[str, str]] = {"generation_config": '{"do_sample": true, "top_k": 0}'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How one sample is drawn."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    logprobs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    What a server takes on one route.

    Args:
        route ([`Route`]):
            How prompts are sent.
        neutral (`bool`, *optional*, defaults to `True`):
            Whether the settings that shape the distribution may be switched off by name.
        token_ids (`bool`, *optional*, defaults to `True`):
            Whether token ids may be asked for.
        logprobs (`bool`, *optional*, defaults to `True`):
            Whether log-probabilities may be asked for.
        seed (`bool`, *optional*, defaults to `True`):
            Whether a seed may be sent.
        do_sample (`bool`, *optional*, defaults to `False`):
            Whether sampling has to be switched on by its own configuration.
        limit_field (`str`, *optional*, defaults to `"max_tokens"`):
            Name of the longest completion's field.
    """

    route: Route
    neutral: bool = True
    token_ids: bool = True
    logprobs: bool = True
    seed: bool = True
    do_sample: bool = False
    limit_field: str = "max_tokens"

    def body(self, model: str, prompt: Any, draw: Draw) -> dict[str, Any]:
        """
        What is posted for one sample.

        Args:
            model (`str`):
                Name of the model.
            prompt (`list[int]`, `str` or messages):
                As the route sends it.
            draw ([`Draw`]):
                How to draw.
        """
        chat = self.route is Route.CHAT
        body: dict[str, Any] = {
            "model": model,
            **({"messages": [dict(message) for message in prompt]} if chat else {"prompt": prompt}),
            "temperature": draw.temperature,
            "top_p": draw.top_p,
            self.limit_field: draw.max_tokens,
            "n": 1,
        }
        if self.seed:
            body["seed"] = draw.seed
        if self.neutral:
            body |= NEUTRAL
        if self.token_ids:
            body["return_token_ids"] = True
        if draw.logprobs and self.logprobs:
            # With the likeliest token: some servers take 0, or `true` alone, for none at all. In a chat vLLM counts
            # the token drawn as one of two.
            body |= {"logprobs": True, "top_logprobs": 2} if chat else {"logprobs": 1}
        if self.do_sample and draw.temperature > 0:
            body |= DO_SAMPLE
        return body
