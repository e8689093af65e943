"""What a server's reply holds, checked: nothing in it is taken on trust."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from trl_r1.chat_template import THINK_OPEN, join_response
from trl_r1.generation.server.outcomes import BrokenReplyError, UnusableReplyError
from trl_r1.generation.types import FinishReason


FINISHED: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "eos_token": "stop",  # TGI
    "stop_sequence": "stop",
    "length": "length",
}
FINAL: Final = frozenset({"content_filter", "tool_calls", "function_call", "refusal"})  # another try brings the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    One choice.

    Args:
        text (`str`):
            The completion; reasoning that came apart stands before it, between its tags.
        finish_reason (`str`):
            `"stop"` or `"length"`.
        token_ids (`tuple[int, ...]`, *optional*):
            As generated, where the server gives them.
        logprobs (`tuple[float, ...]`, *optional*):
            Of each token, where the server gives them.
        first_best (`float`, *optional*):
            Highest log-probability told at the first token.
        usage_tokens, prompt_tokens (`int`, *optional*):
            As the server counts them.
        num_choices (`int`):
            Choices in the reply.
    """

    text: str
    finish_reason: FinishReason
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None
    first_best: float | None
    usage_tokens: int | None
    prompt_tokens: int | None
    num_choices: int = 1


def read_reply(payload: Any, *, choices_wanted: int | None = 1) -> Reply:
    """
    Read a completion or a chat completion.

    Args:
        payload:
            Parsed JSON.
        choices_wanted (`int`, *optional*, defaults to `1`):
            How many there must be; `None` for any number, of which the first is read.

    Raises:
        [`BrokenReplyError`]: when something is missing or of another kind.
        [`UnusableReplyError`]: when the server says that it will not complete this prompt.
    """
    if not isinstance(payload, Mapping) or not isinstance(payload.get("choices"), list):
        raise BrokenReplyError(f"a reply without choices{_said(payload)}")
    choices = payload["choices"]
    if not choices or (choices_wanted is not None and len(choices) != choices_wanted):
        raise BrokenReplyError(f"{len(choices)} choices where {choices_wanted or 'some'} were asked for")
    choice = choices[0]
    if not isinstance(choice, Mapping):
        raise BrokenReplyError("a choice that is no object")
    finish = _finish(choice.get("finish_reason"))
    usage = payload.get("usage")
    reply = Reply(
        text=_text(choice, finish),
        finish_reason=finish,
        token_ids=_token_ids(choice.get("token_ids")),
        **_logprobs(choice.get("logprobs")),
        usage_tokens=_count(usage, "completion_tokens"),
        prompt_tokens=_count(usage, "prompt_tokens"),
        num_choices=len(choices),
    )
    if not reply.text and reply.usage_tokens is None and not reply.token_ids:
        raise BrokenReplyError("an empty completion, and no count that says it is one")
    return reply


def check_lengths(reply: Reply, max_tokens: int, prompt_tokens: int | None) -> None:
    """
    Compare a reply's counts with one another and with what was asked for.

    Raises:
        [`BrokenReplyError`]: when log-probabilities and tokens do not go together, or tokens are missing.
        [`UnusableReplyError`]: when the completion is longer than asked for or was cut before, or another prompt was
            read.
    """
    counts = [len(reply.token_ids)] if reply.token_ids is not None else []
    counts += [reply.usage_tokens] if reply.usage_tokens is not None else []
    if counts and max(counts) > max_tokens:
        raise UnusableReplyError(f"{max(counts)} tokens where at most {max_tokens} were asked for")
    if counts and reply.finish_reason == "length" and max(counts) < max_tokens - 1:
        raise UnusableReplyError(
            f"cut after {max(counts)} of {max_tokens} tokens: the context is full, or the server has a limit of its "
            "own (max_new_tokens in the model's generation_config.json; vLLM: --generation-config vllm)"
        )
    if prompt_tokens is not None and reply.prompt_tokens not in (None, prompt_tokens):
        raise UnusableReplyError(
            f"the server read {reply.prompt_tokens} tokens of a prompt of {prompt_tokens}: it cut the prompt, or has "
            "another tokenizer (server_tokenizer)"
        )
    if reply.token_ids is not None and not reply.token_ids and reply.text:
        raise BrokenReplyError("text without tokens")
    both = reply.token_ids is not None and reply.logprobs is not None
    if both and len(reply.token_ids or ()) != len(reply.logprobs or ()):
        raise BrokenReplyError(f"{len(reply.logprobs or ())} log-probabilities of {len(reply.token_ids or ())} tokens")


def _said(payload: Any) -> str:
    """What a server that answers 200 says of its fault."""
    error = payload.get("error") if isinstance(payload, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    return f": {' '.join(str(message).split())[:200]}" if message else ""


def _finish(value: Any) -> FinishReason:
    if value in FINAL:
        raise UnusableReplyError(f"finish_reason {value!r}: the server does not complete this prompt")
    if not isinstance(value, str) or value not in FINISHED:
        raise BrokenReplyError(f"finish_reason {value!r}")
    return FINISHED[value]


def _text(choice: Mapping[str, Any], finish: FinishReason) -> str:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        if not isinstance(choice.get("text"), str):
            raise BrokenReplyError("a choice without text")
        return str(choice["text"])
    if message.get("refusal"):
        raise UnusableReplyError("the model refused")
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str) and (content is None or isinstance(content, str)):
        if not content and finish == "length":  # cut before the thought was closed
            return f"{THINK_OPEN} {reasoning.strip()}"
        return join_response(reasoning, content or "")
    if not isinstance(content, str):
        raise BrokenReplyError("a message without content")
    return content


def _token_ids(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise BrokenReplyError("token_ids that are no list of numbers")
    return tuple(value)


def _logprobs(value: Any) -> dict[str, Any]:
    """Of each token, and the highest told at the first."""
    nothing: dict[str, Any] = {"logprobs": None, "first_best": None}
    if not isinstance(value, Mapping):
        return nothing
    if isinstance(value.get("content"), list):  # a chat's
        entries = value["content"]
        own = [entry.get("logprob") if isinstance(entry, Mapping) else None for entry in entries]
        best = entries[0].get("top_logprobs") if entries and isinstance(entries[0], Mapping) else None
        others = [item.get("logprob") for item in best or [] if isinstance(item, Mapping)]
    elif isinstance(value.get("token_logprobs"), list):
        own, tops = value["token_logprobs"], value.get("top_logprobs")
        others = list(tops[0].values()) if isinstance(tops, list) and tops and isinstance(tops[0], Mapping) else []
    else:
        return nothing
    told = tuple(float(item) for item in own if _is_logprob(item))
    if len(told) < len(own):
        raise BrokenReplyError("log-probabilities that are none")
    first = [*told[:1], *(float(item) for item in others if _is_logprob(item))]
    return {"logprobs": told, "first_best": max(first, default=None)}


def _is_logprob(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value <= 1e-3


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and value >= 0 else None
